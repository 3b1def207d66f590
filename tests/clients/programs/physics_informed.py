# A physics-informed net for u'' = -pi^2 sin(pi x), u(0) = u(1) = 0, and a damped oscillator
import math

import torch
import torch.nn as nn


class PINN(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(i, o) for i, o in zip(layers[:-1], layers[1:])])
        self.activation = nn.Tanh()
        for l in self.layers:
            nn.init.xavier_normal_(l.weight)
            nn.init.zeros_(l.bias)

    def forward(self, x):
        for l in self.layers[:-1]:
            x = self.activation(l(x))
        return self.layers[-1](x)


def derivative(y, x, n=1):
    for _ in range(n):
        y = torch.autograd.grad(y, x, grad_outputs=torch.ones_like(y), create_graph=True, retain_graph=True)[0]
    return y


torch.manual_seed(1234)
net = PINN([1, 12, 12, 1])
print(net)
x = torch.linspace(0, 1, 21).view(-1, 1).requires_grad_(True)
xb = torch.tensor([[0.], [1.]])
opt = torch.optim.Adam(net.parameters(), lr=0.02)
mse = nn.MSELoss()

for it in range(31):
    opt.zero_grad()
    u = net(x)
    residual = derivative(u, x, 2) + math.pi ** 2 * torch.sin(math.pi * x)
    loss_f = (residual ** 2).mean()
    loss_b = mse(net(xb), torch.zeros(2, 1))
    loss = loss_f + 100 * loss_b
    loss.backward()
    opt.step()
    if it % 10 == 0:
        print(f'It: {it}, loss: {loss.item():.4e}, pde: {loss_f.item():.4e}, bc: {loss_b.item():.3e}')
with torch.no_grad():
    err = (net(x) - torch.sin(math.pi * x)).abs().max()
print("max error %.3f" % err.item())
print(net.layers[0].weight.grad.T)
print(residual[:3], loss, sep="\n")
print(x.grad is None, x.grad.shape)

# the same loss refined by L-BFGS
lbfgs = torch.optim.LBFGS(net.parameters(), lr=1.0, max_iter=6, history_size=6, line_search_fn="strong_wolfe")
calls = 0


def closure():
    global calls
    lbfgs.zero_grad()
    u = net(x)
    l = ((derivative(u, x, 2) + math.pi ** 2 * torch.sin(math.pi * x)) ** 2).mean() + 100 * (net(xb) ** 2).mean()
    l.backward()
    calls += 1
    return l


for _ in range(2):
    l = lbfgs.step(closure)
    print("L-BFGS start loss %.3e" % l.item())
print("calls > 10:", calls > 10, "better:", closure().item() < loss.item())

# parameter discovery: m y'' + mu y' + k y = 0 with unknown mu
d, w0 = 1.5, 6.0
t = torch.linspace(0, 1, 40, dtype=torch.float64).view(-1, 1).requires_grad_()
w = math.sqrt(w0 ** 2 - d ** 2)
y = torch.exp(-d * t) * torch.cos(w * t)
dy = derivative(y, t)
ddy = derivative(dy, t)
mu = nn.Parameter(torch.zeros(1, dtype=torch.float64))
sgd = torch.optim.SGD([mu], lr=0.02)
for i in range(20):
    sgd.zero_grad()
    phys = (ddy.detach() + mu * dy.detach() + w0 ** 2 * y.detach()).pow(2).mean()
    phys.backward()
    sgd.step()
    if i % 5 == 0:
        print(i, phys.item(), mu.item())
print(mu, "true", 2 * d)
