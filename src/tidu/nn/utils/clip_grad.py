"""Clipping of gradients, by their common norm or by value. Nothing is read on the way: it stays
part of the step.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from tidu.autograd.modes import no_grad
from tidu.base.source import located
from tidu.ir.op import Op
from tidu.ops.cast import cast
from tidu.ops.elementwise import clamp, mul
from tidu.ops.reductions.total_norm import total_norm as total_norm_of
from tidu.tensor import Tensor, tensor, write_each

Tensors = Tensor | Iterable[Tensor]


def _listed(tensors: Tensors) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _gradients(parameters: Tensors) -> list[Tensor]:
    return [p._grad for p in _listed(parameters) if p._grad is not None]


def _replace(gradients: list[Tensor], op: Op, *operands: Any) -> None:
    """Write op(gradient, *operands) to each of the gradients, beside the tape."""
    contents = [gradient._value for gradient in gradients]
    values = op.values([(content, *operands) for content in contents])
    fitting = [
        value if value.dtype is content.dtype else cast.value((value,), (content.dtype,))
        for value, content in zip(values, contents, strict=True)
    ]
    write_each(gradients, fitting)


def get_total_norm(
    tensors: Tensors,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm (Σ |x|ᵖ)^(1/p) over all numbers of all tensors, as if they were one vector;
    p may be inf.

    It is right even where powers of the numbers overflow. Raises RuntimeError for a norm that is
    not finite if `error_if_nonfinite`; only then is it computed at once.

    >>> get_total_norm([torch.tensor([3.0]), torch.tensor([4.0])])
    tensor(5.)
    """
    listed = _listed(tensors)
    norm_type = float(norm_type)
    if not listed:
        return tensor(0.0)
    with no_grad():
        norm: Tensor = total_norm_of(tuple(listed), norm_type)
    if error_if_nonfinite and not bool(norm.isfinite()):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, "
            "so it cannot be clipped. To disable this error and scale the gradients by the "
            "non-finite norm anyway, set `error_if_nonfinite=False`"
        )
    return norm


def clip_grads_with_norm_(
    parameters: Tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Multiply all gradients by max_norm / total_norm where that is less than 1."""
    _scale_down(_gradients(parameters), max_norm, total_norm)


def _scale_down(gradients: list[Tensor], max_norm: Any, total_norm: Tensor) -> None:
    if not gradients:
        return
    with no_grad():
        limit = max_norm if isinstance(max_norm, Tensor) else float(max_norm)
        factor = clamp(limit / (total_norm + 1e-6), None, 1.0)._value
        _replace(gradients, mul, factor)


@located
def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients of `parameters` together so that their norm is at most `max_norm`;
    returns the norm before.

    The norm is that of `get_total_norm`. Gradients are changed in place; `foreach` is accepted and
    changes nothing (Pascanu et al., 2013).

    >>> norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    """
    max_norm = float(max_norm)
    gradients = _gradients(parameters)
    norm = get_total_norm(gradients, norm_type, error_if_nonfinite, foreach)
    _scale_down(gradients, max_norm, norm)
    return norm


@functools.wraps(clip_grad_norm_)
def _clip_grad_norm(*args: Any, **kwargs: Any) -> Tensor:
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of "
        "`torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(*args, **kwargs)


clip_grad_norm: Callable[..., Tensor] = _clip_grad_norm


@located
def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Bring every number of the gradients into [−clip_value, clip_value], in place."""
    bound = float(clip_value)
    _replace(_gradients(parameters), clamp, -bound, bound)
