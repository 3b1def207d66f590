"""Normalization layers for each sample: layer, RMS, group and local response norm.

Batch and instance norm, which normalize channels, are in `channel_norms`.
"""

from __future__ import annotations

from typing import Any

from tidu.nn.channel_norms import affine_parameters, start_affine
from tidu.nn.module import Module
from tidu.nn.parameter import Parameter
from tidu.ops.layers import local_response, normalization
from tidu.tensor import Tensor, ones


def _as_shape(normalized_shape: Any) -> tuple[int, ...]:
    return (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)


class LayerNorm(Module):
    """(x - mean) / √(variance + `eps`) · weight + bias over the last dimensions (Ba et al., 2016).

    `normalized_shape` is their shape, which weight and bias have; an int stands for one dimension.

    >>> torch.nn.LayerNorm(3)(torch.tensor([[1., 2., 3.]]))[0, 1].item()
    0.0
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _as_shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        made: dict[str, Any] = {"device": device, "dtype": dtype}
        affine_parameters(self, self.normalized_shape, elementwise_affine, bias, made)

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        start_affine(self.weight, self.bias)

    def forward(self, input: Tensor) -> Any:
        weight, bias = self._weight_and_bias()
        return normalization.layer_norm(input, self.normalized_shape, weight, bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """x / √(mean(x²) + `eps`) · weight over the last dimensions (Zhang and Sennrich, 2019).

    `normalized_shape` as in `LayerNorm`; `eps` is the machine epsilon unless given.

    >>> nn.RMSNorm(4)(torch.randn(2, 4)).shape
    torch.Size([2, 4])
    """

    weight: Parameter | None

    def __init__(
        self,
        normalized_shape: Any,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _as_shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        made: dict[str, Any] = {"device": device, "dtype": dtype}
        weight = Parameter(ones(self.normalized_shape, **made)) if elementwise_affine else None
        self.register_parameter("weight", weight)

    def reset_parameters(self) -> None:
        """Weight 1."""
        start_affine(self.weight, None)

    def forward(self, input: Tensor) -> Any:
        return normalization.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class GroupNorm(Module):
    """The channels in `num_groups` groups, each normalized for each sample (Wu and He, 2018).

    Input (N, `num_channels`, …); weight and bias are per channel. Raises ValueError if the groups
    do not come out even.

    >>> nn.GroupNorm(2, 4)(torch.randn(1, 4, 3)).shape
    torch.Size([1, 4, 3])
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_channels % num_groups:
            raise ValueError(
                f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        affine_parameters(self, (num_channels,), affine, bias, {"device": device, "dtype": dtype})

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        start_affine(self.weight, self.bias)

    def forward(self, input: Tensor) -> Any:
        return normalization.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class LocalResponseNorm(Module):
    """x / (`k` + `alpha` · mean of squares of `size` neighboring channels)^`beta`.

    >>> nn.LocalResponseNorm(2)(torch.randn(1, 4, 2, 2)).shape
    torch.Size([1, 4, 2, 2])
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Any:
        return local_response.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
