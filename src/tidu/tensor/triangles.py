"""The places of triangles, as index tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base import devices, dtypes
from tidu.ir.op import function
from tidu.tensor.tensor import Tensor, from_array


def _indices(name: str, row: int, col: int, places: Any, d: Any, device: Any) -> Tensor:
    devices.check(device)
    for what, n in (("row", row), ("col", col)):
        if n < 0:
            raise RuntimeError(f"{what} must be non-negative, got{n}: {name}({row}, {col})")
    d = d or dtypes.int64
    return from_array(np.stack(places).astype(d.numpy), d)


@function("torch.tril_indices")
def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None, **rest: Any
) -> Tensor:
    """Rows and columns of the lower triangle of a row × col matrix, as a tensor of two rows."""
    places = np.tril_indices(row, offset, col) if row > 0 <= col else (np.zeros(0), np.zeros(0))
    return _indices("tril_indices", row, col, places, dtype, device)


@function("torch.triu_indices")
def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None, **rest: Any
) -> Tensor:
    """Rows and columns of the upper triangle of a row × col matrix, as a tensor of two rows."""
    places = np.triu_indices(row, offset, col) if row > 0 <= col else (np.zeros(0), np.zeros(0))
    return _indices("triu_indices", row, col, places, dtype, device)
