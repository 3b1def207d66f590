"""A module for several devices, of which there is one."""

from __future__ import annotations

from typing import Any

from tidu.base import devices
from tidu.nn.module import Module
from tidu.tensor import Tensor


class DataParallel(Module):
    """``DataParallel(module)`` calls `module`, which is its attribute `module`:
    there is one device.

    It lets programs for several GPUs run unchanged, with the names "module. ..." in their state
    dicts.
    """

    def __init__(
        self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__()
        self.module = module
        self.device_ids: list[Any] = []
        self.output_device = devices.CPU
        self.dim = dim

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)


def data_parallel(
    module: Module,
    inputs: Any,
    device_ids: Any = None,
    output_device: Any = None,
    dim: int = 0,
    module_kwargs: dict[str, Any] | None = None,
) -> Any:
    """Call `module` on the one device there is."""
    arguments: tuple[Any, ...] = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    return module(*arguments, **(module_kwargs or {}))
