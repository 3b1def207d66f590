"""How the functions of one operand are declared."""

from __future__ import annotations

from typing import Any

from tidu.ir.op import Op, define, torch_and_tensor
from tidu.ops.rules import floating
from tidu.ops.samples import unary


def define_unary(
    name: str,
    ufunc: Any,
    emit: Any,
    vjp: Any,
    samples: Any = None,
    infer: Any = floating,
    names: str = "",
    torch_paths: str = "",
    grad_name: str = "",
    doc: str = "",
) -> Op:
    """One operand, bound as torch.<name>, Tensor.<name> and Tensor.<name>_."""
    return define(
        name,
        infer=infer,
        numpy=ufunc,
        emit=emit,
        vjp=None if vjp is None else (vjp,),
        samples=samples or unary(),
        dtypes="number",
        public=f"{torch_and_tensor(name, *names.split())} {torch_paths}",
        inplace=True,
        grad_name=grad_name,
        doc=doc,
    )
