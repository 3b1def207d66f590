"""Which structures are compiled, when and in which order, and how many are kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tidu import ledger, programs
from tidu.backends import blas
from tidu.backends.base import Program
from tidu.ir.structure import Key
from tidu.ledger import Ledger
from tidu.programs import Programs

_VALUES = 100  # in each region here


def _key(number: int) -> Key:
    return Key((("op",) * _VALUES, (), (number,)))


class _Compiler:
    """Notes what it was to compile, and can be made to wait."""

    def __init__(self) -> None:
        self.compiled: list[int] = []
        self.began = threading.Event()
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def __call__(self, graph: Any) -> Program:
        self.began.set()
        assert self.may_go_on.wait(60)
        self.compiled.append(graph)
        return _Nothing()


class _Nothing(Program):
    pass


@pytest.fixture
def compiler() -> Iterator[_Compiler]:
    compiler = _Compiler()
    yield compiler
    compiler.may_go_on.set()


@pytest.fixture
def see(compiler: _Compiler) -> Callable[..., Program | None]:
    """See a structure, run it with NumPy in so many seconds if it is not compiled, and wait."""
    known = Programs(immediate=False, make=compiler)

    def see(number: int, seconds: float = 0.0, *, wait: bool = True, **how: bool) -> Program | None:
        found = known.ready(_key(number), lambda: number, **how)  # type: ignore[arg-type, return-value]
        if found is None:
            known.ledger.ran(_key(number), seconds)
        assert not wait or known.wait()
        return found

    see.programs = known  # type: ignore[attr-defined]
    return see


def _use_up_the_first(see: Any) -> int:
    """Have as many structures compiled as are compiled whatever they cost."""
    count: int = see.programs.ledger.at_once
    for number in range(1000, 1000 + count):
        see(number)
        see(number)
    return count


def test_the_first_structures_are_compiled_when_they_come_again(
    see: Any, compiler: _Compiler
) -> None:
    first = see.programs.ledger.at_once
    for number in range(first + 3):
        assert see(number) is None
    assert compiler.compiled == []
    for number in range(first + 3):
        assert see(number) is None
    assert compiler.compiled == list(range(first))
    assert see(0) is not None
    assert see(first) is None


def test_a_later_one_is_compiled_once_numpy_has_cost_as_much(see: Any, compiler: _Compiler) -> None:
    count = _use_up_the_first(see)
    price = see.programs.ledger._price * _VALUES
    for _ in range(3):
        see(1, price * 0.3)
        see(2, price * 0.05)
    assert len(compiler.compiled) == count
    for _ in range(2):
        see(1, price * 0.3)
        see(2, price * 0.05)
    assert compiler.compiled[count:] == [1]


def test_hundreds_of_structures_that_come_thrice_are_not_compiled(
    see: Any, compiler: _Compiler
) -> None:
    count = _use_up_the_first(see)
    each = see.programs.ledger._price * _VALUES / 10
    for _ in range(3):
        for number in range(900):
            see(number, each)
    assert len(compiler.compiled) == count


def test_what_is_asked_for_is_compiled_whatever_it_costs(see: Any, compiler: _Compiler) -> None:
    count = _use_up_the_first(see)
    for _ in range(2):
        see(1)
        see(2, asked_for=True)
    assert compiler.compiled[count:] == [2]


def test_the_price_follows_what_compiling_takes() -> None:
    book = Ledger(at_once=0)
    for _ in range(20):
        book.compiled(_key(0), 0.02)
    record = book.enter(_key(1))
    book.ran(_key(1), 0.021)
    assert not book.pays(_key(1), record)  # seen only once
    assert book.pays(_key(1), book.enter(_key(1)))
    for _ in range(20):
        book.compiled(_key(0), 0.2)
    assert not book.pays(_key(1), book.enter(_key(1)))


def test_what_has_cost_most_is_compiled_first(see: Any, compiler: _Compiler) -> None:
    compiler.may_go_on.clear()
    for _ in range(2):
        see(0, wait=False)
    assert compiler.began.wait(60)
    for number, seconds in ((1, 0.1), (2, 0.3), (3, 0.2)):
        for _ in range(3):
            see(number, seconds, wait=False)
    compiler.may_go_on.set()
    assert see.programs.wait()
    assert compiler.compiled == [0, 2, 3, 1]


def test_programs_that_were_not_run_for_longest_go_first(
    see: Any, compiler: _Compiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "_MOST_VALUES", 4 * (programs._BESIDES + _VALUES))
    see.programs.ledger.at_once = 6
    for number in range(4):
        see(number)
        see(number)
    assert see(0) is not None  # the oldest, but in use
    for number in (4, 5):
        see(number)
        see(number)
    assert [see.programs.made.get(_key(n)) is not None for n in range(6)] == [
        True, False, False, True, True, True,
    ]  # fmt: skip
    # One that went is compiled again if it pays.
    assert see(1, 10.0) is None
    assert see(1) is None
    assert see(1) is not None
    assert compiler.compiled == [0, 1, 2, 3, 4, 5, 1]


def test_records_are_forgotten_before_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "_MOST_RECORDS", 100)
    book = Ledger()
    for number in range(10):
        book.enter(_key(1000 + number))
        book.enter(_key(1000 + number))
    for number in range(1000):
        book.enter(_key(number))
        assert len(book.records) <= 100
    assert book.enter(_key(1000)).uses == 3  # what came again is remembered longer


def test_a_failure_leaves_the_rest_to_be_compiled(see: Any, compiler: _Compiler) -> None:
    def fail(graph: Any) -> Program:
        raise LookupError("mine")

    see.programs.make = fail
    with pytest.warns(RuntimeWarning, match="could not be compiled.*mine"):
        see(0)
        see(0)
    see.programs.make = compiler
    see(1)
    see(1)
    assert see(0) is None
    assert see(1) is not None


def test_products_of_numpy_have_one_thread_while_something_is_compiled(
    see: Any, compiler: _Compiler
) -> None:
    before = blas.set_threads_of_numpy(2)
    if not before:
        pytest.skip("this NumPy has no OpenBLAS of its own")
    try:
        compiler.may_go_on.clear()
        see(0, wait=False)
        see(0, wait=False)
        assert compiler.began.wait(60)
        assert blas.threads_of_numpy() == 1
        compiler.may_go_on.set()
        assert see.programs.wait()
        assert blas.threads_of_numpy() == 2
    finally:
        blas.set_threads_of_numpy(before)
