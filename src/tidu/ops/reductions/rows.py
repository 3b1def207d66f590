"""Sums over a row in lanes, which is how PyTorch adds in softmax and in small matrix products.

On x86 it takes some elements at once, in softmax 16 with AVX-512: lane j sums up x[j], x[j + 16],
x[j + 32], ...; then the upper half of the lanes is added to the lower one, of 16, of 8, of 4 and of
2. In softmax, a row of less than 16 is summed up one by one.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from tidu.ir.op import Array, Lanes, Op, Sample, define
from tidu.ops.reductions.reduce import Dims, in_order_numpy, infer_summed, spread

_OF_SOFTMAX = 16


def _in_lanes_numpy(count: int, x: Any, dims: Dims, keepdim: bool) -> Any:
    size = x.shape[-1]
    whole = size - size % count
    rows = x[..., :whole].reshape(*x.shape[:-1], whole // count, count)
    lanes = in_order_numpy(rows, (rows.ndim - 2,), False)
    lanes[..., : size - whole] += x[..., whole:]
    while count > 1:
        count //= 2
        lanes = lanes[..., :count] + lanes[..., count:]
    return lanes if keepdim else lanes[..., 0]


def _define(name: str, lanes: Lanes, numpy: Any, sizes: tuple[int, ...]) -> Op:
    return define(
        name,
        attrs="dims keepdim",
        kind="reduction",
        infer=infer_summed,
        numpy=numpy,
        emit=lambda s, accumulator, x: s.add(accumulator, x),
        identity=lambda d: 0,
        lanes=lanes,
        vjp=(lambda g, out, x, dims, keepdim: spread(g, x.shape, dims, keepdim),),
        samples=lambda: [
            Sample((Array((3, size)), (1,), keepdim)) for size in sizes for keepdim in (True, False)
        ],
        reference=lambda torch, x, dims, keepdim: torch.sum(x, dims, keepdim),
    )


_IN_LANES = {
    count: _define(
        f"sum_in_{count}_lanes",
        Lanes(count, halved=True),
        partial(_in_lanes_numpy, count),
        (count, 2 * count + 3, 12 * count),
    )
    for count in (4, 8, 16)
}
_one_by_one = _define("sum_one_by_one", Lanes(_OF_SOFTMAX, halved=False), in_order_numpy, (1, 5))


def sum_in_lanes(x: Any, count: int) -> Any:
    """The sum over the last dimension, which stays as one of size 1, in 4, 8 or 16 lanes."""
    return _IN_LANES[count](x, (len(x.shape) - 1,), True)


def sum_in_lanes_numpy(x: Any, count: int) -> Any:
    """As `sum_in_lanes`, of a NumPy array."""
    return _in_lanes_numpy(count, x, (x.ndim - 1,), True)


def sum_row(x: Any) -> Any:
    """The sum over the last dimension as in softmax; the dimension stays as one of size 1."""
    if x.shape[-1] < _OF_SOFTMAX:
        return _one_by_one(x, (len(x.shape) - 1,), True)
    return sum_in_lanes(x, _OF_SOFTMAX)


def sum_row_numpy(x: Any) -> Any:
    """As `sum_row`, of a NumPy array."""
    if x.shape[-1] < _OF_SOFTMAX:
        return in_order_numpy(x, (x.ndim - 1,), True)
    return sum_in_lanes_numpy(x, _OF_SOFTMAX)
