"""Compiled programs on this machine's processors."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from operator import itemgetter
from struct import Struct
from typing import Any

import numpy as np

from tidu.backends import numpy as tier_zero
from tidu.backends import threads
from tidu.backends.arena import Arena
from tidu.backends.arrays import Addresses
from tidu.backends.base import DeclinedError, Halves, InPlaceRun, Program
from tidu.backends.blas import BlasAddresses, blas_address
from tidu.backends.in_place import InPlace
from tidu.backends.kernels import kernels
from tidu.backends.results import Results
from tidu.base import dtypes
from tidu.compiler import cache, gemm, llvm, strips
from tidu.compiler.gemm import GemmParams
from tidu.compiler.graph import Graph
from tidu.compiler.pipeline import compile_graph
from tidu.compiler.program import NativeCall, Plan
from tidu.compiler.steps import Buffer, Correlate, HostCall, Product, Stored
from tidu.ir.argument import FloatArgument, IntArgument
from tidu.ir.value import Value, leaf

# The table of a run: an error code, room for what belongs to it, then buffers and numbers.
_FIRST_SLOT = 2
# Operations in a program that take some 100 µs: twice as long as waking another thread.
_WORTH_LAUNCHING = 4_000_000


_arena = Arena()


# Takes the place of a leaf that is not there yet.
_NOTHING = np.empty(0)


class _Part:
    """A call of a program, and what it needs from outside: leaves by their places, and how many of
    the numbers.
    """

    __slots__ = ("leaves", "native", "numbers", "work", "writes")

    def __init__(self, call: NativeCall, one: threads.Call, leaves: dict[int, int]) -> None:
        self.native = one
        self.leaves = {leaves[n] for n in call.reads if n in leaves}
        arguments = [x[1] for x in call.parameters if x.__class__ is tuple and x[0] != "slot"]
        self.numbers = max(arguments, default=-1) + 1
        self.writes = call.writes
        self.work = call.work * call.units


def plan_of(graph: Graph) -> Plan:
    """What this machine's processors are to do for a region."""
    # Others run it too: its constants are what they are, whatever this thread takes for zero.
    flushed = threads.flush_denormal(False)
    try:
        return compile_graph(graph, llvm.vector_bytes())
    finally:
        threads.flush_denormal(flushed)


