"""`profile`, and the schedules by which it records."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from enum import Enum
from typing import Any

from tidu.profiler.events import EventAverage, EventList
from tidu.profiler.recording import Recorder, current
from tidu.profiler.trace import export_chrome_trace


class ProfilerActivity(Enum):
    """What PyTorch's profiler can watch. Here there is the CPU."""

    CPU = 0
    CUDA = 2
    MTIA = 3
    XPU = 4


class ProfilerAction(Enum):
    """What a profile does in a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


Schedule = Callable[[int], ProfilerAction]
_RECORDING = (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)


def supported_activities() -> set[ProfilerActivity]:
    """What can be watched: the CPU."""
    return {ProfilerActivity.CPU}


def schedule(
    *,
    wait: int,
    warmup: int,
    active: int,
    repeat: int = 0,
    skip_first: int = 0,
    skip_first_wait: int = 0,
) -> Schedule:
    """After `skip_first` steps, cycles of `wait` steps of nothing, `warmup` in which things are
    compiled, and `active` that are recorded: `repeat` of them, or endlessly.

    With `skip_first_wait` the first cycle does not wait. Follows torch.profiler.schedule.

    >>> plan = torch.profiler.schedule(wait=1, warmup=1, active=2, repeat=1)
    >>> [plan(step).name for step in range(5)]
    ['NONE', 'WARMUP', 'RECORD', 'RECORD_AND_SAVE', 'NONE']
    """
    if min(wait, warmup, repeat, skip_first) < 0 or active <= 0:
        raise AssertionError("Invalid profiler schedule arguments")
    cycle = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        if step < skip_first:
            return ProfilerAction.NONE
        step = step - skip_first + (wait if skip_first_wait else 0)
        if repeat > 0 and step // cycle >= repeat:
            return ProfilerAction.NONE
        place = step % cycle
        if place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        last = place == cycle - 1
        return ProfilerAction.RECORD_AND_SAVE if last else ProfilerAction.RECORD

    return action


def _always(step: int) -> ProfilerAction:
    return ProfilerAction.RECORD


def tensorboard_trace_handler(
    dir_name: str, worker_name: str | None = None, use_gzip: bool = False
) -> Callable[[profile], None]:
    """An `on_trace_ready` that writes a trace into the folder, for TensorBoard's profiler plugin.

    >>> handler = torch.profiler.tensorboard_trace_handler("logs")
    """

    def write(profiler: profile) -> None:
        os.makedirs(dir_name, exist_ok=True)
        worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"
        ending = "pt.trace.json.gz" if use_gzip else "pt.trace.json"
        path = os.path.join(dir_name, f"{worker}.{time.time_ns()}.{ending}")
        profiler.export_chrome_trace(path)

    return write


class profile:  # noqa: N801 (PyTorch's name)
    """Records what is run between `start` and `stop`, or in a ``with`` block.

    With a `schedule`, `step()` says that a step of the program is over; each time that a cycle is
    recorded, `on_trace_ready(profile)` is called. Options for what is not measured here (shapes,
    memory, stacks, flops, other devices) are accepted and have no effect: events always know their
    lines. RuntimeError if another profile is recording. Follows torch.profiler.profile.

    >>> with torch.profiler.profile() as profiler:
    ...     loss = train(x, labels)
    >>> text = profiler.key_averages().table(sort_by="cpu_time_total", row_limit=10)
    """

    def __init__(
        self,
        *,
        activities: Iterable[ProfilerActivity] | None = None,
        schedule: Schedule | None = None,
        on_trace_ready: Callable[[profile], Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        with_modules: bool = False,
        **options: Any,
    ) -> None:
        self.activities = set(activities or supported_activities()) & supported_activities()
        if not self.activities:
            raise RuntimeError(
                "No valid profiler activities found: the CPU is all that there is to watch"
            )
        self.schedule = schedule or _always
        self.on_trace_ready = on_trace_ready
        self.step_num = 0
        self.current_action = self.schedule(0)
        self._marks_steps = schedule is not None
        self._recorder = Recorder()
        self._metadata: dict[str, Any] = {}
        self._step = ExitStack()

    def start(self) -> None:
        """Begin with the first step."""
        if current.recorder is not None:
            raise RuntimeError("Profiler is already enabled on this thread")
        current.recorder = self._recorder
        self._recorder.prepare()
        self._begin(self.current_action)

    def stop(self) -> None:
        """End the last step."""
        if current.recorder is not self._recorder:
            return
        try:
            self._step.close()
            if self.current_action in _RECORDING:
                self._save()
        finally:
            self._recorder.close()
            current.recorder = None

    def step(self) -> None:
        """Say that a step of the program is over."""
        self._step.close()
        before, self.step_num = self.current_action, self.step_num + 1
        self.current_action = self.schedule(self.step_num)
        if before is ProfilerAction.RECORD_AND_SAVE:
            self._save()
        if before is not ProfilerAction.RECORD:
            self._begin(self.current_action)
        else:
            self._mark_step()

    def _begin(self, action: ProfilerAction) -> None:
        if action in _RECORDING:
            self._recorder.start()
            self._mark_step()

    def _mark_step(self) -> None:
        if self._marks_steps:
            name = f"ProfilerStep#{self.step_num}"
            self._step.enter_context(self._recorder.event(name, "user_annotation"))

    def _save(self) -> None:
        self._recorder.stop()
        if self.on_trace_ready is not None:
            self.on_trace_ready(self)

    def events(self) -> EventList:
        """Everything that was recorded, in the order in which it began."""
        return self._recorder.events

    def key_averages(
        self, group_by_input_shape: bool = False, group_by_stack_n: int = 0
    ) -> EventList:
        """What was recorded, summed up by name."""
        return self.events().key_averages()

    def total_average(self) -> EventAverage:
        """What was recorded, as one."""
        return self.events().total_average()

    def table(self, *args: Any, **kwargs: Any) -> str:
        """Every single event as a row of text; `key_averages().table()` sums up."""
        return self.events().table(*args, **kwargs)

    @property
    def self_cpu_time_total(self) -> float:
        """The time of everything that was recorded, in microseconds."""
        return self.events().self_cpu_time_total

    def add_metadata(self, key: str, value: str) -> None:
        """An entry for the file that `export_chrome_trace` writes."""
        self._metadata[key] = value

    add_metadata_json = add_metadata

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Write what was recorded for chrome://tracing or ui.perfetto.dev."""
        export_chrome_trace(self.events(), path, self._metadata)

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def __str__(self) -> str:
        return str(self.events())
