"""Between probabilities and logits, and parameters that are numbers or tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tidu.base import dtypes
from tidu.base.limits import finfo
from tidu.distributions.distribution import lazy_property
from tidu.tensor import Tensor, namespaces, normal, tensor

__all__ = [
    "broadcast_all", "clamp_probs", "lazy_property", "logits_to_probs", "number_batch",
    "one_of_two", "probs_to_logits", "standard_normal", "sum_rightmost",
]  # fmt: skip

broadcast_tensors = namespaces["torch"]["broadcast_tensors"]
softmax = namespaces["torch.nn.functional"]["softmax"]


def broadcast_all(*values: Any) -> tuple[Any, ...]:
    """Numbers and tensors as tensors of one shape; numbers take the dtype of the tensors."""
    for value in values:
        if not isinstance(value, (Tensor, bool, int, float)):
            raise ValueError(
                "Input arguments must all be instances of Number, torch.Tensor or objects "
                f"implementing __torch_function__, not {type(value).__name__}"
            )
    like = next((value for value in values if isinstance(value, Tensor)), None)
    kind = dtypes.get_default_dtype() if like is None else like.dtype
    tensors = [x if isinstance(x, Tensor) else tensor(x, dtype=kind) for x in values]
    return tuple(broadcast_tensors(*tensors))


def number_batch(*parameters: Any) -> bool:
    """Whether all parameters are Python numbers, so that there is a single distribution."""
    return all(isinstance(x, (int, float)) for x in parameters)


def clamp_probs(probs: Any) -> Any:
    """Probabilities that keep away from 0 and 1, so that their logarithms are finite."""
    eps = finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def logits_to_probs(logits: Any, is_binary: bool = False) -> Any:
    """Probabilities of (unnormalized) logits."""
    return logits.sigmoid() if is_binary else softmax(logits, dim=-1)


def probs_to_logits(probs: Any, is_binary: bool = False) -> Any:
    """Logits of probabilities."""
    clamped = clamp_probs(probs)
    return clamped.log() - (-clamped).log1p() if is_binary else clamped.log()


def one_of_two(probs: Any, logits: Any) -> None:
    """ValueError unless exactly one was given."""
    if (probs is None) == (logits is None):
        raise ValueError("Either `probs` or `logits` must be specified, but not both.")


def sum_rightmost(value: Any, dims: int) -> Any:
    """`value` summed over its last `dims` dimensions."""
    if dims == 0:
        return value
    return value.reshape((*value.shape[: value.dim() - dims], -1)).sum(-1)


def standard_normal(shape: Sequence[int], like: Tensor) -> Any:
    """Standard normal numbers in the dtype of `like`."""
    return normal(like.new_zeros(shape), like.new_ones(shape))
