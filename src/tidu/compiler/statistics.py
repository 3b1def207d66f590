"""What the compiler has done so far in this process."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Statistics:
    programs: int = 0  # regions compiled
    kernels: int = 0  # different kernels among them
    compile_seconds: float = 0.0
    cache_hits: int = 0  # modules of kernels found on disk
    cache_misses: int = 0


statistics = Statistics()
