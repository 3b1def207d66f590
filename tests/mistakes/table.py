"""A table of mistakes: each runs under PyTorch,
which decides the kind of exception, and under tidu.

A mistake is a function of the framework, so that its last lines are what a user would have written.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

import tidu

torch = pytest.importorskip("torch")


class Mistake(NamedTuple):
    """What goes wrong, what tidu's message says of it, and the line that it names."""

    make: Callable[[Any], Any]
    parts: tuple[str, ...]
    line: str | None


class Table(list[Mistake]):
    """The mistakes of one file: ``@table("operation", "[2, 3]", line="a + b")`` adds one.

    `line` is a part of the line that the message names. It is None for Python's own messages, to
    which only the traceback adds the line.
    """

    def __call__(
        self, *parts: str, line: str | None
    ) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
        def add(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
            self.append(Mistake(make, parts, line))
            return make

        return add

    @property
    def names(self) -> list[str]:
        return [mistake.make.__name__ for mistake in self]


def raised_by(make: Callable[[Any], Any], framework: Any) -> Exception:
    with pytest.raises(Exception) as caught:
        make(framework)
    return caught.value


def check(mistake: Mistake) -> None:
    """The same kind of exception as PyTorch's, the parts of the message, and the user's line."""
    expected, found = (raised_by(mistake.make, framework) for framework in (torch, tidu))
    message = str(found)
    # A framework's own class is as good as the one that it derives from.
    assert isinstance(found, type(expected)), message
    for part in mistake.parts:
        assert part in message, message
    if mistake.line is None:
        assert "(at " not in message, message
    else:
        lines, start = inspect.getsourcelines(mistake.make)
        number = next(i for i in reversed(range(len(lines))) if mistake.line in lines[i])
        file = os.path.basename(inspect.getfile(mistake.make))
        assert f"(at {file}:{start + number}: {lines[number].strip()})" in message, message
        assert message.count(f"(at {file}:") == 1, message
    assert_usable()


def assert_usable() -> None:
    """After a mistake the next program runs as if nothing had happened."""
    assert tidu.is_grad_enabled() and not tidu.is_inference_mode_enabled()
    x = tidu.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [2.0, 4.0]
