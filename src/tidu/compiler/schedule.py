"""When each call of a program runs, and on which track.

A program is run in phases, between which its workers meet. Of a phase, calls of several units are
shared by all workers. Calls of one unit are put on tracks: those of a track follow each other, and
tracks run at the same time. Within a phase, a call may therefore need only what is done before it
on its own track. Shared calls stay in the order given; what has one unit is moved to where a track
would have nothing to do. All of that follows from the calls alone, not from how many workers there
are, and each call computes what it would compute anywhere else.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple

from tidu.compiler.fuse import Kernel
from tidu.compiler.program import NativeCall, parts
from tidu.compiler.steps import HostCall

# More tracks would be of use where many small calls are independent. Chains of them are more
# common: a layer's gradient, and beside it what the layer after it does with its own.
TRACKS = 2

# How many calls ahead of the first that is not done yet one may be moved: buffers live longer.
_REACH = 64

# About how many operations take a nanosecond, in products and convolutions, and in other kernels.
_PRODUCTS_SPEED, _KERNELS_SPEED = 100, 30
# Nanoseconds that a call takes besides, and a meeting of the workers.
_OF_A_CALL, _OF_A_MEETING = 100, 300

# What takes less is left in order, on one track: waking another thread takes some 50 µs.
_WORTH_TRACKS = 200_000


class Task(NamedTuple):
    """What the schedule has to know of a call."""

    units: int
    cost: int  # of all units, in nanoseconds
    before: frozenset[int]  # the tasks that it needs, all of lower numbers


@dataclass(slots=True)
class Phase:
    """What runs between two meetings: the numbers of tasks."""

    shared: list[int] = field(default_factory=list)
    tracks: list[list[int]] = field(default_factory=list)


def arrange(calls: Sequence[NativeCall | HostCall]) -> list[NativeCall | HostCall]:
    """The calls in the order in which one worker would run them, with barriers and tracks."""
    arranged: list[NativeCall | HostCall] = []
    pending: list[NativeCall] = []
    for call in calls:
        if isinstance(call, HostCall):
            arranged += _arranged(pending)
            arranged.append(call)
            pending = []
        else:
            pending.append(call)
    return [*arranged, *_arranged(pending)]


def _arranged(calls: Sequence[NativeCall]) -> Iterator[NativeCall]:
    tasks = [
        Task(call.units, _cost(call), before)
        for call, before in zip(calls, dependencies(calls), strict=True)
    ]
    worth = sum(task.cost for task in tasks) >= _WORTH_TRACKS
    for number, phase in enumerate(schedule(tasks, TRACKS) if worth else in_order(tasks)):
        members = [(0, i) for i in phase.shared]
        members += [(track, i) for track, own in enumerate(phase.tracks) for i in own]
        if not worth:
            members.sort()
        barrier = number > 0
        for track, i in members:
            yield replace(calls[i], barrier=barrier, track=track)
            barrier = False


def _cost(call: NativeCall) -> int:
    speed = _KERNELS_SPEED if isinstance(call.what, Kernel) else _PRODUCTS_SPEED
    return call.work * call.units // speed + _OF_A_CALL


def dependencies(calls: Iterable[NativeCall]) -> Iterator[frozenset[int]]:
    """For each call, those that must be done before it: who writes what it reads, who reads or
    writes what it writes. Who writes other places of a buffer need not be waited for.
    """
    writers: dict[int, dict[int, bool]] = {}  # by buffer: calls, and whether only a part
    readers: dict[int, list[int]] = {}
    for number, call in enumerate(calls):
        before = {i for buffer in call.reads for i in writers.get(buffer, ())}
        own = parts(call)
        for buffer in call.writes:
            before.update(readers.get(buffer, ()))
            others = writers.setdefault(buffer, {})
            before.update(i for i, part in others.items() if not (part and buffer in own))
            if buffer not in own:
                # They are done before this one, and it before all others.
                others.clear()
                readers.pop(buffer, None)
            others[number] = buffer in own
        for buffer in call.reads:
            readers.setdefault(buffer, []).append(number)
        yield frozenset(before - {number})


def in_order(tasks: Sequence[Task]) -> list[Phase]:
    """Phases for tasks that stay in order, with a single track."""
    phases = [Phase(tracks=[[]])]
    now: set[int] = set()
    for number, task in enumerate(tasks):
        if any(task.units != 1 or tasks[i].units != 1 for i in task.before & now):
            phases.append(Phase(tracks=[[]]))
            now = set()
        now.add(number)
        (phases[-1].tracks[0] if task.units == 1 else phases[-1].shared).append(number)
    return phases


def schedule(tasks: Sequence[Task], tracks: int) -> list[Phase]:
    """Phases that keep all tracks busy."""
    return _Scheduler(tasks, tracks).run()


def _shares(units: int, count: int) -> list[int]:
    """How many units each of several workers does of a shared call."""
    marks = [-(-units * share // count) for share in range(count + 1)]
    return [end - begin for begin, end in pairwise(marks)]


class _Scheduler:
    """Makes one phase after the other. The most urgent task is the one with the longest way from
    it to the end.
    """

    def __init__(self, tasks: Sequence[Task], tracks: int) -> None:
        self.tasks = tasks
        self.tracks = tracks
        self.after: list[list[int]] = [[] for _ in tasks]
        for number, task in enumerate(tasks):
            for i in task.before:
                self.after[i].append(number)
        self.urgency = self._urgency()
        self.needs = [len(task.before) for task in tasks]  # how many that are not done
        self.done = [False] * len(tasks)
        self.first = 0  # the first that is not done
        self.ready = [i for i, task in enumerate(tasks) if task.units == 1 and not task.before]
        self.shared = [i for i, task in enumerate(tasks) if task.units != 1][::-1]  # next one last

    def _urgency(self) -> list[int]:
        urgency = [0] * len(self.tasks)
        for number in reversed(range(len(self.tasks))):
            task = self.tasks[number]
            largest = task.cost * max(_shares(task.units, self.tracks)) // max(1, task.units)
            urgency[number] = largest + max((urgency[i] for i in self.after[number]), default=0)
        return urgency

    def run(self) -> list[Phase]:
        phases = []
        while self.ready or self.shared:
            phases.append(self._phase())
            while self.first < len(self.tasks) and self.done[self.first]:
                self.first += 1
        return phases

    def _phase(self) -> Phase:
        self.phase = Phase(tracks=[[] for _ in range(self.tracks)])
        self.time = [0] * self.tracks
        self.limit = self.first + _REACH
        # What may run in this phase, each with the one track on which it may, if only one.
        self.pool: dict[int, int | None] = {}
        self.track_of: dict[int, int | None] = {}  # of what needs something done in this phase
        self.later: list[int] = []
        self.released = False  # whether the next shared call needs but this phase to end
        while self.ready and self.ready[0] <= self.limit:
            self.pool[heapq.heappop(self.ready)] = None
        if self._is_shared_next():
            self._share()
        else:
            self._run_tracks()
        for i in (*self.pool, *self.later):
            heapq.heappush(self.ready, i)
        return self.phase

    def _is_shared_next(self) -> bool:
        if not self.shared or self.needs[self.shared[-1]]:
            return False
        urgency = self.urgency[self.shared[-1]]
        return all(self.urgency[i] <= urgency for i in self.pool)

    def _share(self) -> None:
        """Shared calls, and where they leave a track idle, what fits there."""
        while self.shared and not self._waits(self.shared[-1]):
            number = self.shared[-1]
            task = self.tasks[number]
            for track, units in enumerate(_shares(task.units, self.tracks)):
                self.time[track] += task.cost * units // max(1, task.units)
            self.phase.shared.append(number)
            self._finish(number, None)
            self.shared.pop()
        self._fill(max(self.time))

    def _waits(self, number: int) -> bool:
        """Whether a task needs something of this phase, or of a later one."""
        return self.needs[number] > 0 or number in self.track_of

    def _run_tracks(self) -> None:
        """Until a shared call could run, or tracks are idle that others have work for."""
        while self.pool and not self.released:
            track = self._idlest()
            if not self._allowed(track):
                costs = [self.tasks[i].cost for i in self.pool]
                if sum(costs) - max(costs) > _OF_A_MEETING:
                    return
                bound = self.pool[max(self.pool, key=self._rank)]
                assert bound is not None
                track = bound
            self._take(max(self._allowed(track), key=self._rank), track)
        self._fill(max(self.time))

    def _fill(self, end: int) -> None:
        """Use what time tracks have left before the phase ends."""
        while True:
            track = self._idlest()
            fitting = [
                i for i in self._allowed(track) if self.time[track] + self.tasks[i].cost <= end
            ]
            if not fitting:
                return
            self._take(max(fitting, key=self._rank), track)

    def _idlest(self) -> int:
        return min(range(self.tracks), key=self.time.__getitem__)

    def _allowed(self, track: int) -> list[int]:
        return [i for i, only in self.pool.items() if only is None or only == track]

    def _rank(self, number: int) -> tuple[int, int]:
        return self.urgency[number], -number

    def _take(self, number: int, track: int) -> None:
        del self.pool[number]
        self.phase.tracks[track].append(number)
        self.time[track] += self.tasks[number].cost
        self._finish(number, track)

    def _finish(self, number: int, track: int | None) -> None:
        """A task of this phase is done, on a track or shared."""
        self.done[number] = True
        for i in self.after[number]:
            self.needs[i] -= 1
            only = self.track_of[i] = track if self.track_of.get(i, track) == track else None
            if self.needs[i]:
                continue
            if self.tasks[i].units != 1:
                self.released = self.released or i == self.shared[-1]
            elif only is None or i > self.limit:
                self.later.append(i)
            else:
                self.pool[i] = only
