"""Second-order methods on small functions: Newton, Gauss-Newton, Hessian-vector products."""
import torch
from torch.autograd import grad
from torch.autograd.functional import hessian, hvp, jacobian, vjp

torch.set_default_dtype(torch.float64)


def rosenbrock(x):
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def my_hessian(f, x):
    x = x.detach().requires_grad_(True)
    g, = grad(f(x), x, create_graph=True)
    rows = [grad(g[i], x, retain_graph=True)[0] for i in range(len(x))]
    return g.detach(), torch.stack(rows)


x = torch.tensor([-1.2, 1.0])
for k in range(6):
    g, H = my_hessian(rosenbrock, x)
    step = torch.linalg.solve(H, g)
    print(f"{k}: f={rosenbrock(x).item():.6e} |g|={g.norm().item():.6e} x={x}")
    x = x - step
print("solution", x)
print("Hessian", H, H.dtype)
print(hessian(rosenbrock, x))
print("eigenvalues", torch.linalg.eigvalsh(H), "det", torch.det(H), torch.inverse(H), sep="\n")

# derivatives of sin up to the fourth
t = torch.linspace(0, 1.5, 4, requires_grad=True)
y = t.sin()
for order in range(4):
    y, = grad(y.sum(), t, create_graph=True)
    print("order", order + 1, y)

# derivative of x^3: 3x^2, 6x, 6
z = torch.tensor(2.0, requires_grad=True)
d1, = grad(z ** 3, z, create_graph=True)
d2, = grad(d1, z, create_graph=True)
d3, = grad(d2, z)
print(d1, d2, d3)


def f(v):
    return torch.stack([v[0] * v[1], v[1].exp(), v.prod()])


v = torch.tensor([0.5, 1.0, 2.0])
print(jacobian(f, v))
print(vjp(f, v, torch.tensor([1.0, 0.0, 2.0])))
print(hvp(lambda v: (v ** 3).sum() * v[0], v, torch.ones(3)))
J = jacobian(lambda a, b: a * b.sum() + b, (torch.ones(2), torch.tensor([1.0, 2.0])))
print(J)

# gradient penalty
torch.manual_seed(0)
W = torch.randn(4, 4, requires_grad=True)
inp = torch.randn(3, 4, requires_grad=True)
out = torch.tanh(inp @ W).pow(2).sum()
gx, = grad(out, inp, create_graph=True)
penalty = ((gx.norm(2, dim=1) - 1) ** 2).mean()
penalty.backward()
print("penalty", penalty)
print(W.grad)
print(inp.grad)

# Gauss-Newton on an exponential fit
ts = torch.linspace(0, 2, 9)
ys = 2.0 * torch.exp(-1.3 * ts)
theta = torch.tensor([1.0, -0.5])
for k in range(6):
    residual = lambda th: th[0] * torch.exp(th[1] * ts) - ys
    J = jacobian(residual, theta)
    r = residual(theta)
    theta = theta - torch.linalg.lstsq(J, r.unsqueeze(1)).solution.squeeze(1)
    print(k, f"{(r ** 2).sum():.8f}", theta.tolist())

# Newton's method for square roots, differentiated through
a = torch.tensor([2.0, 3.0, 5.0], requires_grad=True)
r = a.clone()
for _ in range(7):
    r = 0.5 * (r + a / r)
r.sum().backward()
print(r, a.grad, 0.5 / a.detach().sqrt(), sep="\n")
