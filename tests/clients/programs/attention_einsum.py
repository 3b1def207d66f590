"""Multi-head attention by hand, checked against the library's pieces. Shapes everywhere."""
import math

import torch
from torch import Tensor, einsum, nn
from torch.nn import functional as F

torch.manual_seed(0)
B, T, S, H, D = 2, 4, 5, 2, 3
E = H * D

x = torch.randn(B, T, E, requires_grad=True)
mem = torch.randn(B, S, E)
wq, wk, wv = (nn.Parameter(torch.empty(E, H, D)) for _ in range(3))
wo = nn.Parameter(torch.empty(H, D, E))
for w in (wq, wk, wv, wo):
    nn.init.xavier_uniform_(w.view(E, E))


def attention(x: Tensor, mem: Tensor, mask: Tensor | None = None):
    q = einsum("bte,ehd->bhtd", x, wq)
    k = einsum("bse,ehd->bhsd", mem, wk)
    v = einsum("bse,ehd->bhsd", mem, wv)
    scores = einsum("bhtd,bhsd->bhts", q, k) / math.sqrt(D)
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    weights = scores.softmax(-1)
    context = einsum("bhts,bhsd->bthd", weights, v)
    return einsum("bthd,hde->bte", context, wo), weights, (q, k, v)


out, weights, (q, k, v) = attention(x, mem)
print(out.shape, weights.shape, q.shape, out.grad_fn is not None)
print(out[0])
print(weights[1, 0])
print("rows sum to one:", torch.allclose(weights.sum(-1), torch.ones(B, H, T)))

lengths = torch.tensor([5, 3])
mask = torch.arange(S)[None, :] < lengths[:, None]
print(mask)
out2, weights2, _ = attention(x, mem, mask[:, None, None, :])
print(weights2[1, 1].data)
ref = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :])
ref = ref.permute(0, 2, 1, 3).reshape(B, T, E) @ wo.reshape(E, E)
print("same as sdpa:", torch.allclose(out2, ref, atol=1e-6))

causal, cw, _ = attention(x, x, torch.ones(T, T).tril().bool())
print(cw[0, 0])
loss = (causal ** 2).mean() + out2.abs().mean()
print("loss", loss)
loss.backward()
for name, p in dict(wq=wq, wk=wk, wv=wv, wo=wo).items():
    print(name, p.grad.shape, f"{p.grad.norm():.5f}")
print(x.grad[1])

# other contractions
A, M = torch.arange(6.).reshape(2, 3), torch.arange(9.).view(3, 3)
print(einsum("ij->ji", A), einsum("ii", M), einsum("ii->i", M), einsum("ij,jk->ik", A, M), einsum("ij,ij->", A, A), sep="\n")
print(einsum("i,j->ij", A[0], A[1]), einsum("...ij,...jk->...ik", torch.ones(2, 1, 2, 3), M).shape)
bil = einsum("bi,kij,bj->bk", torch.ones(2, 2), torch.arange(12.).view(2, 2, 3), torch.ones(2, 3))
print(bil)

mha = nn.MultiheadAttention(E, H, batch_first=True)
o, w = mha(x.detach(), mem, mem, key_padding_mask=~mask)
print(mha, o.shape, w.shape, sep="\n")
print(o[1])
print(w[1])
