"""torch._foreach_*: one operation on every tensor of a list, as optimizers write it.

In place the list itself is returned, out of place a tuple. The other operands are a number for all,
a number for each (a list or a 1-d tensor for `addcmul` and `addcdiv`), a tensor for all, or a list
of tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tidu.ir.op import function
from tidu.ops.reductions.norms import vector_norm
from tidu.tensor.tensor import Tensor

_UNARY = [
    "abs",
    "acos",
    "asin",
    "atan",
    "ceil",
    "clone",
    "cos",
    "cosh",
    "erf",
    "erfc",
    "exp",
    "expm1",
    "floor",
    "frac",
    "lgamma",
    "log",
    "log10",
    "log1p",
    "log2",
    "max",
    "neg",
    "reciprocal",
    "round",
    "rsqrt",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
    "trunc",
    "zero",
]
_BINARY = ["add", "clamp_max", "clamp_min", "div", "maximum", "minimum", "mul", "pow", "sub"]
# Tensors have no methods under these names in place.
_AS_METHOD = {"maximum": "clamp_min", "minimum": "clamp_max"}


def _checked(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    if not tensors:
        raise RuntimeError("Tensor list must have at least one tensor.")
    return tensors


def _each(tensors: Sequence[Tensor], operand: Any) -> list[Any]:
    """The operand for each tensor of the list."""
    if not isinstance(operand, (tuple, list)):
        return [operand] * len(tensors)
    if len(operand) != len(tensors):
        raise RuntimeError(
            f"Tensor lists must have the same number of tensors, got {len(tensors)} and"
            f" {len(operand)}"
        )
    return list(operand)


def _bind(name: str, call: Callable[..., Any], doc: str) -> None:
    function(f"torch.{name}", doc=doc)(call)


def _unary(name: str) -> None:
    def apart(self: Sequence[Tensor]) -> tuple[Any, ...]:
        return tuple(getattr(x, name)() for x in _checked(self))

    def in_place(self: Sequence[Tensor]) -> Sequence[Tensor]:
        for x in _checked(self):
            getattr(x, f"{name}_")()
        return self

    if name != "zero":
        _bind(f"_foreach_{name}", apart, f"`{name}` of every tensor.")
    if name not in ("clone", "max"):
        _bind(f"_foreach_{name}_", in_place, f"`{name}` of every tensor, in place.")


def _binary(name: str) -> None:
    method = _AS_METHOD.get(name, name)

    def apart(self: Any, other: Any, **scale: Any) -> tuple[Any, ...]:
        if not isinstance(self, (tuple, list)):  # a number to the power of every tensor
            return tuple(self**x for x in _checked(other))
        return tuple(
            getattr(x, method)(y, **scale)
            for x, y in zip(_checked(self), _each(self, other), strict=True)
        )

    def in_place(self: Sequence[Tensor], other: Any, **scale: Any) -> Sequence[Tensor]:
        for x, y in zip(_checked(self), _each(self, other), strict=True):
            getattr(x, f"{method}_")(y, **scale)
        return self

    _bind(f"_foreach_{name}", apart, f"`{name}` of every tensor and its operand.")
    _bind(f"_foreach_{name}_", in_place, f"`{name}` of every tensor and its operand, in place.")


def _scales(tensors: Sequence[Tensor], scalars: Any, value: Any) -> list[Any]:
    given = value if scalars is None else scalars
    return given.tolist() if isinstance(given, Tensor) and given.shape else _each(tensors, given)


def _blended(name: str) -> None:
    def apart(
        self: Sequence[Tensor], tensor1: Any, tensor2: Any, scalars: Any = None, *, value: Any = 1
    ) -> tuple[Any, ...]:
        rows = zip(_checked(self), tensor1, tensor2, _scales(self, scalars, value), strict=True)
        return tuple(getattr(x, name)(a, b, value=v) for x, a, b, v in rows)

    def in_place(
        self: Sequence[Tensor], tensor1: Any, tensor2: Any, scalars: Any = None, *, value: Any = 1
    ) -> Sequence[Tensor]:
        rows = zip(_checked(self), tensor1, tensor2, _scales(self, scalars, value), strict=True)
        for x, a, b, v in rows:
            getattr(x, f"{name}_")(a, b, value=v)
        return self

    _bind(f"_foreach_{name}", apart, f"`{name}` of every tensor with its two others.")
    _bind(f"_foreach_{name}_", in_place, f"`{name}` of every tensor with its two others, in place.")


for _name in _UNARY:
    _unary(_name)
for _name in _BINARY:
    _binary(_name)
for _name in ("addcmul", "addcdiv"):
    _blended(_name)


@function("torch._foreach_lerp")
def _foreach_lerp(
    self: Sequence[Tensor], tensors1: Any, weights: Any = None, *, weight: Any = None
) -> tuple[Any, ...]:
    """`lerp` of every tensor towards its other."""
    amounts = _each(self, weight if weights is None else weights)
    return tuple(x.lerp(y, w) for x, y, w in zip(_checked(self), tensors1, amounts, strict=True))


@function("torch._foreach_lerp_")
def _foreach_lerp_(
    self: Sequence[Tensor], tensors1: Any, weights: Any = None, *, weight: Any = None
) -> Sequence[Tensor]:
    """`lerp` of every tensor towards its other, in place."""
    amounts = _each(self, weight if weights is None else weights)
    for x, y, w in zip(_checked(self), tensors1, amounts, strict=True):
        x.lerp_(y, w)
    return self


@function("torch._foreach_copy_")
def _foreach_copy_(
    self: Sequence[Tensor], src: Sequence[Tensor], non_blocking: bool = False
) -> Sequence[Tensor]:
    """Every tensor overwritten with its other."""
    for x, y in zip(_checked(self), _each(self, src), strict=True):
        x.copy_(y)
    return self


@function("torch._foreach_norm")
def _foreach_norm(self: Sequence[Tensor], ord: Any = 2, dtype: Any = None) -> tuple[Any, ...]:
    """The vector norm of every tensor."""
    return tuple(vector_norm(x, ord, dtype=dtype) for x in _checked(self))
