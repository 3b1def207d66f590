"""Times of one piece of code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

import numpy as np

_UNITS = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9))


@dataclass(frozen=True)
class TaskSpec:
    """What was measured."""

    stmt: str
    setup: str
    label: str | None = None
    sub_label: str | None = None
    description: str | None = None
    env: str | None = None
    num_threads: int = 1

    @property
    def title(self) -> str:
        """The label, or else the code."""
        name = self.label or self.stmt
        return f"{name}: {self.sub_label}" if self.sub_label else name


@dataclass(frozen=True)
class Measurement:
    """`raw_times` in seconds, each of `number_per_run` runs of the code."""

    number_per_run: int
    raw_times: Sequence[float]
    task_spec: TaskSpec

    @property
    def times(self) -> list[float]:
        """Seconds of one run."""
        return [time / self.number_per_run for time in self.raw_times]

    @property
    def mean(self) -> float:
        """The mean time of one run, in seconds."""
        return mean(self.times)

    @property
    def median(self) -> float:
        """The median time of one run, in seconds."""
        return median(self.times)

    @property
    def iqr(self) -> float:
        """How far the middle half of the times spreads, in seconds."""
        low, high = np.percentile(self.times, (25, 75))
        return float(high - low)

    def __getattr__(self, name: str) -> Any:
        """What was measured: `stmt`, `label`, `num_threads`, ..."""
        if name.startswith("_") or name == "task_spec":
            raise AttributeError(name)
        return getattr(self.task_spec, name)

    def __repr__(self) -> str:
        spec = self.task_spec
        runs = f"{len(self.raw_times)} measurement{'s' if len(self.raw_times) > 1 else ''}"
        threads = f"{spec.num_threads} thread{'s' if spec.num_threads > 1 else ''}"
        lines = [f"<{type(self).__module__}.Measurement object at {id(self):#x}>", spec.title]
        lines += [spec.description] if spec.description else []
        if len(self.raw_times) > 1:
            lines.append(f"  Median: {duration(self.median)}")
            lines.append(f"  IQR:    {duration(self.iqr)}")
        else:
            lines.append(f"  {duration(self.mean)}")
        lines.append(f"  {runs}, {self.number_per_run} runs per measurement, {threads}")
        return "\n".join(lines)


def duration(seconds: float) -> str:
    """A time with the unit that suits it."""
    unit, scale = next((entry for entry in _UNITS if seconds >= entry[1]), _UNITS[-1])
    return f"{seconds / scale:.2f} {unit}"
