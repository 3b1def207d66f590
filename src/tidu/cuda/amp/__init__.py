"""``torch.cuda.amp``: the former names of ``torch.amp`` for CUDA, all of which is disabled."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tidu import amp
from tidu.base.dtypes import dtype, float16
from tidu.base.source import warn

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd"]


def _deprecated(name: str, successor: str) -> None:
    warn(
        f"`torch.cuda.amp.{name}(args...)` is deprecated. Please use `torch.amp.{successor}` "
        "instead.",
        FutureWarning,
    )


class autocast(amp.autocast):  # noqa: N801 (the name users know it by)
    """``torch.amp.autocast("cuda")``."""

    def __init__(
        self, enabled: bool = True, dtype: dtype = float16, cache_enabled: bool = True
    ) -> None:
        _deprecated("autocast", "autocast('cuda', args...)")
        super().__init__("cuda", dtype=dtype, enabled=enabled, cache_enabled=cache_enabled)


class GradScaler(amp.GradScaler):
    """``torch.amp.GradScaler("cuda")``."""

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        _deprecated("GradScaler", "GradScaler('cuda', args...)")
        super().__init__(
            "cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled
        )


custom_fwd: Callable[..., Any] = partial(amp.custom_fwd, device_type="cuda")
custom_bwd: Callable[..., Any] = partial(amp.custom_bwd, device_type="cuda")
