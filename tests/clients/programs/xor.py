import torch
from torch import nn

torch.manual_seed(7)
X = torch.tensor([[0., 0.], [0., 1.], [1., 0.], [1., 1.]])
Y = torch.tensor([0., 1., 1., 0.]).unsqueeze(1)

model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1), nn.Sigmoid())
loss_fn = nn.BCELoss()
opt = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9)

print(model)
print(model(X))
for step in range(201):
    y = model(X)
    loss = loss_fn(y, Y)
    model.zero_grad()
    loss.backward()
    opt.step()
    if step % 40 == 0:
        acc = ((y > 0.5) == Y.bool()).float().mean()
        print("step", step, "loss", loss, "acc", acc)
print(model[0].weight)
print(model[-2].bias)
print(model(X).round().detach().numpy())
print((model(X) > .5).int().flatten().tolist())
