"""`torch.nn.modules`: where PyTorch's layers live, for scripts that import them from there."""

from __future__ import annotations

from tidu.nn.modules import batchnorm, conv, linear, loss, module, utils
from tidu.nn.modules.module import Module

__all__ = ["Module", "batchnorm", "conv", "linear", "loss", "module", "utils"]