class CpuProgram(Program):
    """A compiled region: run it with other leaves and numbers as often as you like.

    Its table has the leaves first, then the results that native code writes, constants, what host
    calls make, the arena, and last the numbers: floats, then integers.
    """

    arena = _arena

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        results = plan.results()
        by_host = [b.number for x in plan.calls if isinstance(x, HostCall) for b in x.results]
        given = {*plan.leaves, *plan.constants, *by_host}
        self.made = [n for n in results if n not in given]
        slots: dict[int, int] = {}
        for number in (
            *plan.leaves, *self.made, *plan.constants, *results, *plan.offsets, *by_host,
        ):  # fmt: skip
            slots.setdefault(number, _FIRST_SLOT + len(slots))
        self.slots = slots
        first = _FIRST_SLOT + len(slots)
        kinds = plan.numbers
        self.floats = [i for i, kind in enumerate(kinds) if kind is float]
        self.integers = [i for i, kind in enumerate(kinds) if kind is not float]
        self.arguments = {n: first + i for i, n in enumerate((*self.floats, *self.integers))}
        self.table = np.zeros(first + len(kinds), np.int64)
        self.address = self.table.__array_interface__["data"][0]
        self.number_format = Struct(f"{len(self.floats)}d{len(self.integers)}q")
        self.number_slots = self.table[first:].data
        self.filled: tuple[Any, ...] | None = None  # the numbers there, if they cannot change
        self.error = ctypes.c_int64.from_address(self.address)
        self.addresses = Addresses(self.address + 8 * _FIRST_SLOT)
        buffers = [plan.buffers[n] for n in self.made]
        self.new_results = Results((b.shape, b.dtype.numpy) for b in buffers).take
        self.constants = {n: np.ascontiguousarray(a) for n, a in plan.constants.items()}
        for number, array in self.constants.items():
            self.table[slots[number]] = array.__array_interface__["data"][0]
        self.nested = plan.nested
        addresses = kernels.get(plan.functions)
        runnable = [
            None if isinstance(call, HostCall) else self._runnable(call, addresses)
            for call in plan.calls
        ]
        self.segments = list(self._segments(runnable))
        self.arena_address = 0
        self.order = [*plan.leaves, *self.made, *plan.constants]
        # Where each output is among leaves, what is made and constants. No host call makes any.
        place = {n: i for i, n in enumerate(self.order)}
        self.places: list[Any] | None = (
            [
                tuple([place[n] for n in x]) if x.__class__ is tuple else place[x]
                for x in plan.outputs
            ]
            if all(segment.__class__ is threads.NativeProgram for segment in self.segments)
            else None
        )
        # All at once, where there are several and each is one array.
        places = self.places or []
        plain = len(places) > 1 and all(x.__class__ is int for x in places)
        self.pick = itemgetter(*places) if plain else None
        leaves = {n: place for place, n in enumerate(plan.leaves)}
        self.parts = [
            _Part(call, one, leaves)
            for call, one in zip(plan.calls, runnable, strict=True)
            if isinstance(call, NativeCall) and one is not None
        ]
        self.work = sum(part.work for part in self.parts)

    def forget_plan(self) -> None:
        """Let go of the part of the plan that a run has no use for: expressions and texts."""
        self.plan = replace(self.plan, calls=[], functions={})

    def _segments(self, runnable: Sequence[threads.Call | None]) -> Iterator[Any]:
        """What is run one after the other: native programs, and the host calls between them."""
        native: list[threads.Call] = []
        for call, one in zip(self.plan.calls, runnable, strict=True):
            if one is not None:
                native.append(one)
                continue
            if native:
                yield threads.NativeProgram(native)
                native = []
            yield call
        if native:
            yield threads.NativeProgram(native)

    def _runnable(self, call: NativeCall, addresses: dict[str, int]) -> threads.Call:
        kernel = addresses.get(call.kernel, 0)
        if isinstance(call.what, Product):
            kernel = _gemm_functions()[_element(call.what.dtype)]
            parameters = self._gemm(call)
        elif isinstance(call.what, Correlate):
            parameters = self._correlation(call.what)
        else:
            parameters = self._parameters(call.parameters)
        work = call.work * call.units
        return threads.Call(kernel, parameters, call.units, call.barrier, call.track, work)

    def _correlation(self, step: Correlate) -> Any:
        params = step.params
        places = {
            name: self.slots[getattr(params, name)]
            for name in params._fields
            if name.endswith("_slot") and name != "bias_slot"
        }
        if len(step.reads) > 2:
            places["bias_slot"] = self.slots[step.reads[2].number]
        return params._replace(**places).array()

    def _parameters(self, given: list[Any]) -> Any:
        numbers = []
        for x in given:
            if x.__class__ is tuple:
                kind, number = x
                x = self.slots[number] if kind == "slot" else self.arguments[number]
            numbers.append(x)
        return np.array(numbers, np.int64)

    def _gemm(self, call: NativeCall) -> Any:
        p = call.what
        assert isinstance(p, Product)
        functions = multipliers(p.dtype, p.m, p.n, p.k, p.a.transposed, p.b.transposed)
        batch = (1,) * (2 - len(p.batch)) + tuple(p.batch)
        strides = [(0,) * (2 - len(x.batch)) + x.batch for x in (p.a, p.b, p.c)]
        slots = [self.slots[x.buffer.number] for x in (p.a, p.b, p.c)]
        numbers = [
            *functions, *slots, p.m, p.n, p.k,
            p.a.leading, p.b.leading, p.c.leading, *call.parameters,
            p.a.offset, p.b.offset, p.c.offset, int(p.a.transposed), int(p.b.transposed), 0,
            *batch, *strides[0], *strides[1], *strides[2],
        ]  # fmt: skip
        return GemmParams._make(numbers).array()

    def run(self, leaves: Sequence[Any], numbers: Sequence[Any]) -> list[Any]:
        """The buffers of the held Values, in order. DeclinedError if something prevents it."""
        return _arena.lend(self._run, leaves, numbers)

    def _run(self, leaves: Sequence[Any], numbers: Sequence[Any]) -> list[Any]:
        arrays = self.prepare(leaves, numbers)
        if self.places is None:
            return self._with_host_calls(arrays, numbers)
        for segment in self.segments:
            threads.run(segment, self.address)
        self.check()
        return self.results(arrays)

    def launch(self, leaves: Sequence[Any], numbers: Sequence[Any]) -> list[Any] | None:
        """Have the workers run it. None if not all of it is native, if there are no workers, or if
        it is so short that waking one would take longer.
        """
        if self.work < _WORTH_LAUNCHING or self.places is None or len(self.segments) != 1:
            return None
        program = self.segments[0]
        return _arena.lend(lambda: self._launched(program, self.prepare(leaves, numbers)))

    def _launched(self, program: threads.NativeProgram, arrays: list[Any]) -> list[Any] | None:
        _arena.flying = arrays
        return arrays if threads.launch(program, self.address) else None

    def land(self, launched: list[Any] | None) -> list[Any]:
        """Wait for what was launched, and help. DeclinedError as for `run`, or if nothing was."""
        if launched is None:
            raise DeclinedError  # it may be running all the same: the next program waits for it
        _arena.land()
        self.check()
        return self.results(launched)

    def split(
        self, leaves: set[int], numbers: int, more: set[int], wanted: int | None
    ) -> Halves | None:
        if self.places is None:
            return None
        outputs = [{*x} if x.__class__ is tuple else {x} for x in self.plan.outputs]
        sought = set() if wanted is None else outputs[wanted]
        count = 0
        for number, part in enumerate(self.parts, 1):
            if part.leaves <= leaves and part.numbers <= numbers and number == count + 1:
                count = number
            elif not part.leaves <= leaves | more:
                break
            elif not part.writes.isdisjoint(sought):
                count = number
        first, second = self.parts[:count], self.parts[count:]
        if not first or sum(part.work for part in first) < _WORTH_LAUNCHING:
            return None
        later = frozenset().union(*(part.writes for part in second))
        return Halves(
            threads.NativeProgram([part.native for part in first]),
            threads.NativeProgram([part.native for part in second]),
            [place for place, buffers in enumerate(outputs) if later.isdisjoint(buffers)],
            max(part.numbers for part in first),
        )

    def begin(
        self, halves: Halves, leaves: Sequence[Any], numbers: Sequence[Any]
    ) -> list[Any] | None:
        if self.nested or threads.get_num_threads() == 1:
            return None
        there = [_NOTHING if x is None else x for x in leaves]
        return _arena.lend(lambda: self._launched(halves.first, self.prepare(there, numbers)))

    def proceed(
        self,
        halves: Halves,
        begun: list[Any],
        leaves: Sequence[Any],
        numbers: Sequence[Any],
        *,
        ahead: bool,
    ) -> bool:
        def rest() -> bool:
            _arena.land()
            self.check()
            begun[: len(leaves)] = leaves  # the rest is as it was
            self._fill(begun, len(leaves), numbers)
            if ahead and self._launched(halves.second, begun):
                return True
            threads.run(halves.second, self.address)
            self.check()
            return False

        return _arena.lend(rest)

    def cancel(self) -> None:
        _arena.land()

    def in_place(self, pairs: Sequence[tuple[int, int]]) -> InPlaceRun | None:
        leaves, outputs, over = self.plan.leaves, self.plan.outputs, self.plan.over
        possible = [
            (leaf, result) for leaf, result in pairs
            if self.places is not None and leaves[leaf] in over.get(outputs[result], ())
        ]  # fmt: skip
        return InPlace(self, possible) if possible else None

    def prepare(
        self,
        leaves: Sequence[Any],
        numbers: Sequence[Any],
        new_results: Callable[[], Iterable[Any]] | None = None,
    ) -> list[Any]:
        """Fill the table. The arrays of leaves and results, which must live through the run."""
        _arena.land()
        try:
            made = self.new_results() if new_results is None else new_results()
            base = _arena.reserve(self.plan.arena)
        except MemoryError as error:
            raise DeclinedError from error  # op by op it may do, or turn out which one does not
        if base != self.arena_address:
            for number, offset in self.plan.offsets.items():
                self.table[self.slots[number]] = base + offset
            self.arena_address = base
        if self.nested:
            leaves = [a for x in leaves for a in (x if x.__class__ is tuple else (x,))]
        arrays = [*leaves, *made]
        self.error.value = 0
        arrays += self.constants.values()
        self._fill(arrays, len(arrays), numbers)
        return arrays

    def _fill(self, arrays: list[Any], count: int, numbers: Sequence[Any]) -> None:
        """Put the addresses of the first arrays, and all numbers, into the table."""
        self.addresses.fill(arrays, count)
        if numbers is self.filled:
            return  # a replayed step gives its constants in the same tuple each time
        self.filled = None
        given = numbers if numbers.__class__ is tuple else None
        if self.integers:
            numbers = [numbers[i] for i in (*self.floats, *self.integers)]
        self.number_format.pack_into(self.number_slots, 0, *numbers)
        self.filled = given

    def check(self) -> None:
        if self.error.value:
            raise DeclinedError

    def results(self, arrays: list[Any]) -> list[Any]:
        if self.pick is not None:
            return [*self.pick(arrays)]
        assert self.places is not None
        return [
            tuple([arrays[i] for i in place]) if place.__class__ is tuple else arrays[place]
            for place in self.places
        ]

    def _with_host_calls(self, arrays: list[Any], numbers: Sequence[Any]) -> list[Any]:
        known = dict(zip(self.order, arrays, strict=True))
        for segment in self.segments:
            self._do(segment, known, numbers)
        return [
            tuple(known[n] for n in output) if output.__class__ is tuple else known[output]
            for output in self.plan.outputs
        ]

    def _do(self, segment: Any, known: dict[int, Any], numbers: Sequence[Any]) -> None:
        if isinstance(segment, HostCall):
            self._call(segment, known, numbers)
        else:
            threads.run(segment, self.address)
            self.check()

    def _call(self, call: HostCall, known: dict[int, Any], numbers: Sequence[Any]) -> None:
        value = call.value
        inputs = tuple(self._input(x, known, numbers) for x in call.inputs)
        made = Value(value.op, inputs, value.attrs, value.shape, value.dtype, value.position)
        try:
            tier_zero.run_quietly(made)
        except Exception as error:
            raise DeclinedError from error
        buffers = made.buffer if made.buffer.__class__ is tuple else (made.buffer,)
        for buffer, array in zip(call.results, buffers, strict=True):
            array = np.ascontiguousarray(array).reshape(buffer.shape)
            known[buffer.number] = array
            self.table[self.slots[buffer.number]] = array.__array_interface__["data"][0]

    def _input(self, x: Any, known: dict[int, Any], numbers: Sequence[Any]) -> Any:
        if isinstance(x, (FloatArgument, IntArgument)):
            return numbers[x.number]
        if x.__class__ is tuple:
            return _several([self._array(y, known) for y in x], [y.buffer for y in x])
        if isinstance(x, Stored):
            return leaf(self._array(x, known), x.buffer.dtype)
        return x

    def _array(self, x: Stored, known: dict[int, Any]) -> Any:
        """A buffer for NumPy, which may lie in the arena."""
        buffer = x.buffer
        found = known.get(buffer.number)
        if found is None:
            start = (
                self.plan.offsets[buffer.number]
                + self.arena_address
                - _arena.memory.__array_interface__["data"][0]
            )
            size = buffer.size * buffer.dtype.itemsize
            found = _arena.memory[start : start + size].view(buffer.dtype.numpy)
            # A copy: what a host call returns may share memory with what it was given.
            return found.reshape(x.shape).copy()
        return found.reshape(x.shape)


