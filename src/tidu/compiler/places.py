"""Where buffers are in the arena: what is not in use at the same time may share memory."""

from __future__ import annotations

from bisect import insort
from typing import NamedTuple

from tidu.compiler.program import Plan
from tidu.compiler.steps import Buffer, HostCall, host_buffers

# What starts in the arena starts at a multiple of this many bytes, a line of the cache.
_ALIGNMENT = 64


class Moment(NamedTuple):
    """A phase, and the track if what happens then happens on one track alone."""

    phase: int
    track: int | None


class Life(NamedTuple):
    """The first and the last call that uses a buffer, and when that is."""

    first: int
    last: int
    begin: Moment
    end: Moment

    def is_over_before(self, other: Life) -> bool:
        """Whether it has surely ended, on all tracks, when the other begins."""
        if self.end.phase != other.begin.phase:
            return self.end.phase < other.begin.phase
        alone = self.end.track is not None and self.end.track == other.begin.track
        return alone and self.last < other.first


def lifetimes(plan: Plan) -> dict[int, Life]:
    """The life of each buffer in the arena."""
    outside = {*plan.leaves, *plan.constants, *plan.results()}
    lives: dict[int, Life] = {}
    moments = _moments(plan)
    for place, call in enumerate(plan.calls):
        now = moments[place]
        if isinstance(call, HostCall):
            outside.update(b.number for b in call.results)
            used = {b.number for b in host_buffers(call)}
        else:
            used = {*call.reads, *call.writes}
        for number in used - outside:
            life = lives.get(number)
            if life is None:
                lives[number] = Life(place, place, now, now)
            else:
                begin = _both(life.begin, now) if life.begin.phase == now.phase else life.begin
                end = _both(life.end, now) if life.end.phase == now.phase else now
                lives[number] = Life(life.first, place, begin, end)
    return lives


def _both(one: Moment, other: Moment) -> Moment:
    return one if one == other else Moment(one.phase, None)


def _moments(plan: Plan) -> list[Moment]:
    """When each call runs."""
    moments: list[Moment] = []
    phase = 0
    for call in plan.calls:
        if isinstance(call, HostCall):
            moments.append(Moment(phase + 1, None))
            phase += 2
        else:
            phase += call.barrier
            moments.append(Moment(phase, call.track if call.units == 1 else None))
    return moments


def place(plan: Plan) -> None:
    """Give places to buffers, the largest first, each the lowest that is free."""
    lives = lifetimes(plan)
    placed: list[tuple[int, int, int]] = []  # (start, end, buffer), sorted
    for number in sorted(lives, key=lambda n: (-_size(plan.buffers[n]), lives[n].first, n)):
        life = lives[number]
        size = _size(plan.buffers[number])
        start = 0
        for low, high, other in placed:
            if lives[other].is_over_before(life) or life.is_over_before(lives[other]):
                continue
            if low - start >= size:
                break
            start = max(start, high)
        insort(placed, (start, start + size, number))
        plan.offsets[number] = start
        plan.arena = max(plan.arena, start + size)


def _size(buffer: Buffer) -> int:
    size: int = buffer.size * buffer.dtype.itemsize
    return -(-size // _ALIGNMENT) * _ALIGNMENT
