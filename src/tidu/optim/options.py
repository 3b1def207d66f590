"""Options of optimizers: what is valid, and how they become numbers."""

from __future__ import annotations

from typing import Any

from tidu.base.dtypes import float32, float64, get_default_dtype
from tidu.base.traced import Traced
from tidu.tensor import Tensor, is_grad_enabled, tensor


def scalar_tensor(number: float) -> Tensor:
    """A 0-d tensor for a number in the state: float64 if that is the default, else float32."""
    return tensor(float(number), dtype=float64 if get_default_dtype() is float64 else float32)


def number_of(option: float | Tensor) -> float:
    """An option of a group as a Python float: it may be a tensor of one element, or NumPy's.

    A number that remembers how it is computed stays one.
    """
    if isinstance(option, Traced):
        return option  # type: ignore[return-value]
    if not isinstance(option, Tensor):
        return float(option)
    if option.requires_grad and is_grad_enabled():
        raise RuntimeError(
            "this optimizer does not differentiate through an option given as a tensor that "
            "requires grad: pass option.detach(), or a number"
        )
    return float(option.item())


def numbers_of(group: dict[str, Any], *names: str) -> list[float]:
    """Several options of a group as Python floats."""
    return [number_of(group[name]) for name in names]


def rate_of(group: dict[str, Any]) -> Any:
    """The learning rate of a group: a number, or a tensor where it is to be differentiated."""
    lr = group["lr"]
    if isinstance(lr, Tensor) and lr.requires_grad and group["differentiable"]:
        return lr
    return number_of(lr)


def check_option(valid: bool | Tensor, what: str, value: Any) -> None:
    """Raise ValueError, worded as in PyTorch, for an option out of its range (as NaN is)."""
    if not valid:
        raise ValueError(f"Invalid {what}: {value}")


def check_lr(lr: float | Tensor) -> None:
    """Raise ValueError for a learning rate that is negative, or a tensor of several elements."""
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    check_option(lr >= 0.0, "learning rate", lr)


def check_betas(betas: tuple[float | Tensor, float | Tensor]) -> None:
    """Raise ValueError unless both decay rates of the averages are in [0, 1)."""
    for index, beta in enumerate(betas):
        check_option(0.0 <= float(beta) < 1.0, f"beta parameter at index {index}", beta)


def check_fused(fused: bool | None, foreach: bool | None, differentiable: bool) -> None:
    """Raise RuntimeError for kinds of implementation that PyTorch does not combine.

    They choose between implementations there; here a step is one program in any case.
    """
    if fused and differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
