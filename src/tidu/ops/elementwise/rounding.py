"""Rounding to whole numbers, or to some decimals."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.ir.op import Array, Op, Sample, define, function
from tidu.ops.elementwise.choice import fill
from tidu.ops.rules import not_implemented, without_bool
from tidu.ops.samples import unary


def _rounding(name: str, ufunc: Any, emit: Any, public: str = "", doc: str = "") -> Op:
    return define(
        name,
        infer=without_bool(f"{name}_vml_cpu"),
        numpy=lambda x: ufunc(x) if x.dtype.kind == "f" else x,
        emit=emit,
        vjp=(lambda g, out, x: fill(g, 0.0),),
        samples=unary(-4, 4),
        dtypes="number",
        public=public,
        inplace=bool(public),
        doc=doc,
    )


floor = _rounding(
    "floor",
    np.floor,
    lambda s, x: s.floor(x),
    "torch.floor Tensor.floor",
    doc="""The greatest whole number that is not above `input`; the gradient is 0.

    >>> torch.floor(torch.tensor([1.7, -1.2]))
    tensor([ 1., -2.])
    """,
)
ceil = _rounding(
    "ceil",
    np.ceil,
    lambda s, x: s.ceil(x),
    "torch.ceil Tensor.ceil",
    doc="""The least whole number that is not below `input`; the gradient is 0.

    >>> torch.ceil(torch.tensor([1.2, -1.7]))
    tensor([ 2., -1.])
    """,
)
trunc: Op = _rounding(
    "trunc",
    np.trunc,
    lambda s, x: s.trunc(x),
    "torch.trunc torch.fix Tensor.trunc Tensor.fix",
    doc="""`input` without its fraction, rounded towards 0; the gradient is 0.

    >>> torch.trunc(torch.tensor([1.7, -1.7]))
    tensor([ 1., -1.])
    """,
)
round_ = _rounding("round", np.rint, lambda s, x: s.round(x))


def _round_to(x: Any, decimals: int) -> Any:
    scale = 10.0 ** abs(decimals)
    return round_(x * scale) / scale if decimals > 0 else round_(x / scale) * scale


round_to = define(
    "round_to",
    attrs="decimals",
    kind="composite",
    infer=lambda op, inputs, attrs: (inputs, inputs[0].shape, inputs[0].dtype),
    decompose=_round_to,
    vjp=(lambda g, out, x, decimals: fill(g, 0.0),),
    grad_name="RoundBackward1",
    samples=lambda: [
        Sample((Array((3, 4)), 1)),
        Sample((Array((5,), -400, 400), -2)),
        Sample((Array(()), 3)),
    ],
    dtypes="wide",
    reference=lambda torch, x, decimals: torch.round(x, decimals=decimals),
)


@function("torch.round torch.special.round Tensor.round", inplace=True)
def round_decimals(input: Any, *, decimals: int = 0) -> Any:
    """To the nearest number with `decimals` decimals, ties to even."""
    if decimals == 0:
        return round_(input)
    if not input.dtype.is_floating_point:
        raise not_implemented("round_vml_cpu", input.dtype)
    return round_to(input, decimals)
