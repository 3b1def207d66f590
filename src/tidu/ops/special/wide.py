"""Functions of one number that are worked out in float64
and rounded to the dtype of their argument.

One formula serves every dtype, and nothing is lost to the intermediate steps of half and single
precision.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tidu.base import dtypes
from tidu.base.strides import result_strides
from tidu.ir.op import Inferred, Op, define
from tidu.ops.cast import cast
from tidu.ops.rules import floating, promote
from tidu.ops.samples import unary


def _float64(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    inputs, _ = promote(inputs, dtypes.float64)
    return inputs, inputs[0].shape, dtypes.float64


def special(
    name: str,
    emission: Callable[..., Any],
    vjp: Any,
    public: str,
    low: float = -3.0,
    high: float = 3.0,
    *,
    reference: str = "",
    grad_name: str = "",
    inplace: bool = False,
    tolerance: float = 10.0,
    doc: str = "",
) -> Op:
    """A function of one number: an emission in float64, and around it an op for every dtype."""
    path = reference or f"special.{name}"

    def compare(torch: Any, x: Any) -> Any:
        module = torch
        for part in path.split("."):
            module = getattr(module, part)
        return module(x.double())

    wide = define(
        f"{name}_float64",
        infer=_float64,
        emit=emission,
        samples=unary(low, high),
        dtypes="float",
        reference=compare,
        tolerance=tolerance,
    )
    return define(
        name,
        kind="composite",
        strides=result_strides,
        infer=floating,
        decompose=lambda x: cast(wide(cast(x, dtypes.float64)), x.dtype),
        vjp=None if vjp is None else (vjp,),
        samples=unary(low, high),
        public=public,
        inplace=inplace,
        reference=path,
        grad_name=grad_name or f"Special{name.capitalize()}Backward0",
        # The derivatives of the references are worked out in the dtype itself.
        tolerance=tolerance,
        doc=doc,
    )
