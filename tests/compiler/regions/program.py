"""Random programs: a list of steps, each four integers, read as operations on tensors made so far.

What a step does depends on shapes and dtypes only, never on numbers, so a program may be run twice
and does the same. Where a rounding error could change a result by more than itself (a comparison,
an index, the slope of a maximum), only tensors are used whose numbers no order of summation and no
polynomial rounds: small multiples of a power of two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tidu
from tests.compiler.regions.across import indexing, joining, product, reduction, row
from tests.compiler.regions.elementwise import binary, quotient, smooth, stepped, view
from tests.compiler.regions.pool import LARGEST, PRECISION, SIZES, Item, Pool
from tests.compiler.regions.writing import backward, in_place, leaf, realize, second_order, update
from tidu import Tensor

Step = tuple[int, int, int, int]


class Program:
    """One run of a list of steps. `nudge` moves numbers that need not be exact by so many units in
    the last place.
    """

    def __init__(self, steps: list[Step], nudge: float = 0.0) -> None:
        first, second = (abs(steps[0][1]), abs(steps[0][2])) if steps else (0, 0)
        sizes = (SIZES[first % len(SIZES)], SIZES[second % len(SIZES)], 2)
        self.pool = Pool(sizes, nudge)
        self.errors: list[str] = []
        self.coarsest = PRECISION[tidu.float64]  # of all numbers that results may be made of
        for step in steps:
            self.run(*step)

    def results(self, kept: int) -> list[Any]:
        """All that can be seen at the end, of which `kept` tells what is held until then: the bits
        of it stand for tensors.
        """
        items = self.pool.items
        held = [x.tensor for i, x in enumerate(items) if kept >> i % 16 & 1]
        held += [x.tensor for x in items[-1:]]
        items.clear()
        tidu.realize()
        held += [x.grad for x in self.pool.leaves if x.grad is not None]
        return [_numbers(x.detach()) for x in held]

    def run(self, kind: int, first: int, second: int, how: int) -> None:
        if not self.pool.items:
            kind = 0
        try:
            made = _STEPS[kind % len(_STEPS)](self.pool, first, second, how)
        except (RuntimeError, IndexError, ValueError, TypeError) as error:
            self.errors.append(type(error).__name__)
            return
        if made is not None and made.tensor.numel() <= LARGEST:
            self.pool.items.append(made)
            self.coarsest = min(self.coarsest, PRECISION.get(made.tensor.dtype, self.coarsest))


def _numbers(x: Tensor) -> np.ndarray[Any, Any]:
    array = x.numpy() if x.dtype is not tidu.bfloat16 else x.float().numpy()
    assert array.shape == tuple(x.shape)
    return array


_STEPS: tuple[Callable[[Pool, int, int, int], Item | None], ...] = (
    leaf, leaf, view, view, view, smooth, smooth, stepped, stepped, binary, binary,
    binary, quotient, reduction, reduction, row, joining, indexing, product, in_place,
    backward, backward, second_order, update, realize,
)  # fmt: skip
STEP_KINDS = len(_STEPS)
