"""What activations that are linear in pieces have in common: `slope`, their derivative."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from tidu.ir.op import Array, Op, Sample, define
from tidu.ops.elementwise import fill
from tidu.ops.rules import arithmetic


def lies_in(s: Any, x: Any, region: str, low: float | None, high: float | None) -> Any:
    """Whether x lies in a region:
    "open" low < x < high, "closed" low ≤ x ≤ high, or "outside" (low, high).
    """
    if region == "outside":
        return s.bit_or(s.le(x, s.const(low, x)), s.le(s.const(high, x), x))
    compare = s.lt if region == "open" else s.le
    above = None if low is None else compare(s.const(low, x), x)
    below = None if high is None else compare(x, s.const(high, x))
    if above is None or below is None:
        return below if above is None else above
    return s.bit_and(above, below)


def _scaled(s: Any, g: Any, factor: float) -> Any:
    if factor == 0.0:
        return s.const(0.0, g)  # even where g is infinite or NaN
    return g if factor == 1.0 else s.mul(g, s.const(factor, g))


def _slope_emit(
    s: Any, g: Any, x: Any, region: str, low: Any, high: Any, inner: float, outer: float
) -> Any:
    return s.select(lies_in(s, x, region, low, high), _scaled(s, g, inner), _scaled(s, g, outer))


def _slope_reference(
    torch: Any, g: Any, x: Any, region: str, low: Any, high: Any, inner: float, outer: float
) -> Any:
    if region == "outside":
        chosen = (x <= low) | (x >= high)
    else:
        above = torch.gt if region == "open" else torch.ge
        chosen = (x == x) if low is None else above(x, low)
        chosen = chosen if high is None else chosen & above(torch.full_like(x, high), x)
    return torch.where(chosen, g * inner, g * outer) + x * 0


# g times one of two numbers, by the region in which x lies. An op of its own, because a gradient of
# it has to know that it depends on x: the answer there is zero, not "no gradient".
slope: Op = define(
    "slope",
    inputs="gradient input",
    attrs="region low high inner outer",
    infer=arithmetic,
    emit=_slope_emit,
    vjp=(
        lambda g, out, gradient, x, *attrs: slope(g, x, *attrs),
        lambda g, out, gradient, x, *attrs: fill(x, 0.0),
    ),
    samples=lambda: [
        Sample((Array((3, 4)), Array((3, 4)), "open", 0.0, None, 1.0, 0.1)),
        Sample((Array((5,)), Array((5,)), "closed", -0.5, 0.5, 0.0, 1.0)),
        Sample((Array(()), Array(()), "closed", None, 1.0, 0.0, 1.0)),
        Sample((Array((0, 2)), Array((0, 2)), "outside", -1.0, 1.0, 0.0, 1.0)),
    ],
    dtypes="float",
    reference=_slope_reference,
)


def in_place(input: Any, result: Any, inplace: bool) -> Any:
    """What a function with `inplace=` returns: its result, or the input that now holds it."""
    return input._assign(result) if inplace else result


def away_from(*kinks: float) -> Any:
    """Samples of one tensor, with numbers on all sides of the kinks but never close to one."""
    edges = sorted(kinks)

    def make() -> Sequence[Sample]:
        pieces = [(edges[0] - 2.0, edges[0] - 0.1)]
        pieces += [(a + 0.05, b - 0.05) for a, b in pairwise(edges)]
        pieces.append((edges[-1] + 0.1, edges[-1] + 2.0))
        shapes = [(3, 4), (5,), (), (0, 3)]
        return [Sample((Array(shapes[i % 4], *piece),)) for i, piece in enumerate(pieces * 2)]

    return make


def with_attributes(samples: Any, *attrs: Any) -> Any:
    """The same samples with attributes behind the tensor."""
    return lambda: [Sample((*sample.args, *attrs)) for sample in samples()]
