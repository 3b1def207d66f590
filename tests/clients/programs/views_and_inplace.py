# What shares memory with what, and what autograd makes of in-place edits
import numpy as np
import torch

base = torch.zeros(3, 4)
row, col, flat, t = base[1], base[:, 2], base.view(-1), base.t()
row += 1
col.mul_(5).add_(2)
flat[0] = -1
t[3, 2] = 42
print(base, row, col, flat, t, sep="\n")
print(base.is_contiguous(), t.is_contiguous(), t.contiguous().is_contiguous(), base.stride(), t.stride(), col.stride(), col.storage_offset(), flat.data_ptr() == base.data_ptr())
print(row._base is base if row._base is not None else None, base._is_view(), row._is_view(), row._version, base._version)
copy = base.clone()
copy.zero_()
resh = base.t().reshape(-1)
resh.fill_(0)
print(base.sum(), copy.sum())
window = base.unfold(1, 2, 1)
diag = base.diagonal()
diag.copy_(torch.tensor([10.0, 20.0, 30.0]))
print(window.shape, base, window[0])
e = torch.arange(3).unsqueeze(0).expand(2, 3)
print(e, e.stride(), e.clone().stride(), e.contiguous().stride())
s = torch.as_strided(torch.arange(6.0), (2, 2), (1, 2))
print(s, base.narrow(0, 1, 2), base.select(1, 0), base.squeeze().shape, base[None].squeeze(0).shape, base.unsqueeze(-1).size(-1))

a = np.ones(3, dtype=np.float32)
b = torch.from_numpy(a)
c = b.clone()
b = b * 2
print(a, b, c)
x = torch.arange(4.0)
x[1:] = x[:-1].clone()
print(x)
x.data[0] = 100
x[[0, 1]] = x[[1, 0]]
print(x, x.data, x.detach())
x.resize_(2, 2)
x.unsqueeze_(0).transpose_(1, 2)
print(x, x.shape)
x.squeeze_()
x.t_()
x.clamp_(0, 2).sub_(1).div_(2).pow_(2).sqrt_().neg_().exp_()
print(x, x.shape)
y = torch.tensor([1, 2, 3])
y += 1
y *= 2
y -= torch.tensor([1, 1, 1])
y //= 2
y **= 2
y %= 5
print(y, y.dtype)
q = p = torch.ones(2)
p += 1
p = p + 1
print(p, q)
z = torch.empty(3).copy_(torch.tensor([1, 2, 3]))
z.swap = None
torch.add(z, 10, out=z)
print(z, torch.mul(z, 2, out=torch.empty(3)))
m = torch.zeros(2, 2)
m.addmm_(torch.eye(2), torch.ones(2, 2), beta=1, alpha=2).addcmul_(m, m, value=0.5).addcdiv_(torch.ones(2, 2), torch.full((2, 2), 4.0)).lerp_(torch.zeros(2, 2), 0.5)
print(m)
m.index_fill_(0, torch.tensor([0]), 7).masked_fill_(m == 7, -7).fill_diagonal_(3)
print(m, m.zero_().add_(1).sum())
print(torch.zeros(2).uniform_(2, 2), torch.zeros(3, dtype=torch.long).random_(0, 1), torch.ones(3).bernoulli_(1.0))

print("--- autograd and in-place")
w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
h = w * 2
print(h.grad_fn)
h += 1
print(h)
h[0] = 0
print(h)
h.mul_(3)
print(h)
h.sum().backward()
print(w.grad)
w.grad.zero_()
u = w.clone()
v = u[1:]
v.mul_(10)
print(u, v, sep="\n")
(u ** 2).sum().backward()
print(w.grad)
w.grad = None
u = w.clone()
u.view(3, 1)[:2].mul_(0.1)
u.exp_()
u.unsqueeze(0).squeeze().sum().backward()
print(w.grad, u)
with torch.no_grad():
    w.add_(1)
    w[0] = 0
    w2 = w * 2
print(w, w2, w2.requires_grad, w.requires_grad, w.is_leaf)
with torch.no_grad():
    w.copy_(torch.tensor([4.0, 5.0, 6.0]))
w.data = torch.tensor([7.0, 8.0, 9.0])
print(w, w.grad)
d = w.detach()
d[0] = 1
print(w, d, d.requires_grad)
r = w.detach().clone().requires_grad_(True)
(r * w).sum().backward()
print(r.grad, w.grad)
k = torch.ones(2, requires_grad=True)
k2 = (k * 3).detach_()
print(k2, k2.is_leaf)
f = torch.zeros(2, 2)
f[0] = k
f[1] = k * 2
print(f)
f.prod().backward()
print(k.grad)
print(k.requires_grad_(False), k.requires_grad, torch.is_grad_enabled())


@torch.no_grad()
def update(p):
    p -= 1
    return torch.is_grad_enabled()


print(update(k), k)
with torch.enable_grad():
    with torch.set_grad_enabled(False):
        print((w * 2).requires_grad)
    print((w * 2).requires_grad)
with torch.inference_mode():
    inf = w * 2
print(inf.requires_grad, inf.is_inference(), inf)
