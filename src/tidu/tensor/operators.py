"""The operators of Tensor, with tensors, Python's numbers and NumPy's on the other side."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.ir.op import Op
from tidu.ir.value import Value
from tidu.ops import elementwise as e
from tidu.ops.linear_algebra.contract import matmul_any
from tidu.tensor import from_data
from tidu.tensor.applying import apply, apply_pair
from tidu.tensor.tensor import Tensor

_USUAL = frozenset({Tensor, float, int})


def _supported(x: Any) -> bool:
    return isinstance(x, (Tensor, bool, int, float, np.generic, np.ndarray, Value))


def _binary(op: Op) -> tuple[Any, Any, Any]:
    def forward(self: Tensor, other: Any) -> Any:
        if other.__class__ in _USUAL or isinstance(other, Tensor):
            return apply_pair(op, self, other)
        return apply(op, (self, other)) if _supported(other) else NotImplemented

    def reflected(self: Tensor, other: Any) -> Any:
        if other.__class__ in _USUAL or isinstance(other, Tensor):
            return apply_pair(op, other, self)
        return apply(op, (other, self)) if _supported(other) else NotImplemented

    def augmented(self: Tensor, other: Any) -> Any:
        return self._assign(apply(op, (self, other))) if _supported(other) else NotImplemented

    return forward, reflected, augmented


def _if_supported(function: Any) -> Any:
    def method(self: Tensor, other: Any) -> Any:
        if other.__class__ in _USUAL or _supported(other):
            return function(self, other)
        return NotImplemented

    return method


def _power(self: Tensor, other: Any) -> Any:
    if other.__class__ is float or other.__class__ is int:  # an exponent that is itself no tensor
        return apply_pair(e.pow_, self, other)
    return e.power(self, other)


def _matmul(self: Tensor, other: Any) -> Any:
    """self @ other; NumPy's arrays count as tensors."""
    if not isinstance(other, Tensor):
        if not isinstance(other, np.ndarray):
            return NotImplemented
        other = from_data.as_tensor(other)
    return matmul_any(self, other)


def _matmul_reflected(self: Tensor, other: Any) -> Any:
    other = from_data.as_tensor(other) if isinstance(other, np.ndarray) else other
    return _matmul(other, self) if isinstance(other, Tensor) else NotImplemented


_BINARY = {
    "add": e.add,
    "sub": e.sub,
    "mul": e.mul,
    "truediv": e.div,
    "pow": e.pow_,
    "mod": e.remainder,
    "floordiv": e.floor_divide,
    "and": e.bitwise_and,
    "or": e.bitwise_or,
    "xor": e.bitwise_xor,
    "lshift": e.bitwise_left_shift,
    "rshift": e.bitwise_right_shift,
}
# PyTorch has its own nodes for these, by which of the two operands is a number.
_NAMED: dict[str, Any] = {
    "pow": _power,
    "rpow": lambda self, other: e.power(other, self),
    "mod": e.remainder_of,
    "rsub": e.rsub,
    "rtruediv": lambda self, other: e.mul(e.reciprocal(self), other),
}
_COMPARE = {"eq": e.eq, "ne": e.ne, "lt": e.lt, "le": e.le, "gt": e.gt, "ge": e.ge}
_OTHERS: dict[str, Any] = {
    "__neg__": lambda self: apply(e.neg, (self,)),
    "__pos__": lambda self: self,
    "__abs__": lambda self: apply(e.abs_, (self,)),
    "__invert__": lambda self: apply(e.bitwise_not, (self,)),
    "__matmul__": _matmul,
    "__rmatmul__": _matmul_reflected,
}


def _bind(name: str, method: Any) -> None:
    method.__name__ = method.__qualname__ = name
    setattr(Tensor, name, method)


def bind_operators() -> None:
    """Put everything in this file on Tensor."""
    for name, op in _BINARY.items():
        forward, reflected, augmented = _binary(op)
        _bind(f"__{name}__", forward)
        # In a sum or product with a number PyTorch puts the tensor first.
        _bind(f"__r{name}__", _binary(op)[0] if op in (e.add, e.mul) else reflected)
        _bind(f"__i{name}__", augmented)
    for name, op in _COMPARE.items():
        _bind(f"__{name}__", _binary(op)[0])
    for name, forward in _NAMED.items():
        _bind(f"__{name}__", _if_supported(forward))
    for name, method in _OTHERS.items():
        _bind(name, method)
