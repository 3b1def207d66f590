"""Utilities under the names that PyTorch gives them; `torch.utils.data` is `tidu.utils.data`."""

from tidu.base.deferred import on_demand

__all__ = ["checkpoint", "data", "hooks"]

__getattr__, __dir__ = on_demand(
    __name__, "benchmark", "checkpoint", "data", "dlpack", "hooks", "model_zoo", "tensorboard"
)
