"""Events of a profile, one by one and summed up by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tidu.profiler.table import render


class Event:
    """Something that was run: `name`, when it began and how long it took, in microseconds.

    `cpu_children` are the events within it, `lines` those of the program that it was made for.
    """

    def __init__(self, name: str, start: float, kind: str, lines: Sequence[str] = ()) -> None:
        self.name = name
        self.start = start
        self.kind = kind
        self.lines = list(lines)
        self.cpu_time_total = 0.0
        self.cpu_parent: Event | None = None
        self.cpu_children: list[Event] = []

    @property
    def key(self) -> str:
        """The name, under which events are summed up; steps are summed up as one."""
        return "ProfilerStep*" if self.name.startswith("ProfilerStep#") else self.name

    @property
    def is_user_annotation(self) -> bool:
        """Whether it is a `record_function` block."""
        return self.kind == "user_annotation"

    @property
    def cpu_time(self) -> float:
        """How long it took."""
        return self.cpu_time_total

    @property
    def self_cpu_time_total(self) -> float:
        """How long it took, without the events within it."""
        return self.cpu_time_total - sum(child.cpu_time_total for child in self.cpu_children)

    def __repr__(self) -> str:
        return f"<Event {self.name!r} cpu_time={self.cpu_time_total:.3f}us>"


class EventAverage:
    """All events of one name: how many (`count`), and their times in microseconds."""

    # There is no other device than the CPU.
    device_time = cuda_time = 0.0
    device_time_total = cuda_time_total = 0.0
    self_device_time_total = self_cuda_time_total = 0.0

    def __init__(self, key: str) -> None:
        self.key = key
        self.count = 0
        self.cpu_time_total = 0.0
        self.self_cpu_time_total = 0.0
        self.is_user_annotation = False

    def add(self, event: Event) -> None:
        """Take one more event into the sums."""
        self.count += 1
        self.cpu_time_total += event.cpu_time_total
        self.self_cpu_time_total += event.self_cpu_time_total
        self.is_user_annotation |= event.is_user_annotation

    @property
    def cpu_time(self) -> float:
        """The mean time of one."""
        return self.cpu_time_total / self.count if self.count else 0.0

    def __repr__(self) -> str:
        return (
            f"<EventAverage key={self.key} self_cpu_time={self.self_cpu_time_total:.3f}us "
            f"cpu_time={self.cpu_time:.3f}us count={self.count}>"
        )


class EventList(list[Any]):
    """Events, or averages of them; it prints as a table."""

    def key_averages(self) -> EventList:
        """The events summed up by name."""
        return _summed(self, lambda event: event.key)

    def total_average(self) -> EventAverage:
        """All events as one."""
        total = EventAverage("Total")
        for event in self:
            total.add(event)
        return total

    @property
    def self_cpu_time_total(self) -> float:
        """The time of all events, none counted twice, in microseconds."""
        return float(sum(event.self_cpu_time_total for event in self))

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_src_column_width: int = 75,
        max_name_column_width: int = 55,
        max_shapes_column_width: int = 80,
        header: str | None = None,
        top_level_events_only: bool = False,
        time_unit: str | None = None,
    ) -> str:
        """The events as text: one row for each, sorted by a time such as "cpu_time_total".

        ValueError for something to sort by that was not measured.
        """
        rows = list(self)
        if top_level_events_only:
            rows = [event for event in rows if getattr(event, "cpu_parent", None) is None]
        if sort_by is not None:
            if not all(hasattr(event, sort_by) for event in rows):
                raise ValueError(f"the profiler does not measure {sort_by}")
            rows.sort(key=lambda event: getattr(event, sort_by), reverse=True)
        return render(rows[:row_limit], self.self_cpu_time_total, max_name_column_width, header)

    def __str__(self) -> str:
        return self.table()


def _summed(events: Iterable[Event], key: Callable[[Event], str]) -> EventList:
    averages: dict[str, EventAverage] = {}
    for event in events:
        averages.setdefault(key(event), EventAverage(key(event))).add(event)
    return EventList(averages.values())