def _several(arrays: list[Any], buffers: list[Buffer]) -> Value:
    shapes = tuple(b.shape for b in buffers)
    kinds = tuple(b.dtype for b in buffers)
    return Value(None, (), (), shapes, kinds, None, tuple(arrays))  # type: ignore[arg-type]


@functools.cache
def _gemm_functions() -> dict[str, int]:
    """The addresses of the kernels of products, by LLVM's name of the element."""
    return _by_element(gemm.text(), gemm.NAMES)


@functools.cache
def _strip_functions() -> dict[str, int]:
    """The same of the functions that multiply in strips."""
    text = strips.text(llvm.vector_bytes())
    return _by_element(text, {element: strips.name(element) for element in gemm.NAMES})


def _by_element(text: str, names: dict[str, str]) -> dict[str, int]:
    found = llvm.load([cache.object_code(text)], names.values())
    return {element: found[name] for element, name in names.items()}


def multipliers(
    d: dtypes.dtype, m: int, n: int, k: int, trans_a: bool, trans_b: bool
) -> BlasAddresses:
    """What the kernel for such a product calls: BLAS, or a function of our own in its place."""
    blas = blas_address(d)
    if not gemm.is_in_strips(m, n, k, trans_a, trans_b):
        return blas
    return blas._replace(gemm=_strip_functions()[_element(d)])


def _element(d: dtypes.dtype) -> str:
    return "float" if d is dtypes.float32 else "double"
