"""``torch.profiler``: where the time of a program goes.

While a profile is recorded, regions are compiled as always, and then run call by call, each of
which is an event: a fused kernel, a matrix product, a convolution, or an operation that NumPy does,
named after the line of the program that it was made for. Compiling is an event, too.

`recording` measures, `events` holds and sums up what was measured, `table` and `trace` show it,
`session` has the interface.

>>> with torch.profiler.profile() as profiler:
...     with torch.profiler.record_function("forward"):
...         y = model(x)
>>> [event.key for event in profiler.key_averages() if event.is_user_annotation]
['forward']
"""

from __future__ import annotations

from tidu.profiler.recording import record_function
from tidu.profiler.session import (
    ProfilerAction,
    ProfilerActivity,
    profile,
    schedule,
    supported_activities,
    tensorboard_trace_handler,
)

__all__ = [
    "ProfilerAction", "ProfilerActivity", "profile", "record_function", "schedule",
    "supported_activities", "tensorboard_trace_handler",
]  # fmt: skip
