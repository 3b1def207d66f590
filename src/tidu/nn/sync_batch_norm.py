"""Batch norm over the batches of several processes, of which there is one."""

from __future__ import annotations

from typing import Any

from tidu.base.processes import ProcessGroup
from tidu.nn.channel_norms import _BatchNorm
from tidu.nn.module import Module
from tidu.tensor import Tensor


class SyncBatchNorm(_BatchNorm):
    """``SyncBatchNorm(channels)`` normalizes each channel of (N, C, ...) over the batches of all
    processes: as there is one, as batch norm does.

    ValueError for inputs of less than two dimensions. Follows torch.nn.SyncBatchNorm, which refuses
    tensors on the CPU where there is a process group.

    >>> torch.nn.SyncBatchNorm(4)(torch.randn(8, 4)).shape
    torch.Size([8, 4])
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: ProcessGroup | None = None,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )
        self.process_group = process_group

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"expected at least 2D input (got {input.ndim}D input)")

    @classmethod
    def convert_sync_batchnorm(
        cls, module: Module, process_group: ProcessGroup | None = None
    ) -> Module:
        """`module` with every batch norm in it made a SyncBatchNorm of the same parameters.

        >>> print(torch.nn.SyncBatchNorm.convert_sync_batchnorm(torch.nn.BatchNorm1d(2)))
        SyncBatchNorm(2, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
        """
        converted = module
        if isinstance(module, _BatchNorm):
            converted = cls._of(module, process_group)
        for name, child in module.named_children():
            converted.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return converted

    @classmethod
    def _of(cls, norm: _BatchNorm, process_group: ProcessGroup | None) -> SyncBatchNorm:
        made = cls(
            norm.num_features,
            norm.eps,
            norm.momentum,
            norm.affine,
            norm.track_running_stats,
            process_group,
            bias=norm.bias is not None,
        )
        made.weight, made.bias = norm.weight, norm.bias
        made.running_mean, made.running_var = norm.running_mean, norm.running_var
        made.num_batches_tracked = norm.num_batches_tracked
        made.training = norm.training
        return made
