"""Reading one result of an operation that has several."""

from __future__ import annotations

from typing import Any

from tidu.ir.op import Inferred, Op, Sample, define
from tidu.ir.value import Value


def _infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,), (number,) = inputs, attrs
    return inputs, x.shape[number], x.dtype[number]


pick = define(
    "pick",
    attrs="number",
    kind="pick",
    infer=_infer,
    numpy=lambda results, number: results[number],
    samples=lambda: [Sample(())],  # exercised by every op with several results
    reference="",
)


def several(made: Any) -> tuple[Any, ...]:
    """The results of an op with several, one by one: a derivative meets them as one Value or as a
    tuple of Tensors.
    """
    if made.__class__ is Value:
        return tuple(pick.value((made,), (number,)) for number in range(len(made.shape)))
    return tuple(made)
