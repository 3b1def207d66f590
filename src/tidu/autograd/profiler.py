"""`torch.autograd.profiler`: the profiler as older programs call it.

This module stands above all that it profiles; `autograd` shows it when it is asked for.
"""

from __future__ import annotations

from typing import Any

from tidu.profiler import record_function
from tidu.profiler.session import profile as _Profile

__all__ = ["profile", "record_function"]


class profile(_Profile):  # noqa: N801 (PyTorch's name)
    """``with profile() as p``: what `torch.profiler.profile` records, unless `enabled` is False.

    >>> with torch.autograd.profiler.profile() as profiler:
    ...     y = model(x)
    >>> text = profiler.key_averages().table(sort_by="self_cpu_time_total")
    """

    def __init__(
        self,
        enabled: bool = True,
        *,
        use_cuda: bool = False,
        use_device: str | None = None,
        record_shapes: bool = False,
        with_flops: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_modules: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        self.enabled = enabled

    def start(self) -> None:
        """Record from here on."""
        if self.enabled:
            super().start()
