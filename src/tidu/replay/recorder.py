"""Recording one call: which regions it runs on which numbers, and where their results go.

While the function runs, `Recorder` notes every region, every number drawn and every number that an
optimizer computes. When it has returned, what the memory of the process, the gradients and the
Python variables hold is compared with what they held before. Everything has to be accounted for;
what is not is a reason to refuse.
"""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FunctionType
from typing import Any, NamedTuple

import numpy as np

from tidu import execute
from tidu.backends.base import Failure
from tidu.base.changes import changes
from tidu.base.signals import SignalGate
from tidu.base.source import at, describe, here
from tidu.base.traced import Trace
from tidu.ir.structure import region_key
from tidu.ir.value import Value, pending
from tidu.replay import memory
from tidu.replay.account import Account
from tidu.replay.conduct import Conduct
from tidu.replay.counts import Tallies
from tidu.replay.inputs import Inputs, objects_in
from tidu.replay.listening import Listening
from tidu.replay.places import Unwatchable, members
from tidu.replay.program import InPlaceSegment, Segment, Template
from tidu.replay.recording import Names, Recording, Refusal
from tidu.replay.runtime import is_plain
from tidu.replay.stages import Stages
from tidu.replay.surroundings import Surroundings
from tidu.tensor import Storage, Tensor


class Made(NamedTuple):
    """A Value among the results of a region."""

    region: int
    place: int

    def text(self) -> str:
        return f"o{self.region}[{self.place}]"


class Region(NamedTuple):
    """One run of a region: its leaves, as texts or as memory that gets its text at the end."""

    number: int
    leaves: list[str | Storage]
    numbers: list[str]


class Masks(NamedTuple):
    """Booleans drawn one after the other: names of the arrays, and shapes with probabilities."""

    generator: str
    names: list[str]
    wanted: list[tuple[Any, ...]]

    def text(self, names: Names) -> str:
        given = names.bind_alike(self.wanted, *self.wanted)
        return f"[{', '.join(self.names)}] = {self.generator}.bernoulli_each({given})"


