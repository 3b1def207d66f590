"""``torch.utils.benchmark``: how long a piece of code takes.

`timer` measures, `measurement` holds what was measured, `compare` shows several beside each other.
"""

from __future__ import annotations

from tidu.utils.benchmark.compare import Compare
from tidu.utils.benchmark.measurement import Measurement, TaskSpec
from tidu.utils.benchmark.timer import Timer

__all__ = ["Compare", "Measurement", "TaskSpec", "Timer"]
