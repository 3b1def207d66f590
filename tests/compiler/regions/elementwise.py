"""Steps that work element by element, and views."""

from __future__ import annotations

from collections.abc import Callable

import tidu
from tests.compiler.regions.pool import Exact, Item, Pool, fits, inexact, is_bool, kept
from tidu import Tensor
from tidu.nn import functional as F


def view(p: Pool, first: int, second: int, how: int) -> Item:
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
    return kept(choices[how % len(choices)](), x)


def smooth(p: Pool, first: int, second: int, how: int) -> Item:
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
    return inexact(choices[how % len(choices)]())


def stepped(p: Pool, first: int, second: int, how: int) -> Item:
    """What is not continuous, or whose derivative is not."""
    x = p.safe(first)
    t = x.tensor
    c = 0.5 * (second % 5) - 1.0
    k = second % 4
    if is_bool(t):
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
    return Item(made, fits(made, grown))


def binary(p: Pool, first: int, second: int, how: int) -> Item | None:
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
        lambda: a - b if not (is_bool(a) or is_bool(b)) else a ^ b,
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
    return Item(made, fits(made, grown))


def quotient(p: Pool, first: int, second: int, how: int) -> Item | None:
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
    return inexact(choices[how % len(choices)]())
