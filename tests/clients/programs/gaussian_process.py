"""A Gaussian process by hand, with its hyperparameters learned; PCA; k-means; least squares."""
import math

import torch

torch.set_default_dtype(torch.float64)
g = torch.Generator().manual_seed(0)

X = torch.linspace(0, 5, 15).unsqueeze(-1)
y = torch.sin(X).squeeze(-1) + 0.1 * torch.randn(15, generator=g)
log_length = torch.zeros((), requires_grad=True)
log_scale = torch.zeros((), requires_grad=True)
log_noise = torch.tensor(-1.0, requires_grad=True)


def kernel(a, b):
    d2 = (a.unsqueeze(1) - b.unsqueeze(0)).pow(2).sum(-1)
    return log_scale.exp() * torch.exp(-0.5 * d2 / (2 * log_length).exp())


def nll():
    K = kernel(X, X) + log_noise.exp() * torch.eye(15)
    L = torch.linalg.cholesky(K)
    alpha = torch.cholesky_solve(y.unsqueeze(-1), L)
    return 0.5 * y @ alpha.squeeze(-1) + L.diagonal().log().sum() + 0.5 * 15 * math.log(2 * math.pi), L, alpha


opt = torch.optim.Adam([log_length, log_scale, log_noise], lr=0.1)
for i in range(25):
    opt.zero_grad()
    loss, L, alpha = nll()
    loss.backward()
    if i % 6 == 0:
        print(f"{i:3d} nll={loss.item():.6f} grads {log_length.grad.item():+.6f} {log_scale.grad.item():+.6f} {log_noise.grad.item():+.6f}")
    opt.step()
print(log_length, log_scale, log_noise, loss)
with torch.no_grad():
    Xs = torch.tensor([[0.5], [2.5], [6.0]])
    Ks = kernel(Xs, X)
    mean = (Ks @ alpha).squeeze(-1)
    v = torch.linalg.solve_triangular(L, Ks.T, upper=False)
    var = kernel(Xs, Xs).diagonal() - (v ** 2).sum(0)
    print("mean", mean, "std", var.clamp(min=0).sqrt(), "truth", Xs.squeeze().sin())

# --- principal components
data = torch.randn(40, 3, generator=g) @ torch.tensor([[2.0, 0.0, 0.0], [0.5, 1.0, 0.0], [0.1, 0.2, 0.1]])
centered = data - data.mean(0)
cov = centered.T @ centered / (len(data) - 1)
print(torch.allclose(cov, torch.cov(data.T)), cov)
evals, evecs = torch.linalg.eigh(cov)
U, S, Vh = torch.linalg.svd(centered, full_matrices=False)
print(evals, S ** 2 / 39, (S ** 2 / S.pow(2).sum()).cumsum(0))
print(torch.allclose(evecs[:, -1].abs(), Vh[0].abs()), torch.linalg.matrix_rank(centered), torch.linalg.cond(cov) > 1)
recon = (U[:, :2] * S[:2]) @ Vh[:2]
print((recon - centered).norm(), S[2])
Q, R = torch.linalg.qr(data[:4])
print(torch.allclose(Q @ R, data[:4]), Q.shape, R.tril(-1).abs().max() < 1e-12)

# --- k-means
torch.manual_seed(3)
points = torch.cat([torch.randn(20, 2) * 0.3 + torch.tensor(c) for c in ([0.0, 0.0], [2.0, 2.0], [0.0, 3.0])])
centers = points[torch.tensor([0, 25, 50])].clone()
for it in range(5):
    assign = torch.cdist(points, centers).argmin(dim=1)
    new = torch.stack([points[assign == k].mean(0) for k in range(3)])
    shift = (new - centers).norm()
    centers = new
    print(it, shift.item() < 1e-9, assign.bincount().tolist())
print(centers, torch.cdist(centers, centers))

# --- least squares, determinants, norms
A = torch.randn(6, 3)
b = torch.randn(6)
sol = torch.linalg.lstsq(A, b.unsqueeze(-1)).solution.squeeze(-1)
normal = torch.linalg.solve(A.T @ A, A.T @ b)
pinv = torch.linalg.pinv(A) @ b
print(sol, torch.allclose(sol, normal), torch.allclose(sol, pinv))
M = torch.tensor([[4.0, 1.0], [2.0, 3.0]], requires_grad=True)
print(torch.det(M), torch.logdet(M), torch.slogdet(M), torch.linalg.inv(M), torch.allclose(M.inverse() @ M, torch.eye(2)), torch.trace(M), torch.matrix_power(M, 3), torch.linalg.matrix_exp(M.detach() / 10), sep="\n")
torch.logdet(M).backward()
print(M.grad, torch.linalg.inv(M).T)
for ord in (None, "fro", "nuc", 1, 2, float("inf")):
    print(ord, torch.linalg.norm(M.detach(), ord) if ord is not None else torch.linalg.norm(M.detach()), end=" ")
print()
v = torch.tensor([3.0, -4.0])
print(v.norm(), v.norm(p=1), v.norm(float("inf")), torch.dot(v, v), torch.outer(v, v), torch.cross(torch.tensor([1.0, 0, 0]), torch.tensor([0, 1.0, 0]), dim=0), torch.kron(torch.eye(2), torch.ones(1, 2)), torch.linalg.multi_dot([M.detach(), M.detach(), v]), sep="\n")
print(torch.block_diag(torch.ones(1, 1), torch.eye(2)), torch.tensordot(torch.ones(2, 3), torch.ones(3, 2), dims=1), torch.addmm(torch.zeros(2, 2), M.detach(), M.detach(), beta=0.5, alpha=2), torch.baddbmm(torch.zeros(1, 2, 2), M.detach()[None], M.detach()[None]), torch.vander(torch.tensor([1.0, 2.0, 3.0])), torch.triu_indices(2, 2), sep="\n")
