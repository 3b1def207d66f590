"""`torch.nn.modules.module`: the base class of all layers."""

from __future__ import annotations

from tidu.nn.module import Module

__all__ = ["Module"]
