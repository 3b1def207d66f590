import numpy as np
import torch
import torch.nn as nn

np.random.seed(42)
torch.manual_seed(42)

SEQ, TRUNC, HIDDEN = 60, 10, 6
series = np.sin(np.linspace(0, 6 * np.pi, SEQ + 1)).astype(np.float32)
inputs = torch.from_numpy(series[:-1]).reshape(SEQ, 1, 1)
targets = torch.from_numpy(series[1:]).reshape(SEQ, 1, 1)

############ an RNN cell by hand ############
Wx = torch.tensor(np.random.randn(1, HIDDEN) * 0.5, dtype=torch.float32, requires_grad=True)
Wh = torch.tensor(np.random.randn(HIDDEN, HIDDEN) * 0.3, dtype=torch.float32, requires_grad=True)
bh = torch.zeros(HIDDEN, requires_grad=True)
Wy = torch.tensor(np.random.randn(HIDDEN, 1) * 0.5, dtype=torch.float32, requires_grad=True)
params = [Wx, Wh, bh, Wy]

for epoch in range(3):
    h = torch.zeros(1, HIDDEN)
    total = 0.0
    for start in range(0, SEQ, TRUNC):
        h = h.detach()                       # cut the graph here
        loss = 0
        for t in range(start, start + TRUNC):
            h = torch.tanh(inputs[t] @ Wx + h @ Wh + bh)
            loss = loss + ((h @ Wy - targets[t]) ** 2).mean()
        loss = loss / TRUNC
        loss.backward()
        norms = [f"{p.grad.norm().item():.5f}" for p in params]
        with torch.no_grad():
            for p in params:
                p -= 0.1 * p.grad
                p.grad = None
        total += loss.item()
        print(f"epoch {epoch} window {start:2d}: loss {loss.item():.5f}  norms {' '.join(norms)}")
    print("mean loss", round(total / (SEQ / TRUNC), 4))
print("Wh =", Wh)
print("h =", h)

############ the same with nn.RNN ############
class SinRNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(input_size=1, hidden_size=HIDDEN, num_layers=2, nonlinearity='tanh')
        self.out = nn.Linear(HIDDEN, 1)

    def forward(self, x, h):
        y, h = self.rnn(x, h)
        return self.out(y), h


model = SinRNN()
print(model)
for k, v in model.state_dict().items():
    print(k, v.shape)
criterion = nn.MSELoss()
opt = torch.optim.RMSprop(model.parameters(), lr=0.01)

for epoch in range(4):
    h = None
    for start in range(0, SEQ, TRUNC):
        opt.zero_grad()
        if h is not None:
            h.detach_()
        y, h = model(inputs[start:start + TRUNC], h)
        loss = criterion(y, targets[start:start + TRUNC])
        loss.backward()
        opt.step()
    print("epoch", epoch, "loss", loss.item(), "h", h.squeeze().data)
print(h.shape, h.requires_grad, y.shape)
print(model.rnn.weight_hh_l0.grad)

cell = nn.RNNCell(1, 3, nonlinearity="relu")
hx = torch.zeros(2, 3)
for t in range(4):
    hx = cell(inputs[t].expand(2, 1), hx)
    print(t, hx)
hx.sum().backward()
print(cell.weight_ih.grad.t(), cell.bias_hh.grad)
print(cell)
