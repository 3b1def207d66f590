"""Norms of each channel: batch norm and instance norm, and the lazy forms of both."""

from __future__ import annotations

from typing import Any

from tidu.base.dtypes import float64, int64
from tidu.base.source import warn
from tidu.nn.lazy import LazyModuleMixin
from tidu.nn.module import Module
from tidu.nn.parameter import Parameter, UninitializedBuffer, UninitializedParameter
from tidu.ops.elementwise import reciprocal
from tidu.ops.layers import normalization
from tidu.tensor import Tensor, ones, tensor, zeros


class _ChannelNorm(Module):
    """Weight, bias and running statistics for each channel, the dimension after the batch.

    The running mean, the running variance and the number of batches seen are buffers, so they are
    saved with the parameters.
    """

    _version = 2
    ranks: tuple[int, ...] = ()  # the numbers of dimensions that an input may have
    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        made: dict[str, Any] = {"device": device, "dtype": dtype}
        affine_parameters(self, (num_features,), affine, bias, made)
        tracked = track_running_stats
        self.register_buffer("running_mean", zeros(num_features, **made) if tracked else None)
        self.register_buffer("running_var", ones(num_features, **made) if tracked else None)
        count = tensor(0, dtype=int64, device=device) if tracked else None
        self.register_buffer("num_batches_tracked", count)

    def reset_running_stats(self) -> None:
        """Forget the statistics: mean 0, variance 1, no batches."""
        if self.track_running_stats:
            assert self.running_mean is not None and self.running_var is not None
            assert self.num_batches_tracked is not None
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Forget what was learned, too: weight 1, bias 0."""
        self.reset_running_stats()
        start_affine(self.weight, self.bias)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim not in self.ranks:
            expected = " or ".join(f"{rank}D" for rank in self.ranks)
            raise ValueError(f"expected {expected} input (got {input.ndim}D input)")

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], *rest: Any
    ) -> None:
        # The first version did not count batches.
        if (local_metadata.get("version") or 0) < 2 and self.track_running_stats:
            count = self.num_batches_tracked
            state_dict.setdefault(
                prefix + "num_batches_tracked", tensor(0) if count is None else count
            )
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)


def affine_parameters(
    module: Any, shape: tuple[int, ...], affine: bool, bias: bool, made: dict[str, Any]
) -> None:
    """Register weight (1) and bias (0), or None in their places."""
    weight = Parameter(ones(shape, **made)) if affine else None
    module.register_parameter("weight", weight)
    module.register_parameter("bias", Parameter(zeros(shape, **made)) if affine and bias else None)


def start_affine(weight: Tensor | None, bias: Tensor | None) -> None:
    """Weight 1 and bias 0, where there are any."""
    if weight is not None:
        weight.data.fill_(1)
    if bias is not None:
        bias.data.fill_(0)


class _BatchNorm(_ChannelNorm):
    def forward(self, input: Tensor) -> Any:
        self._check_input_dim(input)
        momentum, training = self.momentum, self.training
        running_mean, running_var, batches = self._tracked()
        factor: Any = 0.0 if momentum is None else momentum
        if training and batches is not None and self.track_running_stats:
            batches.accumulate_(1)  # an integer, which never is on the tape
            if momentum is None:  # the mean over all batches so far
                factor = reciprocal(batches.to(float64))
        # Without running statistics, those of the batch serve in evaluation, too.
        of_batch = training or (running_mean is None and running_var is None)
        if training and not self.track_running_stats:
            running_mean = running_var = None
        weight, bias = self._weight_and_bias()
        return normalization.batch_norm(
            input, running_mean, running_var, weight, bias, of_batch, factor, self.eps
        )

    def _tracked(self) -> tuple[Any, Any, Any]:
        """Running mean, running variance and the number of batches."""
        buffers = self._buffers
        names = ("running_mean", "running_var", "num_batches_tracked")
        if all([name in buffers for name in names]):
            return buffers["running_mean"], buffers["running_var"], buffers["num_batches_tracked"]
        return self.running_mean, self.running_var, self.num_batches_tracked


class BatchNorm1d(_BatchNorm):
    """(x - mean) / √(variance + `eps`) · weight + bias for each channel of (N, C) or (N, C, L).

    In training with the statistics of the batch, towards which the running ones move by `momentum`
    (None takes their plain mean over all batches); in evaluation with the running ones. Raises
    ValueError for other shapes, and for a single value per channel in training (Ioffe and Szegedy,
    2015).

    >>> torch.nn.BatchNorm1d(4)(torch.randn(8, 4)).shape
    torch.Size([8, 4])
    """

    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """`BatchNorm1d` for (N, C, H, W).

    >>> nn.BatchNorm2d(3)(torch.randn(8, 3, 4, 4)).shape
    torch.Size([8, 3, 4, 4])
    """

    ranks = (4,)


class BatchNorm3d(_BatchNorm):
    """`BatchNorm1d` for (N, C, D, H, W).

    >>> nn.BatchNorm3d(2)(torch.randn(4, 2, 3, 3, 3)).shape
    torch.Size([4, 2, 3, 3, 3])
    """

    ranks = (5,)


class _InstanceNorm(_ChannelNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )

    def forward(self, input: Tensor) -> Any:
        self._check_input_dim(input)
        single = input.ndim == self.ranks[0]
        self._check_channels(input, 0 if single else 1)
        result = normalization.instance_norm(
            input.unsqueeze(0) if single else input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return result.squeeze(0) if single else result

    def _check_channels(self, input: Tensor, dim: int) -> None:
        channels = input.shape[dim]
        if channels == self.num_features:
            return
        if self.affine:
            raise ValueError(
                f"expected input's size at dim={dim} to match num_features ({self.num_features}), "
                f"but got: {channels}."
            )
        warn(
            f"input's size at dim={dim} does not match num_features. You can silence this warning "
            "by not passing in num_features, which is not used because affine=False"
        )

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], *rest: Any
    ) -> None:
        unexpected = [
            name for name in ("running_mean", "running_var") if prefix + name in state_dict
        ]
        if local_metadata.get("version") is None and unexpected and not self.track_running_stats:
            name, names = type(self).__name__, " and ".join(f'"{prefix}{n}"' for n in unexpected)
            rest[-1].append(
                f"Unexpected running stats buffer(s) {names} for {name} with "
                "track_running_stats=False. If state_dict is a checkpoint saved before 0.4.0, this "
                f"may be expected because {name} does not track running stats by default since "
                "0.4.0. Please remove these keys from state_dict. If the running stats are "
                f"actually needed, instead set track_running_stats=True in {name} to enable them. "
                f"See the documentation of {name} for details."
            )
            for key in unexpected:
                del state_dict[prefix + key]
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)


class InstanceNorm1d(_InstanceNorm):
    """Each channel of each sample of (N, C, L), or of (C, L), on the scale of its own elements.

    Without parameters and running statistics unless `affine` and `track_running_stats` ask for them
    (Ulyanov et al., 2016).

    >>> nn.InstanceNorm1d(3)(torch.randn(1, 3, 4)).shape
    torch.Size([1, 3, 4])
    """

    ranks = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """`InstanceNorm1d` for (N, C, H, W) or (C, H, W).

    >>> nn.InstanceNorm2d(3)(torch.randn(1, 3, 4, 4)).shape
    torch.Size([1, 3, 4, 4])
    """

    ranks = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """`InstanceNorm1d` for (N, C, D, H, W) or (C, D, H, W)."""

    ranks = (4, 5)


class _LazyChannelNorm(LazyModuleMixin, _ChannelNorm):
    """A norm that takes `num_features` from its first input."""

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        # Without parameters first: affine and tracking are what decides whether there are any.
        super().__init__(0, eps, momentum, False, False, device, dtype, bias=bias)
        made: dict[str, Any] = {"device": device, "dtype": dtype}
        self.affine = affine
        self.track_running_stats = track_running_stats
        if affine:
            self.weight = UninitializedParameter(**made)
            self.bias = UninitializedParameter(**made) if bias else None
        if track_running_stats:
            self.register_buffer("running_mean", UninitializedBuffer(**made))
            self.register_buffer("running_var", UninitializedBuffer(**made))
            self.register_buffer("num_batches_tracked", tensor(0, dtype=int64, device=device))

    def reset_parameters(self) -> None:
        if not self.has_uninitialized_params() and self.num_features != 0:
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor) -> None:
        if not self.has_uninitialized_params():
            return
        self.num_features = self._channels(input)
        parts: tuple[Any, ...] = (self.weight, self.bias, self.running_mean, self.running_var)
        for part in parts:
            if part is not None:
                part.materialize((self.num_features,))
        self.reset_parameters()

    def _channels(self, input: Tensor) -> int:
        return input.shape[1]  # type: ignore[no-any-return]


class LazyBatchNorm1d(_LazyChannelNorm, _BatchNorm):
    """A `BatchNorm1d` that takes `num_features` from its first input.

    >>> nn.LazyBatchNorm1d()(torch.randn(4, 3)).shape
    torch.Size([4, 3])
    """

    cls_to_become = BatchNorm1d
    ranks = BatchNorm1d.ranks


class LazyBatchNorm2d(_LazyChannelNorm, _BatchNorm):
    """A `BatchNorm2d` that takes `num_features` from its first input."""

    cls_to_become = BatchNorm2d
    ranks = BatchNorm2d.ranks


class LazyBatchNorm3d(_LazyChannelNorm, _BatchNorm):
    """A `BatchNorm3d` that takes `num_features` from its first input."""

    cls_to_become = BatchNorm3d
    ranks = BatchNorm3d.ranks


class _LazyInstanceNorm(_LazyChannelNorm, _InstanceNorm):
    def _channels(self, input: Tensor) -> int:
        return input.shape[0 if input.ndim == self.ranks[0] else 1]  # type: ignore[no-any-return]


class LazyInstanceNorm1d(_LazyInstanceNorm):
    """An `InstanceNorm1d` that takes `num_features` from its first input."""

    cls_to_become = InstanceNorm1d
    ranks = InstanceNorm1d.ranks


class LazyInstanceNorm2d(_LazyInstanceNorm):
    """An `InstanceNorm2d` that takes `num_features` from its first input."""

    cls_to_become = InstanceNorm2d
    ranks = InstanceNorm2d.ranks


class LazyInstanceNorm3d(_LazyInstanceNorm):
    """An `InstanceNorm3d` that takes `num_features` from its first input."""

    cls_to_become = InstanceNorm3d
    ranks = InstanceNorm3d.ranks
