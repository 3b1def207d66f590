"""Random programs: a list of steps, each four integers, read as operations on tensors made so far.

What a step does depends on shapes and dtypes only, never on numbers, so a program may be run twice
and does the same. Where a rounding error could change a result by more than itself (a comparison,
an index, the slope of a maximum), only tensors are used whose numbers no order of summation and no
polynomial rounds: small multiples of a power of two.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import tidu
from tidu import Tensor
from tidu.nn import functional as F

# Around the lengths of vectors, and what is empty or alone.
SIZES = (1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 65, 100, 257, 5, 0)
LARGEST = 1 << 17
FLOATS = (tidu.float32, tidu.float64, tidu.float16, tidu.bfloat16)
INTEGERS = (tidu.int64, tidu.int32, tidu.uint8)
KINDS = (*(tidu.float32,) * 7, *FLOATS, *INTEGERS, tidu.bool)
# Bits of the significand.
PRECISION = {tidu.float16: 11, tidu.bfloat16: 8, tidu.float32: 24, tidu.float64: 53}

Step = tuple[int, int, int, int]


class Exact(NamedTuple):
    """Numbers are multiples of 2**-fraction and smaller than 2**magnitude."""

    fraction: int
    magnitude: int


class Item(NamedTuple):
    tensor: Tensor
    exact: Exact | None


class Program:
    """One run of a list of steps. `nudge` moves numbers that need not be exact by so many units in
    the last place.
    """

    def __init__(self, steps: list[Step], nudge: float = 0.0) -> None:
        self.items: list[Item] = []
        self.leaves: list[Tensor] = []
        self.nudge = nudge
        self.errors: list[str] = []
        self.coarsest = PRECISION[tidu.float64]  # of all numbers that results may be made of
        first, second = (abs(steps[0][1]), abs(steps[0][2])) if steps else (0, 0)
        self.sizes = (SIZES[first % len(SIZES)], SIZES[second % len(SIZES)], 2)
        self.rng = np.random.default_rng(0)
        for step in steps:
            self.run(*step)

    def results(self, kept: int) -> list[Any]:
        """All that can be seen at the end, of which `kept` tells what is held until then: the bits
        of it stand for tensors.
        """
        held = [x.tensor for i, x in enumerate(self.items) if kept >> i % 16 & 1]
        held += [x.tensor for x in self.items[-1:]]
        self.items.clear()
        tidu.realize()
        held += [x.grad for x in self.leaves if x.grad is not None]
        return [_numbers(x.detach()) for x in held]

    # Choosing

    def run(self, kind: int, first: int, second: int, how: int) -> None:
        if not self.items:
            kind = 0
        try:
            made = _STEPS[kind % len(_STEPS)](self, first, second, how)
        except (RuntimeError, IndexError, ValueError, TypeError) as error:
            self.errors.append(type(error).__name__)
            return
        if made is not None and made.tensor.numel() <= LARGEST:
            self.items.append(made)
            self.coarsest = min(self.coarsest, PRECISION.get(made.tensor.dtype, self.coarsest))

    def any(self, number: int) -> Item:
        return self.items[number % len(self.items)]

    def find(self, number: int, wanted: Callable[[Item], bool]) -> Item | None:
        """The first that will do, from one of them on."""
        count = len(self.items)
        order = (self.items[(number + i) % count] for i in range(count))
        return next((x for x in order if wanted(x)), None)

    def floating(self, number: int) -> Item:
        found = self.find(number, lambda x: x.tensor.dtype.is_floating_point)
        return found or self.leaf(number, number, 0)

    def safe(self, number: int) -> Item:
        """One that may be compared, or whose derivative may have steps."""
        found = self.find(number, lambda x: x.exact is not None)
        return found or self.leaf(number, number, 0)

    def beside(self, x: Tensor, number: int, wanted: Callable[[Item], bool] = bool) -> Item | None:
        """One that broadcasts with `x`."""
        return self.find(number, lambda y: wanted(y) and _broadcasts(x.shape, y.tensor.shape))

    # Leaves

    def shape(self, how: int) -> tuple[int, ...]:
        n, m, k = self.sizes
        shapes = [
            (n, m), (n,), (m, n), (k, n, m), (1, m), (n, 1), (m,), (), (k, m, n), (n, k, m),
            (m, m), (k, 1, m), (n, m, k), (k, k, n, m), (n, n), (1,),
        ]  # fmt: skip
        shape = shapes[how % len(shapes)]
        return shape if math.prod(shape) <= LARGEST else (n,)

    def leaf(self, first: int, second: int, how: int) -> Item:
        shape = self.shape(first)
        dtype = KINDS[second % len(KINDS)]
        if dtype is tidu.bool:
            return Item(tidu.tensor(self.rng.random(shape) < 0.5), Exact(0, 0))
        if not dtype.is_floating_point:
            numbers = self.rng.integers(0 if dtype is tidu.uint8 else -9, 10, shape)
            return Item(tidu.tensor(numbers, dtype=dtype), Exact(0, 4))
        exact = how % 3 == 0
        if exact:
            numbers = self.rng.integers(-7, 8, shape) / 4.0
        else:
            numbers = self.rng.uniform(-1.5, 1.5, shape)
            moved = self.nudge * 2.0 ** -PRECISION[dtype] * self.rng.choice((-1.0, 1.0), shape)
            numbers = numbers * (1.0 + moved)
        tensor = tidu.tensor(numbers, dtype=dtype)
        if how % 2:
            tensor.requires_grad_()
            self.leaves.append(tensor)
        return Item(tensor, Exact(2, 1) if exact else None)


def _numbers(x: Tensor) -> np.ndarray[Any, Any]:
    array = x.numpy() if x.dtype is not tidu.bfloat16 else x.float().numpy()
    assert array.shape == tuple(x.shape)
    return array


def _broadcasts(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return all(n == m or 1 in (n, m) for n, m in zip(reversed(a), reversed(b), strict=False))


def _fits(x: Tensor, exact: Exact | None) -> Exact | None:
    """`exact`, if the dtype of `x` holds such numbers."""
    if exact is None:
        return None
    room = PRECISION.get(x.dtype, 62)
    if x.dtype.is_floating_point:
        return (
            exact if exact.fraction + exact.magnitude < room - 1 and exact.magnitude < 14 else None
        )
    return exact


def _kept(tensor: Tensor, like: Item) -> Item:
    return Item(tensor, _fits(tensor, like.exact))


def _inexact(tensor: Tensor) -> Item:
    """What integers become is as exact as they are; floats may have been rounded."""
    return Item(tensor, None if tensor.dtype.is_floating_point else Exact(0, 62))


def _is_bool(x: Tensor) -> bool:
    return x.dtype is tidu.bool


# Steps --------------------------------------------------------------------------------------------


def _leaf(p: Program, first: int, second: int, how: int) -> Item:
    return p.leaf(first, second, how)


def _view(p: Program, first: int, second: int, how: int) -> Item:
    x = p.any(first)
    t = x.tensor
    n = t.dim()
    d, e = (second % n, how // 7 % n) if n else (0, 0)
    step = 1 + second % 3
    start = how % 3
    choices = [
        lambda: t.flip(d) if n else t,
        lambda: t.transpose(d, e) if n else t[None],
        lambda: t.permute([(i + second) % n for i in range(n)]),
        lambda: t.reshape(-1),
        lambda: t[(slice(None),) * d + (slice(start, None, step),)] if n else t,
        lambda: t.unsqueeze(second % (n + 1)),
        lambda: t.squeeze(),
        lambda: t.select(d, -1) if n else t,
        lambda: t.diagonal() if n >= 2 else t,
        lambda: t.expand(3, *t.shape),
        lambda: t.narrow(d, 0, max(t.shape[d] - 1, 0)) if n else t,
        lambda: t.reshape(t.shape[::-1]),
        lambda: t.unfold(d, min(2, t.shape[d]), 1) if n else t,
        lambda: t.flip(tuple(range(n))),
        lambda: t.flatten(0, 1) if n > 1 else t,
        lambda: t.chunk(2, d)[-1] if n else t,
        lambda: t.swapaxes(0, -1).contiguous() if n else t,
        lambda: t.as_strided((2, max(t.numel() // 4, 1)), (1, 2)) if t.numel() >= 4 else t,
        lambda: t.view(t.shape),
        lambda: t.detach(),
    ]
    return _kept(choices[how % len(choices)](), x)


def _smooth(p: Program, first: int, second: int, how: int) -> Item:
    t = p.floating(first).tensor
    c = 0.25 * (second % 7) - 0.7
    choices = [
        lambda: t.tanh(),
        lambda: t.sigmoid() * t,
        lambda: tidu.exp(-t * t),
        lambda: t.sin() + c,
        lambda: t.cos() * 0.5,
        lambda: tidu.log(t * t + 1.5),
        lambda: tidu.sqrt(t * t + 0.5),
        lambda: t / (t * t + 1.0),
        lambda: t**2 * 0.3,
        lambda: (t * c + 0.1) * 0.5,
        lambda: F.gelu(t),
        lambda: F.silu(t),
        lambda: F.softplus(t),
        lambda: tidu.erf(t) - c,
        lambda: tidu.rsqrt(t * t + 1.0),
        lambda: tidu.atan(t),
        lambda: tidu.expm1(t.tanh()),
        lambda: tidu.log1p(t * t),
        lambda: tidu.lerp(t, t * t, 0.3),
        lambda: tidu.addcmul(t, t, t, value=0.2),
        lambda: tidu.sinh(t.tanh()),
        lambda: tidu.pow(t * t + 0.5, 1.5) * 0.1,
    ]
    return _inexact(choices[how % len(choices)]())


def _stepped(p: Program, first: int, second: int, how: int) -> Item:
    """What is not continuous, or whose derivative is not."""
    x = p.safe(first)
    t = x.tensor
    c = 0.5 * (second % 5) - 1.0
    k = second % 4
    if _is_bool(t):
        choices = [
            lambda: ~t,
            lambda: t.float(),
            lambda: t.logical_not(),
            lambda: t.to(tidu.int32),
            lambda: t * 3,
        ]
        return Item(choices[how % len(choices)](), Exact(0, 2))
    common = [
        lambda: t.abs(),
        lambda: -t,
        lambda: t.clamp(0, 3),
        lambda: t.sign(),
        lambda: t > c,
        lambda: t == k,
        lambda: t <= c,
        lambda: t.to(tidu.int64),
        lambda: t.to(tidu.float64),
        lambda: t.bool(),
        lambda: tidu.where(t > 0, t, 0),
        lambda: t * 2,
        lambda: t != 0,
        lambda: t.to(tidu.int32),
        lambda: t.to(tidu.uint8) if not t.dtype.is_floating_point else t.abs().to(tidu.uint8),
        lambda: t.to(tidu.float32),
        lambda: t.to(tidu.float16),
        lambda: t.masked_fill(t > 1, 0),
        lambda: t.logical_not(),
    ]
    if t.dtype.is_floating_point:
        more = [
            lambda: t.relu(),
            lambda: t.floor(),
            lambda: t.round(),
            lambda: t.trunc(),
            lambda: t.ceil(),
            lambda: F.leaky_relu(t, 0.25),
            lambda: F.hardtanh(t),
            lambda: tidu.heaviside(t, t),
            lambda: t.isnan(),
            lambda: F.threshold(t, 0.5, 0.25),
            lambda: tidu.frac(t),
        ]
    else:
        more = [
            lambda: t & 6,
            lambda: t | 5,
            lambda: t ^ 3,
            lambda: t << 1,
            lambda: t >> 1,
            lambda: t // 3,
            lambda: t % 5,
            lambda: ~t,
            lambda: t - 3,
            lambda: tidu.clamp(t, min=2),
            lambda: tidu.fmod(t, 4),
        ]
    every = common + more
    made = every[how % len(every)]()
    grown = None if x.exact is None else Exact(x.exact.fraction + 2, x.exact.magnitude + 1)
    return Item(made, _fits(made, grown))


def _binary(p: Program, first: int, second: int, how: int) -> Item | None:
    x = p.any(first)
    y = p.beside(x.tensor, second)
    assert y is not None  # x itself is one
    a, b = x.tensor, y.tensor
    exact = x.exact is not None and y.exact is not None
    grown = (
        Exact(x.exact.fraction + y.exact.fraction, x.exact.magnitude + y.exact.magnitude + 1)
        if x.exact is not None and y.exact is not None
        else None
    )
    choices: list[Callable[[], Tensor]] = [
        lambda: a + b,
        lambda: a * b,
        lambda: a - b if not (_is_bool(a) or _is_bool(b)) else a ^ b,
        lambda: tidu.stack([a, b]) if a.shape == b.shape else a + b,
    ]
    if exact:
        choices += [
            lambda: tidu.maximum(a, b),
            lambda: tidu.minimum(a, b),
            lambda: tidu.where(a > b, a, b),
            lambda: a < b,
            lambda: a == b,
            lambda: a >= b,
            lambda: (a != 0) & (b != 0),
            lambda: tidu.where(b.bool(), a, -1),
        ]
        if not (a.dtype.is_floating_point or b.dtype.is_floating_point):
            choices += [lambda: a & b, lambda: a | b, lambda: a ^ b, lambda: a // (b % 3 + 1)]
    made = choices[how % len(choices)]()
    return Item(made, _fits(made, grown))


def _quotient(p: Program, first: int, second: int, how: int) -> Item | None:
    a = p.floating(first).tensor
    found = p.beside(a, second, lambda y: y.tensor.dtype.is_floating_point)
    b = a if found is None else found.tensor
    choices = [
        lambda: a / (b * b + 1.0),
        lambda: tidu.atan2(a, b * b + 0.5),
        lambda: tidu.hypot(a, b * b + 0.5),
        lambda: tidu.addcdiv(a, b, b * b + 1.0, value=0.5),
        lambda: tidu.logaddexp(a, b),
        lambda: (a - b) ** 2 * 0.2,
    ]
    return _inexact(choices[how % len(choices)]())


def _dims(t: Tensor, how: int) -> tuple[int, ...]:
    """Some of the dimensions, at least one if there are any."""
    chosen = tuple(d for d in range(t.dim()) if how >> d & 1)
    return chosen or tuple(range(t.dim()))


def _reduction(p: Program, first: int, second: int, how: int) -> Item | None:
    x = p.any(first)
    t = x.tensor
    dims, keep = _dims(t, second), bool(how // 16 % 2)
    last = dims[-1] if dims else 0
    count = math.prod(t.shape[d] for d in dims)
    if _is_bool(t):
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
        return _kept(stepped[how // 2 % len(stepped)](), x)
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
    return _inexact(choices[how % len(choices)]())


def _row(p: Program, first: int, second: int, how: int) -> Item | None:
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
    return _inexact(choices[how % len(choices)]())


def _joining(p: Program, first: int, second: int, how: int) -> Item | None:
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
        lambda: tidu.stack([t, t * 2], d) if not _is_bool(t) else t,
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
    return Item(made, _fits(made, both))


def _indices(p: Program, number: int, shape: tuple[int, ...], size: int, *, negative: bool) -> Any:
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


def _indexing(p: Program, first: int, second: int, how: int) -> Item | None:
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
    values = t * 2 if not _is_bool(t) else ~t
    choices = [
        lambda: t[(*full, at)],
        lambda: t.gather(d, along),
        lambda: t.index_select(d, at.reshape(-1) % n),
        lambda: t.take_along_dim(along, d),
        lambda: t.scatter(d, along, values),
        lambda: t.scatter_add(d, along, values) if not _is_bool(t) else t,
        lambda: (
            t.index_add(d, at.reshape(-1)[:n] % n, _first(values, d, at.numel()))
            if not _is_bool(t) and at.numel() >= 1
            else t
        ),
        lambda: t.index_put((at,), t[0]) if d == 0 else t,
        lambda: t.index_put((at,), t[0], accumulate=True) if d == 0 and not _is_bool(t) else t,
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
    return Item(made, _fits(made, grown))


def _first(x: Tensor, d: int, count: int) -> Tensor:
    """As many slices along `d` as there are indices."""
    return x.narrow(d, 0, min(count, x.shape[d]))


def _product(p: Program, first: int, second: int, how: int) -> Item | None:
    a = p.floating(first).tensor
    if not a.dim():
        return None
    found = p.find(
        second,
        lambda y: (
            y.tensor.dtype is a.dtype
            and y.tensor.dim() > 0
            and y.tensor.shape[-2 if y.tensor.dim() > 1 else 0] == a.shape[-1]
            and _broadcasts(a.shape[:-2], y.tensor.shape[:-2])
        ),
    )
    b = a.transpose(-1, -2) if found is None and a.dim() > 1 else a
    b = b if found is None else found.tensor
    scale = 1.0 / math.sqrt(max(a.shape[-1], 1))
    choices = [
        lambda: (a @ b) * scale,
        lambda: (a @ b).tanh(),
        lambda: F.linear(a, a) * scale if a.dim() == 2 else a,
        lambda: tidu.einsum("...i,...i->...", a, a) * scale,
        lambda: (a.flip(-1) @ b) * scale,
        lambda: (a @ b + 1.0).sigmoid(),
        lambda: tidu.outer(a, a) if a.dim() == 1 else (a.transpose(-1, -2) @ a) * scale,
    ]
    return _inexact(choices[how % len(choices)]())


def _in_place(p: Program, first: int, second: int, how: int) -> Item | None:
    x = p.any(first)
    a = x.tensor
    y = p.find(
        second,
        lambda y: (
            _broadcasts(a.shape, y.tensor.shape)
            and len(y.tensor.shape) <= a.dim()
            and all(
                m in (1, n)
                for n, m in zip(reversed(a.shape), reversed(y.tensor.shape), strict=False)
            )
            and y.exact is not None
        ),
    )
    b = a if y is None else y.tensor
    # What is written may be seen through every view: a number that is not exact goes only where
    # none was before.
    number = 0.3 if x.exact is None else 1
    choices = [
        lambda: a.add_(b),
        lambda: a.mul_(number),
        lambda: a.copy_(b),
        lambda: a.zero_(),
        lambda: a.fill_(1),
        lambda: a.__setitem__(0, 1),
        lambda: a.__setitem__((Ellipsis, slice(None, None, 2)), 2),
        lambda: a.add_(1),
        lambda: a.neg_(),
        lambda: a.masked_fill_(a == a, 1),
        lambda: a.__setitem__((slice(1, None),), b),
        lambda: a.t_() if a.dim() == 2 else None,
        lambda: a.flip(0).add_(b),
        lambda: a.detach().mul_(2),
    ]
    # Exactness would have to be followed through all views: none is left that shares memory.
    choices[how % len(choices)]()
    p.items = [Item(z.tensor, None) if z.tensor.dtype.is_floating_point else z for z in p.items]
    return None


def _backward(p: Program, first: int, second: int, how: int) -> Item | None:
    x = p.find(first, lambda y: y.tensor.requires_grad)
    if x is None or not x.tensor.numel():
        return None
    loss = (x.tensor * 0.5).sum() if how % 2 else x.tensor.mean()
    loss.backward(retain_graph=bool(second % 2))
    return None


def _second_order(p: Program, first: int, second: int, how: int) -> Item | None:
    x = p.find(first, lambda y: y.tensor.requires_grad)
    if x is None or not p.leaves:
        return None
    leaf = p.leaves[second % len(p.leaves)]
    (slope,) = tidu.autograd.grad(
        (x.tensor * x.tensor).sum() * 0.1, leaf, create_graph=True, allow_unused=True
    )
    return None if slope is None else Item(slope, None)


def _update(p: Program, first: int, second: int, how: int) -> Item | None:
    for leaf in p.leaves:
        if leaf.grad is not None:
            with tidu.no_grad():
                leaf.sub_(leaf.grad * 0.01)
            if how % 2:
                leaf.grad = None
    p.items = [Item(z.tensor, None) if z.tensor.dtype.is_floating_point else z for z in p.items]
    return None


def _realize(p: Program, first: int, second: int, how: int) -> Item | None:
    tidu.realize()
    return None


_STEPS: tuple[Callable[[Program, int, int, int], Item | None], ...] = (
    _leaf, _leaf, _view, _view, _view, _smooth, _smooth, _stepped, _stepped, _binary, _binary,
    _binary, _quotient, _reduction, _reduction, _row, _joining, _indexing, _product, _in_place,
    _backward, _backward, _second_order, _update, _realize,
)  # fmt: skip
STEP_KINDS = len(_STEPS)
