"""`torch.utils.hooks`: what registering a hook returns."""

from tidu.autograd.hooks import Handle as RemovableHandle

__all__ = ["RemovableHandle"]
