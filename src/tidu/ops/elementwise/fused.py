"""x · y + z, rounded once: what it gives in bits depends on that, so it is an operation."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from tidu.ir.op import Array, Sample, define
from tidu.ops.rules import arithmetic

# So many elements of float64 stay in the cache from one NumPy function to the next.
_BLOCK = 1 << 14


def _rounded_once(x: Any, y: Any, z: Any) -> Any:
    """float64 holds the product of two float32, and rounds their sum far below float32."""
    if np.result_type(x, y, z) != np.float32:
        return x * y + z
    shape = np.broadcast_shapes(np.shape(x), np.shape(y), np.shape(z))
    size = prod(shape)
    if size <= _BLOCK or not shape:
        return (np.multiply(x, y, dtype=np.float64) + z).astype(np.float32)
    # What is repeated is widened once.
    x, y, z = (a.astype(np.float64) if a.size < size else a for a in map(np.asarray, (x, y, z)))
    x, y, z = (np.broadcast_to(a, shape) for a in (x, y, z))
    out = np.empty(shape, np.float32)
    rows = max(1, _BLOCK * shape[0] // size)
    for start in range(0, shape[0], rows):
        block = slice(start, start + rows)
        wide = np.multiply(x[block], y[block], dtype=np.float64)
        wide += z[block]
        out[block] = wide
    return out


multiply_add = define(
    "multiply_add",
    inputs="x y z",
    infer=arithmetic,
    numpy=_rounded_once,
    emit=lambda s, x, y, z: s.fma(x, y, z),
    vjp=(
        lambda g, out, x, y, z: g * y,
        lambda g, out, x, y, z: g * x,
        lambda g, out, x, y, z: g,
    ),
    samples=lambda: [
        Sample((Array((3, 4)), Array((3, 4)), Array((3, 4)))),
        Sample((Array((3, 200, 50)), Array((1, 200, 1)), Array((50,)))),
        Sample((Array(()), Array((2,)), Array((3, 1)))),
    ],
    dtypes="float",
    reference=lambda torch, x, y, z: x * y + z,
)
