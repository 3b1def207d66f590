"""Steps that combine elements: reductions, rows, joining, indexing, products."""

from __future__ import annotations

import math
from typing import Any

import tidu
from tests.compiler.regions.pool import Exact, Item, Pool, broadcasts, fits, inexact, is_bool, kept
from tidu import Tensor
from tidu.nn import functional as F


def _dims(t: Tensor, how: int) -> tuple[int, ...]:
    """Some of the dimensions, at least one if there are any."""
    chosen = tuple(d for d in range(t.dim()) if how >> d & 1)
    return chosen or tuple(range(t.dim()))


def reduction(p: Pool, first: int, second: int, how: int) -> Item | None:
    x = p.any(first)
    t = x.tensor
    dims, keep = _dims(t, second), bool(how // 16 % 2)
    last = dims[-1] if dims else 0
    count = math.prod(t.shape[d] for d in dims)
    if is_bool(t):
        choices = [
            lambda: t.any(last, keep) if t.dim() else t.any(),
            lambda: t.all(last, keep) if t.dim() else t.all(),
            lambda: t.sum(dims, keep),
        ]
        return Item(choices[how % len(choices)](), Exact(0, 20))
    if not t.dtype.is_floating_point:
        whole = [
            lambda: t.sum(dims, keep),
            lambda: t.amax(dims, keep) if t.numel() else t,
            lambda: t.amin(dims, keep) if t.numel() else t,
            lambda: t.prod(last, keep) if t.dim() else t.prod(),
            lambda: t.argmax(last) if t.numel() and t.dim() else t,
            lambda: t.cumsum(last) if t.dim() else t,
        ]
        return Item(whole[how % len(whole)](), Exact(0, 62))
    if x.exact is not None and how % 2:
        stepped = [
            lambda: t.amax(dims, keep) if t.numel() else t,
            lambda: t.amin(dims, keep) if t.numel() else t,
            lambda: t.argmax(last, keep) if t.numel() and t.dim() else t,
            lambda: t.argmin(last) if t.numel() and t.dim() else t,
            lambda: t.max(last).values if t.numel() and t.dim() else t,
            lambda: tidu.count_nonzero(t),
            lambda: t.sort(last).values if t.dim() else t,
        ]
        return kept(stepped[how // 2 % len(stepped)](), x)
    choices = [
        lambda: t.sum(dims, keep),
        lambda: t.mean(dims, keep),
        lambda: t.sum(),
        lambda: (t * t).sum(dims, keep) * 0.1,
        lambda: t.var(dims, unbiased=False, keepdim=keep) if count else t,
        lambda: (t.var(dims, unbiased=False, keepdim=keep) + 0.1).sqrt() if count else t,
        lambda: tidu.logsumexp(t, dims, keep) if t.numel() else t,
        lambda: (t * 0.5 + 1.0).prod(last, keep) if t.dim() and t.shape[last] < 20 else t,
        lambda: (t * t + 0.1).norm() * 0.1,
        lambda: t.cumsum(last) * 0.1 if t.dim() else t,
    ]
    return inexact(choices[how % len(choices)]())


def row(p: Pool, first: int, second: int, how: int) -> Item | None:
    """What works on whole rows."""
    x = p.find(first, lambda y: y.tensor.dtype.is_floating_point and y.tensor.dim() > 0)
    if x is None or 0 in x.tensor.shape:
        return None
    t = x.tensor
    d = second % t.dim()
    n = t.shape[-1]
    choices = [
        lambda: tidu.softmax(t, d),
        lambda: tidu.log_softmax(t, d),
        lambda: F.layer_norm(t, (n,), eps=0.1),
        lambda: F.layer_norm(t, (n,), t.new_ones(n) * 0.5, t.new_ones(n), 0.1),
        lambda: F.normalize(t + 2.0, dim=d),
        lambda: (
            F.batch_norm(t.reshape(-1, n), None, None, training=True, eps=0.1)
            if t.numel() > n
            else t
        ),
        lambda: F.rms_norm(t, (n,), eps=0.1),
        lambda: F.softmin(t, d),
        lambda: F.group_norm(t.reshape(1, -1, n), 1, eps=0.1) if t.numel() > 1 else t,
        lambda: F.cosine_similarity(t, t * 0.5 + 1.0, dim=d),
    ]
    return inexact(choices[how % len(choices)]())


def joining(p: Pool, first: int, second: int, how: int) -> Item | None:
    x = p.any(first)
    t = x.tensor
    if not t.dim():
        return None
    d = how % t.dim()
    same = p.find(
        second,
        lambda y: (
            y.tensor.dim() == t.dim()
            and all(i == d or y.tensor.shape[i] == n for i, n in enumerate(t.shape))
            and (x.exact is None) == (y.exact is None)
        ),
    )
    assert same is not None  # x itself is one
    u = same.tensor
    n = t.shape[d]
    choices = [
        lambda: tidu.cat([t, u], d),
        lambda: tidu.cat([u, t, u], d),
        lambda: tidu.stack([t, t * 2], d) if not is_bool(t) else t,
        lambda: t.split(max(n // 2, 1), d)[0],
        lambda: F.pad(t, (1, 2)),
        lambda: F.pad(t, (0, 1, 2, 0)) if t.dim() > 1 else t,
        lambda: F.pad(t, (-1, 1)) if t.shape[-1] else t,
        lambda: tidu.roll(t, 1, d),
        lambda: t.repeat(2, *(1,) * (t.dim() - 1)),
        lambda: t.repeat_interleave(2, d),
        lambda: t.tril() if t.dim() > 1 else t,
        lambda: (
            F.pad(t[None], (1, 1), mode="replicate")[0] if 0 not in t.shape and t.dim() == 2 else t
        ),
        lambda: tidu.cat([t, t.flip(d)], d)[(slice(None),) * d + (slice(1, None, 2),)],
        lambda: tidu.diag_embed(t) if t.dim() == 1 else t,
    ]
    made = choices[how // 8 % len(choices)]()
    both = (
        Exact(
            max(x.exact.fraction, same.exact.fraction),
            max(x.exact.magnitude, same.exact.magnitude) + 1,
        )
        if x.exact is not None and same.exact is not None
        else None
    )
    return Item(made, fits(made, both))


def _indices(p: Pool, number: int, shape: tuple[int, ...], size: int, *, negative: bool) -> Any:
    """Indices below `size`: computed ones where there are integers of that shape."""
    found = p.find(
        number,
        lambda y: y.tensor.dtype in (tidu.int64, tidu.int32) and tuple(y.tensor.shape) == shape,
    )
    if found is not None:
        low = size if negative else 0
        return (found.tensor.long() % size) - low
    low = -size if negative else 0
    return tidu.tensor(p.rng.integers(low, size, shape), dtype=tidu.int64)


def indexing(p: Pool, first: int, second: int, how: int) -> Item | None:
    x = p.find(first, lambda y: y.tensor.numel() > 0 and y.tensor.dim() > 0)
    if x is None:
        return None
    t = x.tensor
    d = second % t.dim()
    n = t.shape[d]
    some = (3, 5) if how % 2 else (p.sizes[0],)
    at = _indices(p, second, some, n, negative=bool(how % 3 == 0))
    along = _indices(p, second + 1, tuple(t.shape), n, negative=False)
    full = (slice(None),) * d
    values = t * 2 if not is_bool(t) else ~t
    choices = [
        lambda: t[(*full, at)],
        lambda: t.gather(d, along),
        lambda: t.index_select(d, at.reshape(-1) % n),
        lambda: t.take_along_dim(along, d),
        lambda: t.scatter(d, along, values),
        lambda: t.scatter_add(d, along, values) if not is_bool(t) else t,
        lambda: (
            t.index_add(d, at.reshape(-1)[:n] % n, _first(values, d, at.numel()))
            if not is_bool(t) and at.numel() >= 1
            else t
        ),
        lambda: t.index_put((at,), t[0]) if d == 0 else t,
        lambda: t.index_put((at,), t[0], accumulate=True) if d == 0 and not is_bool(t) else t,
        lambda: t.index_copy(d, tidu.arange(n).flip(0), values),
        lambda: t.index_fill(d, at.reshape(-1) % n, 1),
        lambda: F.embedding(at % t.shape[0], t) if t.dim() == 2 else t,
        lambda: t[(*full, at, None)],
        lambda: t.take(along % t.numel()),
    ]
    made = choices[how // 6 % len(choices)]()
    grown = (
        None
        if x.exact is None
        else Exact(x.exact.fraction, x.exact.magnitude + 2 + along.numel().bit_length())
    )
    return Item(made, fits(made, grown))


def _first(x: Tensor, d: int, count: int) -> Tensor:
    """As many slices along `d` as there are indices."""
    return x.narrow(d, 0, min(count, x.shape[d]))


def product(p: Pool, first: int, second: int, how: int) -> Item | None:
    a = p.floating(first).tensor
    if not a.dim():
        return None
    found = p.find(
        second,
        lambda y: (
            y.tensor.dtype is a.dtype
            and y.tensor.dim() > 0
            and y.tensor.shape[-2 if y.tensor.dim() > 1 else 0] == a.shape[-1]
            and broadcasts(a.shape[:-2], y.tensor.shape[:-2])
        ),
    )
    b = a.transpose(-1, -2) if found is None and a.dim() > 1 else a
    b = b if found is None else found.tensor
    scale = 1.0 / math.sqrt(max(a.shape[-1], 1))
    choices = [
        lambda: (a @ b) * scale,
        # Where tanh is nearly 1, its slope is made of the last bits of that.
        lambda: ((a @ b) * scale).tanh(),
        lambda: F.linear(a, a) * scale if a.dim() == 2 else a,
        lambda: tidu.einsum("...i,...i->...", a, a) * scale,
        lambda: (a.flip(-1) @ b) * scale,
        lambda: ((a @ b) * scale + 1.0).sigmoid(),
        lambda: tidu.outer(a, a) if a.dim() == 1 else (a.transpose(-1, -2) @ a) * scale,
    ]
    return inexact(choices[how % len(choices)]())
