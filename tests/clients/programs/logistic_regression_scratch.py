"""Logistic regression with nothing but tensors (homework 2)."""
import numpy as np
import torch

rng = np.random.default_rng(0)
n = 120
X_np = np.concatenate([rng.normal(-1, 1, (n // 2, 2)), rng.normal(1, 1, (n // 2, 2))])
y_np = np.array([0] * (n // 2) + [1] * (n // 2))

X = torch.from_numpy(X_np).float()
y = torch.from_numpy(y_np).float()
print(X.dtype, y.dtype, X.shape, X[:3], y.sum())

mu, sigma = X.mean(dim=0), X.std(dim=0)
print("mean", mu, "std", sigma)
X = (X - mu) / sigma

w = torch.zeros(2, requires_grad=True)
b = torch.zeros(1, requires_grad=True)
lr = 0.5


def predict(X):
    return 1 / (1 + torch.exp(-(X @ w + b)))


def bce(p, y):
    return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()


for epoch in range(1, 31):
    p = predict(X)
    loss = bce(p, y) + 1e-3 * (w ** 2).sum()
    loss.backward()
    with torch.no_grad():
        w -= lr * w.grad
        b -= lr * b.grad
        w.grad.zero_()
        b.grad.zero_()
    if epoch in (1, 2, 5, 10, 20, 30):
        print(f"epoch {epoch:2d} loss={loss:.6f} w={w.tolist()} b={b.item():.6f}")

print(w, b)
print(loss)
with torch.no_grad():
    p = predict(X)
    yhat = (p >= 0.5).float()
    tp = ((yhat == 1) & (y == 1)).sum()
    fp = ((yhat == 1) & (y == 0)).sum()
    fn = ((yhat == 0) & (y == 1)).sum().item()
    tn = torch.logical_and(yhat == 0, y == 0).sum().item()
    print("confusion", tp, fp, fn, tn)
    print("accuracy", (yhat == y).float().mean().item())
    print("precision {:.4f} recall {:.4f}".format((tp / (tp + fp)).item(), tp.item() / (tp.item() + fn)))
    print("hardest", torch.argsort((p - y).abs(), descending=True)[:5], torch.sort((p - y).abs(), descending=True).values[:5])
    order = np.argsort(-p.numpy())
    print(order[:10], p.numpy()[order[:3]].round(4))
grid = torch.stack(torch.meshgrid(torch.linspace(-2, 2, 5), torch.linspace(-2, 2, 3), indexing="ij"), dim=-1)
print(grid.shape, predict(grid.reshape(-1, 2)).reshape(5, 3))
