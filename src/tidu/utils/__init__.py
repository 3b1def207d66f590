"""Utilities under the names that PyTorch gives them; `torch.utils.data` is `tidu.utils.data`."""

from tidu.utils import checkpoint, data, hooks

__all__ = ["checkpoint", "data", "hooks"]