class Recorder:
    """Records one call. `Refusal` is raised at the end, never inside the function."""

    def __init__(self, learned: Conduct) -> None:
        self._learned = learned
        self._thread = threading.get_ident()
        self._depth = 0
        self.reason: str | None = None
        self.names = Names()
        self.lines: list[str | Region | Masks] = []
        # What the optimizers compute takes nothing from the regions: it comes before all of them,
        # so that a condition that does not hold is found while nothing has been done.
        self.trace = Trace([], self.names.table)
        self.constants: list[tuple[Any, str]] = []
        self.made: dict[int, tuple[weakref.ref[Value], Made]] = {}
        self.drawn: dict[int, tuple[Any, str]] = {}
        self._used: set[str] = set()  # the names of the draws that went into the graph
        self.generators: dict[int, str] = {}
        self.tallies = Tallies(self.trace, self.names)
        self.optimizers: dict[int, Any] = {}  # those that made a step
        self.schedules: list[Any] = []  # those that went on
        self.regions = 0

    def refuse(self, what: str) -> None:
        """Remember the first reason why the call cannot be replayed."""
        if self.reason is None and self.is_here():
            self.reason = f"{what}{at(here())}"

    @contextmanager
    def inside(self) -> Iterator[bool]:
        """Around something that is recorded as a whole: True if it is not part of such a thing."""
        if not self.is_here():
            yield False
            return
        self._depth += 1
        try:
            yield self._depth == 1
        finally:
            self._depth -= 1

    def read(self) -> None:
        """Somebody asks for the numbers of a tensor."""
        self.refuse("it reads the number in a tensor")

    def region(self, region: list[Value]) -> None:
        """A region is about to run."""
        if not self.is_here():
            return
        key, values, _ = region_key(region)
        if any(value.buffer.__class__ is Failure for value in values):
            self.refuse("it works on the result of an operation that failed")
            return
        template = Template(region, key.held)
        leaves = [self._leaf(value) for value in values]
        numbers = [self._number(x, position) for x, position in template.numbered()]
        number = self.regions
        self.regions += 1
        self.names.table[f"p{number}"] = Segment(key, template)
        self.names.bind_alike(key, key)
        self.lines.append(Region(number, leaves, numbers))
        for place, index in enumerate(key.held):
            value = region[index]
            self.made[id(value)] = weakref.ref(value), Made(number, place)

    def _number(self, x: Any, position: Any) -> str:
        traced = self.trace.arguments.get(id(x))
        if traced is not None:
            return traced[0]
        self.constants.append((x, describe(position)))
        return self.trace.text(x)

    def _leaf(self, value: Value) -> str | Storage:
        """Where a leaf comes from."""
        text = self.text_of(value)
        if text is not None:
            return text
        storage = self.memory.source(value)
        if storage is not None:
            return storage
        if self.memory.was_saved(value):
            self.refuse("it works with a graph that was made before the call")
        elif self.memory.was_count(value):
            self.refuse("it computes with the step count of an optimizer")
        return self.constant(value)

    def text_of(self, value: Value) -> str | None:
        """A Value that is known by other means than the memory it came from."""
        made = self.made_of(value)
        if made is not None:
            return made.text()
        drawn = self.drawn.get(id(value.buffer))
        if drawn is not None:
            self._used.add(drawn[1])
            return drawn[1]
        return self.inputs.text_of(value)

    def made_of(self, value: Value) -> Made | None:
        """The place of a Value among the results of the regions."""
        there = self.made.get(id(value))
        return there[1] if there is not None and there[0]() is value else None

    def constant(self, value: Value) -> str:
        """A Value of numbers that the function's own code made."""
        array = value.buffer
        if not isinstance(array, np.ndarray):
            self.refuse("it uses a Value that has not been run")
            return "None"
        mark = (array.shape, array.dtype.str, array.tobytes())
        return self.names.bind_alike(array, *mark, prefix="k")

    def draw(
        self, generator: Any, method: str, args: Any, kwargs: dict[str, Any], array: Any
    ) -> None:
        """Random numbers were drawn."""
        source = self.names.bind(generator, "g")
        self.generators[id(generator)] = source
        name = f"d{len(self.drawn)}"
        self.drawn[id(array)] = array, name
        if method == "bernoulli" and len(args) == 2:
            last = self.lines[-1] if self.lines else None
            if not isinstance(last, Masks) or last.generator != source:
                last = Masks(source, [], [])
                self.lines.append(last)
            last.names.append(name)
            last.wanted.append(args)
            return
        arguments = self.names.bind_alike((args, kwargs), args, kwargs)
        self.lines.append(f"{name} = {source}.{method}(*{arguments}[0], **{arguments}[1])")

    def step_schedule(self, schedule: Any, args: Any, kwargs: Any) -> None:
        """A learning-rate schedule went on by one step."""
        if args or kwargs:
            self.refuse(f"it steps a {type(schedule).__name__} with arguments")
        self.schedules.append(schedule)

    def schedule_lines(self) -> list[str]:
        """Schedules go on when all is done that could fail: to go on cannot be undone."""
        return [f"{self.names.bind(schedule)}.step()" for schedule in self.schedules]

    def optimizer(self, optimizer: Any) -> None:
        """An optimizer makes a step, from the state that it has."""
        if id(optimizer) in self.optimizers:
            return
        self.optimizers[id(optimizer)] = optimizer
        entries = [*members(optimizer.state.values())]
        known = self.names.bind_alike(entries, *map(id, entries))
        self.trace.require(f"hold({self.names.bind(optimizer)}.state.values(), {known})")

    def option(self, group: dict[str, Any], name: str) -> Any:
        """An option of a parameter group: a traced number, or a value that must stay the same."""
        if any(group is g for s in self.schedules for g in s.optimizer.param_groups):
            self.refuse("it steps a schedule before the optimizer that it belongs to")
        value = group[name]
        text = f"{self.names.bind(group)}[{name!r}]"
        if name == "params":
            parameters = self.names.bind_alike(tuple(value), *map(id, value))
            self.trace.require(f"alike({text}, {parameters})")
            return value
        if isinstance(value, (tuple, list)):
            self.trace.require(f"len({text}) == {len(value)}")
            return type(value)(self._option(x, f"{text}[{place}]") for place, x in enumerate(value))
        return self._option(value, text)

    def _option(self, value: Any, text: str) -> Any:
        if value.__class__ in (float, int):
            traced = self.trace.compute(text, value)
            self.trace.require(f"{traced.name}.__class__ is {value.__class__.__name__}")
            return traced
        known = repr(value) if value is None or value.__class__ is bool else None
        self.trace.require(f"{text} is {known or self.names.bind(value)}")
        return value

    def require_absence(self, group: dict[str, Any], name: str) -> None:
        self.trace.require(f"{name!r} not in {self.names.bind(group)}")

    def run(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the function and record it. Returns (result, Recording or Refusal).

        Signals wait before and after the function: what their handlers write is not its doing.
        """
        if gc.get_freeze_count():
            refusal = Refusal("gc.freeze() has hidden the tensors that there are")
            return function(*args, **kwargs), refusal
        with SignalGate() as gate:
            return self._run(function, args, kwargs, gate)

    def _run(self, function: Any, args: Any, kwargs: Any, gate: SignalGate) -> Any:
        pending.flush()
        found = memory.find()
        self.memory = memory.Memory(found)
        try:
            before = self._look_around(function, args, kwargs)
            self.inputs = Inputs(self, before, args, kwargs)
        except Exception as problem:  # also what objects raise that are asked for their attributes
            with gate.opened():
                return function(*args, **kwargs), _refusal(problem)
        listening = Listening(self, found)
        del found
        conduct = Conduct()
        changes.recorder = self
        try:
            with listening, conduct, gate.opened():
                result = function(*args, **kwargs)
            account = Account(self, before, result)
            execute.realize()
        finally:
            changes.recorder = None
        if gate.passed:
            self.refuse("a signal handler runs in between")
        try:
            self._require_nothing_against(conduct)
            if conduct.extends(self._learned) or before.others_ran(conduct):
                raise Refusal("it runs other code in each call", learn_again=True)
            recording = self._finish(account)
            self._require_nothing_against(conduct)
            return result, recording
        except Exception as problem:
            return result, _refusal(problem)

    def _require_nothing_against(self, conduct: Conduct) -> None:
        reason = conduct.reason or self.reason
        if reason:
            raise Refusal(reason)

    def _look_around(self, function: Any, args: Any, kwargs: Any) -> Surroundings:
        around = Surroundings(self._learned)
        around.add_object(function, "the function")
        if isinstance(function, FunctionType):
            around.add_function(function)
        # In an order that is the same in every call.
        functions: dict[CodeType, list[FunctionType]] = {code: [] for code in self._learned.codes}
        for x in sorted(gc.get_referrers(*functions), key=id):
            if isinstance(x, FunctionType) and x.__code__ in functions:
                functions[x.__code__].append(x)
        for several in functions.values():
            if several:
                around.add_functions(several)
        around.add_globals()
        for _, reference in sorted(self._learned.selves.items()):
            this = reference()
            if this is not None:
                around.add_object(this, type(this).__name__)
        for x in objects_in((args, kwargs)):
            if not isinstance(x, Tensor) or x.requires_grad or not is_plain(x):
                around.add_object(x, "an argument")
        return around

    def _finish(self, account: Account) -> Recording:
        result = account.text()
        stages = account.stages
        if any(name not in self._used for _, name in self.drawn.values()):
            raise Refusal("it computes with random numbers outside the graph")
        guards = self.inputs.guards(account.exchanged)
        body: list[str] = []
        for line in self.lines:
            match line:
                case Region():
                    body.extend(self._region_lines(line, stages))
                case Masks():
                    body.append(line.text(self.names))
                case _:
                    body.append(line)
        saves = [f"s_{g} = {g}.mark()" for g in self.generators.values()]
        restores = [f"{g}.go_back(s_{g})" for g in self.generators.values()]
        stages.before = [*saves, *stages.before]
        stages.undo = [*restores, *stages.undo]
        accepts = [*self.inputs.lines, *self.trace.lines]
        text = stages.text(" and ".join(guards) or "True", accepts, body, result)
        programs = [f"p{number}" for number in range(self.regions)]
        known = self.inputs.known
        recording = Recording(text, self.names, self.constants, known, programs, changes.count)
        around = account.around
        tensors = [*around.tensors.values(), *self.names.objects_of(Tensor)]
        watched = [*tensors, *around.modules.values(), *self.optimizers.values()]
        recording.watched = [weakref.ref(x) for x in watched]
        return recording

    def leaf_storages(self) -> set[int]:
        """The ids of the memory that regions have read."""
        regions = (line for line in self.lines if isinstance(line, Region))
        return {id(x) for region in regions for x in region.leaves if isinstance(x, Storage)}

    def is_here(self) -> bool:
        """Whether this is the thread of the call."""
        return threading.get_ident() == self._thread

    def pairs(self, storages: list[Storage]) -> list[tuple[int, int]]:
        """Memory that the last region reads and has a result for: the places of both."""
        last = [line for line in self.lines if isinstance(line, Region)][-1]
        leaves = {id(x): place for place, x in enumerate(last.leaves) if isinstance(x, Storage)}
        found = []
        for storage in storages:
            made = self.made_of(storage.value)
            if made is not None and made.region == last.number and id(storage) in leaves:
                found.append((leaves[id(storage)], made.place))
        return found

    def _region_lines(self, region: Region, stages: Stages) -> list[str]:
        number = region.number
        leaves = [x if isinstance(x, str) else self.inputs.leaf_text(x) for x in region.leaves]
        texts = f"[{', '.join(leaves)}]"
        arrays = f"are_arrays(l{number})"
        lines = [
            f"l{number} = {texts}",
            # Some of it may not have been run yet, or have failed.
            f"if not {arrays}:",
            f"    settle(); l{number} = {texts}",
            f"    if not {arrays}: raise Departure",
        ]
        # A tuple: if all are constants, it is one, too, and need not be made in each call.
        numbers = f"({''.join(f'{text}, ' for text in region.numbers)})"
        if not stages.pairs or number != self.regions - 1:
            return [*lines, f"o{number} = p{number}.run(l{number}, {numbers})"]
        program = f"p{number}"
        self.names.table[program] = InPlaceSegment(self.names.table[program], stages.pairs)
        return [
            *lines,
            f"way = {program}.way; turn = way.turn; thread = get_ident()",
            "free = turn.user != thread",
            "if not free: raise Departure",
            "turn.user = thread",
            f"begun = begin_in_place(way, l{number}, {numbers})",
            *stages.questions,
            f"o{number} = {program}.finish(way, begun, alone)",
        ]


def _refusal(problem: Exception) -> Refusal:
    """Why a call cannot be replayed, from what was raised when its surroundings were looked at."""
    if isinstance(problem, Refusal):
        return problem
    if isinstance(problem, Unwatchable):
        return Refusal(str(problem))
    return Refusal(f"looking at what it depends on raises {type(problem).__name__}: {problem}")
