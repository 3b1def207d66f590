"""The contract between a region and what runs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from tidu.ir.value import Value


class Failure:
    """Takes the place of a buffer where running an op raised: whoever asks for the numbers gets
    the error.
    """

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class DeclinedError(Exception):
    """A program could not do it. Nothing has changed; running op by op gives results or errors."""


class Halves(NamedTuple):
    """A program in two parts, to be run one after the other; `early` results are those that are
    there after the first, which needs so many of the numbers.
    """

    first: Any
    second: Any
    early: list[int]
    numbers: int


class Turn:
    """`user` is the thread in the middle of a run, 0 while there is none.

    Whoever holds the lock of all runs sets it in a `try`, and sets it back where that ends, both
    himself: an interrupt may come where a function begins or returns.
    """

    def __init__(self) -> None:
        self.user = 0


class InPlaceRun(Protocol):
    """A way to run a program in two parts, the second of which writes over leaves, and cannot fail.
    That is `function(address, table)`, one native call, in which no signal handler runs.

    Whoever runs it has the `turn` from before the first part until after the second.
    """

    turn: Turn
    function: Callable[[int, int], object]
    address: int
    table: int

    def begin(self, leaves: Sequence[Any], numbers: Sequence[Any]) -> list[Any]:
        """Do the first part. The arrays that have to live through the second. Raises DeclinedError,
        and nothing has changed.
        """

    def finish(self, arrays: list[Any], *, alone: bool) -> list[Any]:
        """Make ready for the second part; the results, which it will fill. It writes over leaves if
        they are `alone`: their buffers are held by one object each, which will hold the results.
        """


class Program:
    """A compiled region. What is said of launching is for programs that can be."""

    def run(self, leaves: Sequence[Any], numbers: Sequence[Any]) -> list[Any]:
        """The buffers of the held Values, in order, made of those of the leaves."""
        raise NotImplementedError

    def launch(self, leaves: Sequence[Any], numbers: Sequence[Any]) -> list[Any] | None:
        """Have the workers run it while the caller goes on; what to `land` with. None if it cannot
        be launched, and nothing has happened.
        """
        return None

    def land(self, launched: list[Any] | None) -> list[Any]:
        """Wait for what was launched; then as `run`."""
        raise NotImplementedError

    def split(
        self, leaves: set[int], numbers: int, more: set[int], wanted: int | None
    ) -> Halves | None:
        """Two halves, of which the first needs only these leaves and so many of the numbers; it may
        need `more` leaves and other numbers to finish the result that is `wanted`. None if it would
        hardly do anything.
        """
        return None

    def begin(
        self, halves: Halves, leaves: Sequence[Any], numbers: Sequence[Any]
    ) -> list[Any] | None:
        """Have the workers run the first half. What it does not need may be None."""
        raise NotImplementedError

    def proceed(
        self,
        halves: Halves,
        begun: list[Any],
        leaves: Sequence[Any],
        numbers: Sequence[Any],
        *,
        ahead: bool,
    ) -> bool:
        """Run the second half, or launch it. Whether it was launched."""
        raise NotImplementedError

    def results(self, arrays: list[Any]) -> list[Any]:
        """Where the results are, whether they are there already or not."""
        raise NotImplementedError

    def in_place(self, pairs: Sequence[tuple[int, int]]) -> InPlaceRun | None:
        """A way to run it that writes results over leaves which they replace, given by their places
        among leaves and results. None if the program never can.
        """
        return None

    def forget_plan(self) -> None:
        """Let go of what a run has no use for, if there is such."""

    def cancel(self) -> None:
        """Wait for the first half, which was in vain."""
        raise NotImplementedError


class Backend(Protocol):
    """What runs regions."""

    name: str

    def run(self, region: list[Value]) -> BaseException | None:
        """Give every Value of the region its buffer, in order, dropping each entry as it is done.

        A Value that has its buffer forgets op and inputs, so that what nobody holds is freed on the
        way. An op that raises leaves a Failure behind, and so does everything made from it; the
        first such error is returned.
        """
