"""Model-agnostic meta-learning on sine waves: gradients through gradient steps."""
from collections import OrderedDict

import torch
import torch.nn.functional as F

torch.manual_seed(4)


def net(x, w):
    h = torch.tanh(F.linear(x, w["w1"], w["b1"]))
    h = torch.tanh(F.linear(h, w["w2"], w["b2"]))
    return F.linear(h, w["w3"], w["b3"])


sizes = [1, 10, 10, 1]
weights = OrderedDict()
for i in range(3):
    weights[f"w{i + 1}"] = (torch.randn(sizes[i + 1], sizes[i]) / sizes[i] ** 0.5).requires_grad_()
    weights[f"b{i + 1}"] = torch.zeros(sizes[i + 1], requires_grad=True)


def sample_task():
    amplitude = torch.empty(1).uniform_(0.5, 2.0)
    phase = torch.rand(1) * 3.14159
    return lambda x: amplitude * torch.sin(x + phase)


def inner_loop(task, steps=2, alpha=0.05, first_order=False):
    x = torch.rand(10, 1) * 6 - 3
    fast = OrderedDict(weights)
    for _ in range(steps):
        loss = F.mse_loss(net(x, fast), task(x))
        grads = torch.autograd.grad(loss, fast.values(), create_graph=not first_order)
        fast = OrderedDict((name, w - alpha * g) for (name, w), g in zip(fast.items(), grads))
    x = torch.rand(10, 1) * 6 - 3
    return F.mse_loss(net(x, fast), task(x)), loss


optimizer = torch.optim.Adam(weights.values(), lr=5e-3)
for iteration in range(8):
    optimizer.zero_grad()
    outer = 0.0
    for _ in range(3):
        task = sample_task()
        after, before = inner_loop(task)
        outer = outer + after / 3
    outer.backward()
    optimizer.step()
    print(f"iteration {iteration}: meta loss {outer.item():.5f}, last inner loss {before.item():.5f}, |grad| {sum(w.grad.norm() ** 2 for w in weights.values()).sqrt().item():.5f}")
print(outer)

task = sample_task()
torch.manual_seed(0)
second, _ = inner_loop(task)
g2 = torch.autograd.grad(second, list(weights.values()))
torch.manual_seed(0)
first, _ = inner_loop(task, first_order=True)
g1 = torch.autograd.grad(first, list(weights.values()))
print(torch.allclose(first, second), [f"{(a - b).norm().item():.5f}" for a, b in zip(g1, g2)])
print(g2[-1], g1[-1])

# hypergradient of a learning rate
lr = torch.tensor(0.1, requires_grad=True)
w = torch.tensor([1.0, -2.0], requires_grad=True)
A = torch.tensor([[3.0, 0.5], [0.5, 1.0]])
v = w
for _ in range(5):
    loss = 0.5 * v @ A @ v
    g, = torch.autograd.grad(loss, v, create_graph=True)
    v = v - lr * g
final = 0.5 * v @ A @ v
final.backward()
print(v, final, lr.grad, w.grad, sep="\n")
