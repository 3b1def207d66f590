# Compare autograd with finite differences, in double precision
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck, gradgradcheck

torch.manual_seed(0)


def numerical_gradient(f, x, h=1e-5):
    grad = torch.zeros_like(x)
    flat, gflat = x.view(-1), grad.view(-1)
    for i in range(x.numel()):
        old = flat[i].item()
        flat[i] = old + h
        fp = f(x).item()
        flat[i] = old - h
        fm = f(x).item()
        flat[i] = old
        gflat[i] = (fp - fm) / (2 * h)
    return grad


def relative_error(a, b):
    return ((a - b).abs() / torch.clamp(a.abs() + b.abs(), min=1e-6)).max().item()


W = torch.randn(4, 3, dtype=torch.double)
functions = [
    ("square", lambda x: (x * x).sum()),
    ("logsumexp", lambda x: torch.logsumexp(x, dim=1).sum()),
    ("matmul", lambda x: torch.tanh(x @ W).mean()),
    ("norm", lambda x: x.norm()),
    ("softmax", lambda x: (F.softmax(x, dim=-1)[:, 0]).sum()),
    ("layer_norm", lambda x: F.layer_norm(x, (4,)).pow(3).sum()),
    ("cumsum", lambda x: x.cumsum(dim=0).pow(2).sum()),
    ("sort", lambda x: (x.sort(dim=1)[0] * torch.arange(4)).sum()),
    ("var", lambda x: x.var(dim=0).sum()),
    ("prod", lambda x: x.prod(dim=1).sum()),
    ("gather", lambda x: x.gather(1, torch.tensor([[0, 1], [2, 2], [3, 0]])).sin().sum()),
    ("where", lambda x: torch.where(x > 0, x ** 2, x.exp()).sum()),
    ("index", lambda x: (x[[0, 2, 2]] * 2).cos().sum()),
    ("cat", lambda x: torch.cat([x, x.flip(0) * 2]).pow(2).mean()),
    ("huber", lambda x: F.smooth_l1_loss(x, torch.ones_like(x))),
    ("bce", lambda x: F.binary_cross_entropy_with_logits(x, torch.ones_like(x) * 0.3)),
    ("cholesky", lambda x: torch.linalg.cholesky(x.T @ x + torch.eye(4, dtype=torch.double)).sum()),
    ("slogdet", lambda x: torch.slogdet(x[:, :3] + 3 * torch.eye(3, dtype=torch.double))[1]),
    ("conv", lambda x: F.conv1d(x[None], torch.ones(2, 3, 2, dtype=torch.double)).pow(2).sum()),
    ("maxpool", lambda x: F.max_pool1d(x[None], 2).sum()),
]
for name, f in functions:
    x = torch.randn(3, 4, dtype=torch.double, requires_grad=True)
    f(x).backward()
    with torch.no_grad():
        numeric = numerical_gradient(f, x.detach().clone())
    err = relative_error(x.grad, numeric)
    print(f"{name:12s} |g| = {x.grad.norm().item():10.6f}   {'ok' if err < 1e-5 else 'BAD'}")

x = torch.randn(2, 3, dtype=torch.double, requires_grad=True)
y = torch.randn(3, 2, dtype=torch.double, requires_grad=True)
print(gradcheck(torch.matmul, (x, y), eps=1e-6, atol=1e-4))
print(gradcheck(lambda a: a.exp().sum(0), x))
print(gradgradcheck(lambda a: a.sigmoid() * a, x))
linear = torch.nn.Linear(3, 2).double()
print(gradcheck(linear, (x,)))


class Wrong(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x ** 2

    @staticmethod
    def backward(ctx, g):
        x, = ctx.saved_tensors
        return g * x          # a factor of two is missing


print(gradcheck(Wrong.apply, (x,), raise_exception=False))
try:
    gradcheck(Wrong.apply, (x,))
except Exception as e:
    print(type(e).__name__, str(e).split("\n")[0][:60])

# float32 shows the limits of finite differences
x32 = torch.linspace(0.5, 2, 4, requires_grad=True)
(x32 ** 3).sum().backward()
print(x32.grad)
for h in (1e-1, 1e-2):
    with torch.no_grad():
        print(h, (((x32 + h) ** 3 - (x32 - h) ** 3) / (2 * h) - x32.grad).abs().max().item() < 0.02)
