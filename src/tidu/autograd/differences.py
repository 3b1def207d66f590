"""Jacobians as matrices of numbers, found twice: by central differences, and by backward passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tidu.autograd.gradients import grad
from tidu.autograd.tape import Tape
from tidu.execute import buffer_of
from tidu.ir.value import leaf

Matrix = np.ndarray[Any, Any]  # rows: elements of an input; columns: elements of an output


def numerical(
    func: Callable[..., Any],
    xs: tuple[Any, ...],
    places: list[int],
    ys: tuple[Any, ...],
    eps: float,
) -> list[list[Matrix]]:
    """For each checked input and each output, the matrix of differences."""
    found = []
    for place in places:
        x = xs[place]
        matrices = [np.zeros((x.numel(), y.numel())) for y in ys]
        for k in range(x.numel()):
            step = np.zeros(x.numel())
            step[k] = eps
            plus, minus = (moved(func, x, xs, s.reshape(tuple(x.shape))) for s in (step, -step))
            for matrix, p, m in zip(matrices, plus, minus, strict=True):
                matrix[k] = ((p - m) / (2 * eps)).reshape(-1)
        found.append(matrices)
    return found


def moved(func: Callable[..., Any], x: Any, xs: tuple[Any, ...], step: Matrix) -> list[Matrix]:
    """The outputs with one input moved, in place: the function may know it in other ways too."""
    data = x.data
    before = numbers_of(x)
    try:
        data.copy_(tensor_of(before + step, x.dtype))
        return [numbers_of(y) for y in as_tensors(func(*xs))]
    finally:
        data.copy_(tensor_of(before, x.dtype))


def analytical(y: Any, xs: tuple[Any, ...], places: list[int]) -> list[Matrix]:
    """For each checked input, its matrix of derivatives: a column for an element of the output."""
    wanted = [xs[i] for i in places]
    matrices = [np.zeros((x.numel(), y.numel())) for x in wanted]
    for column in range(y.numel()):
        cotangent = np.zeros(y.numel())
        cotangent[column] = 1.0
        found = grad(
            y,
            wanted,
            tensor_of(cotangent.reshape(tuple(y.shape)), y.dtype),
            retain_graph=True,
            allow_unused=True,
        )
        for matrix, g in zip(matrices, found, strict=True):
            if g is not None:
                matrix[:, column] = numbers_of(g).reshape(-1)
    return matrices


def as_tensors(tensors: Any) -> tuple[Any, ...]:
    """What a function returns, as a tuple; TypeError for anything but tensors."""
    made = (tensors,) if isinstance(tensors, Tape.tensor) else tuple(tensors)
    for t in made:
        if not isinstance(t, Tape.tensor):
            raise TypeError(f"gradcheck: the function must return tensors, not {type(t).__name__}")
    return made


def numbers_of(t: Any) -> Matrix:
    """A copy of the numbers of a tensor, in float64."""
    copied: Matrix = np.array(buffer_of(Tape.value_of(t)), dtype=np.float64)
    return copied


def tensor_of(array: Any, dtype: Any) -> Any:
    """A constant tensor of these numbers."""
    return Tape.wrap(leaf(np.asarray(array, dtype.numpy), dtype), None)
