"""A profile as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_COLUMNS = ("Self CPU %", "Self CPU", "CPU total %", "CPU total", "CPU time avg", "# of Calls")
_WIDTH = 12


def duration(microseconds: float) -> str:
    """A time with the unit that suits it."""
    if microseconds >= 1e6:
        return f"{microseconds / 1e6:.3f}s"
    if microseconds >= 1e3:
        return f"{microseconds / 1e3:.3f}ms"
    return f"{microseconds:.3f}us"


def render(events: Sequence[Any], total: float, longest: int, header: str | None) -> str:
    """A row for each event, with its part of the `total` time in microseconds."""
    names = [_cut(event.key, longest) for event in events]
    first = max([len(name) for name in names], default=0) + 4
    rule = "  ".join(["-" * first, *("-" * _WIDTH for _ in _COLUMNS)])
    lines = [] if header is None else ["=" * len(rule), header]
    lines += [rule, _row("Name", _COLUMNS, first), rule]
    lines += [
        _row(n, _numbers(event, total), first) for n, event in zip(names, events, strict=True)
    ]
    lines += [rule, f"Self CPU time total: {duration(total)}", ""]
    return "\n".join(lines)


def _cut(name: str, longest: int) -> str:
    return name if len(name) <= longest else f"{name[: longest - 3]}..."


def _row(name: str, cells: Sequence[str], first: int) -> str:
    return "  ".join([name.rjust(first), *(cell.rjust(_WIDTH) for cell in cells)])


def _numbers(event: Any, total: float) -> list[str]:
    return [
        _share(event.self_cpu_time_total, total),
        duration(event.self_cpu_time_total),
        _share(event.cpu_time_total, total),
        duration(event.cpu_time_total),
        duration(event.cpu_time),
        str(getattr(event, "count", 1)),
    ]


def _share(time: float, total: float) -> str:
    return f"{100 * time / total:.2f}%" if total else "NaN"
