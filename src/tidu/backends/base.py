"""The contract between a region and what runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from tidu.ir.value import Value


class Failure:
    """Takes the place of a buffer where running an op raised: whoever asks for the numbers gets
    the error.
    """

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Program(Protocol):
    """A compiled region."""

    def run(self, leaves: Sequence[Any], numbers: Sequence[Any]) -> list[Any]:
        """The buffers of the held Values, in order, made of those of the leaves."""


class Backend(Protocol):
    name: str

    def run(self, region: list[Value]) -> BaseException | None:
        """Give every Value of the region its buffer, in order, dropping each entry as it is done.

        A Value that has its buffer forgets op and inputs, so that what nobody holds is freed on
        the way.
        An op that raises leaves a Failure behind, and so does everything made from it; the first
        such error is
        returned.
        """
