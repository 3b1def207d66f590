"""Sections in which products of matrices and convolutions run in half precision."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Self

from tidu.base import dtypes
from tidu.base.dtypes import dtype
from tidu.base.source import warn
from tidu.base.state import state
from tidu.ir.precision import LOWER, heed_sections
from tidu.tensor import Tensor

__all__ = [
    "autocast", "custom_bwd", "custom_fwd", "get_autocast_dtype", "is_autocast_available",
    "is_autocast_enabled",
]  # fmt: skip

_USUAL = {"cpu": dtypes.bfloat16, "cuda": dtypes.float16}
_SUPPORTED = (dtypes.bfloat16, dtypes.float16)


class _Casting:
    """What a section does to the arguments of an operation with a precision of its own."""

    def __init__(self, lower: dtype) -> None:
        self.lower = lower

    def __call__(
        self, precision: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        target = self.lower if precision == LOWER else dtypes.float32
        return (
            tuple(_cast(x, target) for x in args),
            {name: _cast(x, target) for name, x in kwargs.items()},
        )


@functools.cache
def _casting(lower: dtype) -> _Casting:
    """One object for each precision: whether a section is like another is told by identity."""
    return _Casting(lower)


def _cast(x: Any, target: dtype) -> Any:
    """Floating-point tensors in `target`, in lists as well; float64 stays what it is."""
    if isinstance(x, Tensor):
        eligible = x.dtype.is_floating_point and x.dtype is not dtypes.float64
        return x.to(target) if eligible else x
    if x.__class__ is list or x.__class__ is tuple:
        return x.__class__(_cast(element, target) for element in x)
    return x


class autocast:  # noqa: N801 (the name users know it by: torch.autocast)
    """A section, or a function, of mixed precision: matrix products, linear layers, convolutions
    and attention run in `dtype`, losses in float32, and the rest in what it is given.

    device_type  "cpu"; sections for "cuda" change nothing, with a warning, as there is none
    dtype        bfloat16 (the default) or float16
    enabled      False inside a section takes it back

    >>> with autocast("cpu"):
    ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    torch.bfloat16
    """

    def __init__(
        self,
        device_type: str,
        dtype: dtype | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        if device_type not in _USUAL:
            raise RuntimeError(
                f"User specified an unsupported autocast device_type '{device_type}'"
            )
        self.device = device_type
        self.fast_dtype = _USUAL[device_type] if dtype is None else dtype
        self._enabled = enabled and self._possible()
        self._outer: list[Any] = []

    def _possible(self) -> bool:
        if self.device == "cuda":
            warn("User provided device_type of 'cuda', but CUDA is not available. Disabling")
            return False
        if self.fast_dtype not in _SUPPORTED:
            warn(
                "In CPU autocast, but the target dtype is not supported. Disabling autocast.\n"
                "CPU Autocast only supports dtype of torch.bfloat16, torch.float16 currently."
            )
            return False
        return True

    def __enter__(self) -> Self:
        self._outer.append(state.own.autocast)
        if self.device == "cpu":
            heed_sections()
            state.own.autocast = _casting(self.fast_dtype) if self._enabled else None
        return self

    def __exit__(self, *exception: object) -> None:
        state.own.autocast = self._outer.pop()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def decorated(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return decorated


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether we are in a section for this type of device."""
    return device_type == "cpu" and state.own.autocast is not None


def get_autocast_dtype(device_type: str) -> dtype:
    """The lower precision of the section, or the one that a section has unless told."""
    section = state.own.autocast
    if device_type == "cpu" and isinstance(section, _Casting):
        return section.lower
    if device_type not in _USUAL:
        raise RuntimeError(f"unsupported scalarType: autocast for '{device_type}'")
    return _USUAL[device_type]


def is_autocast_available(device_type: str) -> bool:
    """Whether there are sections for this type of device."""
    return device_type in _USUAL


def custom_fwd(
    fwd: Callable[..., Any] | None = None,
    *,
    device_type: str,
    cast_inputs: dtype | None = None,
) -> Any:
    """For the `forward` of a custom Function: `cast_inputs` casts its tensors in a section, and
    has it run outside of one. `custom_bwd` then runs `backward` in the same way.
    """
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)
    forward = fwd

    @functools.wraps(forward)
    def decorated(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        inside = is_autocast_enabled(device_type)
        ctx._dtype = get_autocast_dtype(device_type)
        ctx._fwd_used_autocast = inside and cast_inputs is None
        if not inside or cast_inputs is None:
            return forward(ctx, *args, **kwargs)
        args = tuple(_cast(x, cast_inputs) for x in args)
        kwargs = {name: _cast(x, cast_inputs) for name, x in kwargs.items()}
        with autocast(device_type, enabled=False):
            return forward(ctx, *args, **kwargs)

    return decorated


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str) -> Any:
    """For the `backward` that belongs to a `forward` with `custom_fwd`."""
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)
    backward = bwd

    @functools.wraps(backward)
    def decorated(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        if device_type != "cpu":  # no such section was ever entered
            return backward(ctx, *args, **kwargs)
        with autocast(device_type, dtype=ctx._dtype, enabled=ctx._fwd_used_autocast):
            return backward(ctx, *args, **kwargs)

    return decorated
