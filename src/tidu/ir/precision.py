"""In which precision operations run inside a section of mixed precision (`torch.autocast`).

Products of matrices and convolutions gain from the lower precision; losses and reductions lose too
many digits in it. What is declared as neither works in the dtypes that it is given.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tidu.base.state import state
from tidu.ir.op import Op

LOWER, FULL = "lower", "full"


class _LowerOp(Op):
    """An op whose inputs are cast by the section of mixed precision that it is called in."""

    __slots__ = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        cast = state.own.autocast
        if cast is not None:
            args, kwargs = cast(LOWER, args, kwargs)
        return Op.__call__(self, *args, **kwargs)

    def named(self, grad_name: str, *args: Any) -> Any:
        cast = state.own.autocast
        if cast is not None:
            args, _ = cast(LOWER, args, {})
        return Op.named(self, grad_name, *args)


_lower_ops: list[Op] = []


def in_lower_precision(declared: Any) -> Any:
    """Declares an op or a function as one that runs in the precision of the section."""
    if isinstance(declared, Op):
        _lower_ops.append(declared)
        return declared
    return _function(LOWER, declared)


def in_section() -> bool:
    """Whether we are in a section of mixed precision."""
    return state.own.autocast is not None


def heed_sections() -> None:
    """Have the ops look for a section from now on. Nobody pays for it before there is one."""
    for op in _lower_ops:
        op.__class__ = _LowerOp
    _lower_ops.clear()


def in_full_precision(declared: Callable[..., Any]) -> Callable[..., Any]:
    """Declares a function as one that runs in float32."""
    return _function(FULL, declared)


def in_given_precision(declared: Callable[..., Any]) -> Callable[..., Any]:
    """Declares a function as one that runs in the dtypes given, whatever it is made of."""
    return _function(None, declared)


def _function(precision: str | None, call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def function(*args: Any, **kwargs: Any) -> Any:
        own = state.own
        cast = own.autocast
        if cast is None:
            return call(*args, **kwargs)
        if precision is not None:
            args, kwargs = cast(precision, args, kwargs)
        own.autocast = None  # the function as a whole has its precision
        try:
            return call(*args, **kwargs)
        finally:
            own.autocast = cast

    return function
