"""The old constructors: `FloatTensor(2, 3)` and the like, and `Tensor(...)` itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base import devices, dtypes
from tidu.base.dtypes import dtype
from tidu.base.shapes import Size, flatten_sizes
from tidu.base.source import at, here
from tidu.tensor import creation
from tidu.tensor.conversion import TYPE_NAMES
from tidu.tensor.from_data import copied
from tidu.tensor.tensor import Tensor, _new


def from_sizes_or_data(args: tuple[Any, ...], d: dtype) -> Tensor:
    """``FloatTensor(2, 3)`` has unspecified contents, ``FloatTensor([2, 3])`` those given."""
    if len(args) == 1 and isinstance(args[0], Tensor):
        return args[0].detach() if args[0].dtype is d else _wrong_type(args[0], d)
    if not args:
        return creation.empty(0, dtype=d)  # type: ignore[no-any-return]
    if len(args) == 1 and isinstance(args[0], (float, np.floating)):
        raise TypeError(
            f"new(): data must be a sequence (got {type(args[0]).__name__}); torch.tensor(...) "
            f"makes a tensor of a number{at(here())}"
        )
    if len(args) == 1 and not isinstance(args[0], (int, Size)):
        return copied(args[0], d)
    return creation.empty(*flatten_sizes(args), dtype=d)  # type: ignore[no-any-return]


def _wrong_type(t: Tensor, d: dtype) -> Tensor:
    raise TypeError(f"expected {TYPE_NAMES[d]} (got {TYPE_NAMES[t.dtype]}); use .to({d})")


def make(cls: type[Tensor], *args: Any, **kwargs: Any) -> Tensor:
    devices.check(kwargs.pop("device", None))
    if kwargs:
        raise TypeError(
            f"new() received an invalid combination of arguments: {next(iter(kwargs))}; "
            f"torch.tensor(...) takes dtype and requires_grad{at(here())}"
        )
    source = from_sizes_or_data(args, dtypes.get_default_dtype())
    made = _new(cls)
    made._storage, made._chain = source._storage, source._chain
    return made


class _TypedMeta(type):
    """``isinstance(x, FloatTensor)`` asks for the dtype."""

    wanted: dtype

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance.dtype is cls.wanted

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return from_sizes_or_data(args, cls.wanted)


def _doc(name: str, d: dtype) -> str:
    return (
        f"``{name}Tensor(2, 3)``: a tensor of {d} with unspecified contents; of a list, its "
        f"numbers. ``isinstance(x, {name}Tensor)`` asks for the dtype."
    )


typed: dict[str, Any] = {
    f"{name}Tensor": _TypedMeta(
        f"{name}Tensor", (), {"wanted": d, "__module__": "torch", "__doc__": _doc(name, d)}
    )
    for d, name in TYPE_NAMES.items()
}
