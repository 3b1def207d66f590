"""Tensors that steps choose from, with what is known about their numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import tidu
from tidu import Tensor

# Around the lengths of vectors, and what is empty or alone.
SIZES = (1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 65, 100, 257, 5, 0)
LARGEST = 1 << 17
FLOATS = (tidu.float32, tidu.float64, tidu.float16, tidu.bfloat16)
INTEGERS = (tidu.int64, tidu.int32, tidu.uint8)
KINDS = (*(tidu.float32,) * 7, *FLOATS, *INTEGERS, tidu.bool)


# Bits of the significand.
PRECISION = {tidu.float16: 11, tidu.bfloat16: 8, tidu.float32: 24, tidu.float64: 53}


class Exact(NamedTuple):
    """Numbers are multiples of 2**-fraction and smaller than 2**magnitude."""

    fraction: int
    magnitude: int


class Item(NamedTuple):
    tensor: Tensor
    exact: Exact | None


class Pool:
    """The tensors of a program so far, to choose from, and leaves made on demand.

    `nudge` moves numbers that need not be exact by so many units in the last place.
    """

    def __init__(self, sizes: tuple[int, int, int], nudge: float) -> None:
        self.items: list[Item] = []
        self.leaves: list[Tensor] = []
        self.sizes = sizes
        self.nudge = nudge
        self.rng = np.random.default_rng(0)

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
        return self.find(number, lambda y: wanted(y) and broadcasts(x.shape, y.tensor.shape))

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


def broadcasts(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return all(n == m or 1 in (n, m) for n, m in zip(reversed(a), reversed(b), strict=False))


def fits(x: Tensor, exact: Exact | None) -> Exact | None:
    """`exact`, if the dtype of `x` holds such numbers."""
    if exact is None:
        return None
    room = PRECISION.get(x.dtype, 62)
    if x.dtype.is_floating_point:
        return (
            exact if exact.fraction + exact.magnitude < room - 1 and exact.magnitude < 14 else None
        )
    return exact


def kept(tensor: Tensor, like: Item) -> Item:
    return Item(tensor, fits(tensor, like.exact))


def inexact(tensor: Tensor) -> Item:
    """What integers become is as exact as they are; floats may have been rounded."""
    return Item(tensor, None if tensor.dtype.is_floating_point else Exact(0, 62))


def is_bool(x: Tensor) -> bool:
    return x.dtype is tidu.bool
