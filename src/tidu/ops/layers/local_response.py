"""Local response norm: channels divided by the squares of their neighbors."""

from __future__ import annotations

from math import prod
from typing import Any

from tidu.ir.op import function
from tidu.ops.moving.movement import place, ranges_along, slice_along


@function("torch.nn.functional.local_response_norm")
def local_response_norm(
    input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Any:
    """input / (`k` + `alpha` · mean of the squares of `size` neighboring channels)^`beta`.

    Raises ValueError for fewer than 3 dimensions (Krizhevsky et al., 2012).

    >>> F.local_response_norm(torch.ones(1, 2, 1), size=2, alpha=1.0).flatten()
    tensor([0.7378, 0.5946])
    """
    rank = len(input.shape)
    if rank < 3:
        raise ValueError(f"Expected 3D or higher dimensionality input (got {rank} dimensions)")
    if prod(input.shape) == 0:
        return input
    square = input * input
    channels = input.shape[1]
    padded_shape = (input.shape[0], channels + size - 1, *input.shape[2:])
    padded = place(
        square, padded_shape, ranges_along(input.shape, 1, size // 2, size // 2 + channels)
    )
    total = slice_along(padded, 1, 0, channels)
    for start in range(1, size):
        total = total + slice_along(padded, 1, start, start + channels)
    return input / (total * (alpha / size) + k) ** beta
