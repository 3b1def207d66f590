import numpy as np
import torch

x = torch.arange(24).reshape(2, 3, 4)
print(x)
print(x[0], x[0, 1], x[0, 1, 2], sep="\n")
print(x[-1, ..., -1], x[:, 1:, ::2], x[..., None].shape, x[None, :, 0].shape)
print(x[:, [0, 2]], x[[0, 1], [1, 2]], x[[0, 1], [1, 2], [3, 0]], sep="\n")
print(x[x > 17], (x % 5 == 0).nonzero(), sep="\n")
print(x[torch.tensor([1, 0, 1]), :, 3])
print(x[0][:, torch.tensor([True, False, True, False])])
print(x[:, torch.tensor([[0, 1], [2, 0]])].shape, x[torch.tensor(1)], x[True].shape, x[False].shape)
print(x[slice(0, 1), np.array([0, 2])], x[np.int64(1), np.array([True, False, True])])
for row in x[0]:
    print(row, row.sum().item(), int(row[0]), float(row[1]))
a, b = x
print(a.shape, b[0].tolist(), len(x), 5 in x, 99 in x)

y = torch.zeros(4, 5)
y[1] = 1
y[:, 2] = torch.arange(4.0)
y[0, 0:2] = torch.tensor([7.0, 8.0])
y[[2, 3], [4, 0]] = -1.0
y[y == 1] *= 0.5
y[-1, -1] = torch.tensor(9)
print(y)
y[y < 0] = float("nan")
print(y, torch.isnan(y).sum(), torch.nan_to_num(y, nan=0.25).sum())
y[torch.isnan(y)] = 0
y[::2, 1::2] += 10
y[:, -1:].fill_(3)
print(y)
y[...] = 0
y[None, 1, :3] = 5
y[(1, 2), 3] = torch.tensor([1.0, 2.0])
print(y, y[1:3, 3])

idx = torch.tensor([[0, 1], [3, 2]])
src = torch.arange(8.0).view(2, 4)
print(src.gather(1, idx), torch.take(src, torch.tensor([0, 7])), src.index_select(1, torch.tensor([3, 0])), sep="\n")
print(torch.zeros(2, 4).scatter_(1, idx, 1.0), torch.zeros(2, 4).scatter_add_(1, torch.tensor([[0, 0], [1, 1]]), torch.ones(2, 2)), sep="\n")
print(torch.zeros(3).index_add_(0, torch.tensor([0, 0, 2]), torch.tensor([1.0, 2.0, 3.0])))
print(torch.zeros(2, 3).index_fill_(1, torch.tensor([0, 2]), 4.0), torch.zeros(3).index_copy_(0, torch.tensor([2, 0]), torch.tensor([5.0, 6.0])))
print(torch.zeros(3).index_put_((torch.tensor([0, 0, 1]),), torch.ones(3), accumulate=True))
print(src.masked_fill(src > 5, -1), src.masked_select(src > 5), torch.zeros(2, 2).masked_scatter_(torch.eye(2).bool(), torch.tensor([1.0, 2.0])))
print(torch.where(src > 3), torch.where(src > 3, src, -src), torch.argwhere(src == 4))
print(torch.nonzero(torch.tensor([0, 1, 0, 2]), as_tuple=True), torch.nonzero(torch.tensor([0, 1, 0, 2])))

# gradients through indexing
w = torch.arange(6.0).reshape(2, 3).requires_grad_()
(w[0, 1] * 3 + w[:, 2].sum() + w[[0, 0]].sum() + w[w > 3].sum() + w[1, ::2].prod()).backward()
print(w.grad)
print(w[0], w[:, 1:], w[[0, 1]], w[w > 3], w[..., None], w[0, 0], sep="\n")
z = w * 1
z[0] = 0
z[1, 1] *= w[0, 1]
print(z)
w.grad = None
z.sum().backward()
print(w.grad)
v = torch.zeros(3)
v[1] = w[1, 0] * 2
v[2:] = w[0, 2]
print(v, v.requires_grad)
v.sum().backward()
print(w.grad)

# rearranging
print(torch.flip(x[0], [0, 1]), x[0].roll(1, dims=1), torch.rot90(x[0]), sep="\n")
print(x.permute(2, 0, 1)[1], x.transpose(0, 2).shape, x.movedim(0, -1).shape, x.swapaxes(0, 1).size(), x[0].T, sep="\n")
print(torch.chunk(torch.arange(7), 3), torch.arange(7).split(3), torch.arange(6).view(2, 3).unbind(1), torch.tensor_split(torch.arange(5), 2), sep="\n")
print(torch.cat([x[0], x[1]], dim=1).shape, torch.stack([x[0], x[1]], dim=-1)[0, 0], torch.hstack([torch.ones(2), torch.zeros(1)]), torch.vstack([torch.ones(2), torch.zeros(2)]), sep="\n")
print(torch.tril(torch.ones(3, 3)), torch.triu(torch.ones(3, 3), 1), torch.diag(torch.arange(3)), torch.diagonal(x[0]), sep="\n")
print(torch.arange(3).repeat(2), torch.arange(3).repeat_interleave(2), torch.tile(torch.arange(2), (2, 2)), torch.arange(3).expand(2, 3), sep="\n")
print(torch.sort(torch.tensor([3, 1, 2]), descending=True), torch.tensor([3, 1, 2]).argsort(), torch.topk(torch.tensor([1.0, 5.0, 3.0]), 2), sep="\n")
print(torch.unique(torch.tensor([2, 1, 2, 3]), return_counts=True), torch.bincount(torch.tensor([0, 2, 2])), torch.searchsorted(torch.tensor([1, 3, 5]), torch.tensor([2, 3, 9])))
print(torch.cumsum(torch.arange(1, 5), 0), torch.cumprod(torch.arange(1, 5), 0), torch.diff(torch.tensor([1, 4, 9])), torch.cummax(torch.tensor([1, 3, 2]), 0))
print(x.max(), x.max(dim=1), x[0].min(0).values, x.argmax(), x[1].argmin(dim=1), torch.median(torch.tensor([3.0, 1.0, 2.0])), x.float().mean((0, 2)), x.amax(dim=(0, 1)), sep="\n")
print(torch.combinations(torch.arange(3)), torch.cartesian_prod(torch.tensor([1, 2]), torch.tensor([3, 4])), torch.meshgrid(torch.arange(2), torch.arange(3), indexing="xy"), sep="\n")
