"""Ready-made samples for ops of the common forms: every shape that has gone wrong somewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tidu.ir.op import Array, Sample

Samples = Callable[[], Sequence[Sample]]


def unary(low: float = -2.0, high: float = 2.0) -> Samples:
    """One tensor: a matrix, a vector, 0-d, empty; with numbers in [low, high)."""
    return lambda: [Sample((Array(shape, low, high),)) for shape in ((3, 4), (5,), (), (0, 3))]


def binary(
    low: float = -2.0, high: float = 2.0, low2: float | None = None, high2: float | None = None
) -> Samples:
    """Two tensors: equal shapes, broadcasting both ways, 0-d, empty, and a Python number."""
    a, b = low if low2 is None else low2, high if high2 is None else high2
    shapes = [
        ((3, 4), (3, 4)),
        ((3, 4), (4,)),
        ((2, 1, 3), (4, 1)),
        ((), (2,)),
        ((), ()),
        ((0, 3), (1, 3)),
    ]
    number = (a + b) / 2 + 0.3

    def make() -> list[Sample]:
        pairs = [Sample((Array(s, low, high), Array(t, a, b))) for s, t in shapes]
        return [*pairs, Sample((Array((2, 3), low, high), number))]

    return make


def binary_tensors(low: float = -2.0, high: float = 2.0) -> Samples:
    """As `binary`, without the Python number."""
    return lambda: [s for s in binary(low, high)() if isinstance(s.args[1], Array)]
