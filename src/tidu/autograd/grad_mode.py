"""`torch.autograd.grad_mode`: whether operations are recorded on the tape."""

from __future__ import annotations

from tidu.autograd.modes import enable_grad, inference_mode, no_grad, set_grad_enabled

__all__ = ["enable_grad", "inference_mode", "no_grad", "set_grad_enabled"]
