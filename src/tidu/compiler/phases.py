"""Which calls of a plan surely run after which others.

A program is run in phases: between barriers, and between host calls. In a phase, only calls of one
unit on one track follow each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tidu.compiler.program import NativeCall
from tidu.compiler.steps import HostCall

Call = NativeCall | HostCall


def phases_of(calls: Sequence[Call]) -> list[int]:
    """The phase of each call."""
    phases: list[int] = []
    for place, call in enumerate(calls):
        last = phases[-1] if phases else 0
        after_host = place > 0 and isinstance(calls[place - 1], HostCall)
        phases.append(last + (isinstance(call, HostCall) or after_host or call.barrier))
    return phases


def follow(
    calls: Sequence[Call], phases: list[int], some: Iterable[int], others: Iterable[int]
) -> bool:
    """Whether each of the other calls, given by their places, surely runs after each of some."""
    return all(
        phases[i] < phases[j]
        or (phases[i] == phases[j] and i < j and on_one_track(calls[i], calls[j]))
        for i in some
        for j in others
    )


def on_one_track(call: Call, other: Call) -> bool:
    """Whether calls of one phase follow each other."""
    return (
        isinstance(call, NativeCall)
        and isinstance(other, NativeCall)
        and call.units == other.units == 1
        and call.track == other.track
    )
