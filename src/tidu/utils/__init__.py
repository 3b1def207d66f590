"""Utilities under the names that PyTorch gives them; `torch.utils.data` is `tidu.utils.data`."""

from tidu.base.deferred import on_demand
from tidu.utils import checkpoint, data, hooks

__all__ = ["checkpoint", "data", "hooks"]

# What few programs need.
__getattr__ = on_demand(__name__, "benchmark", "dlpack", "model_zoo", "tensorboard")
