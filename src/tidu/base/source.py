"""Source positions: two references when recorded, a file, line and column only when asked for."""

from __future__ import annotations

import functools
import linecache
import os
import re
import sys
import warnings
from collections.abc import Callable
from types import CodeType
from typing import Any, TypeVar

from tidu.base import ahead
from tidu.base.ahead import Ahead
from tidu.base.state import Position, state

_PREFIX = ahead.PACKAGE + os.sep
_internal: dict[str, bool] = {}
_LINE = re.compile(r" \(at [^\n]*?:\d+")  # what `at` makes


def is_ours(filename: str) -> bool:
    """Whether it is the file of code of this package."""
    return filename.startswith(_PREFIX) or ahead.is_compiled(filename)


def _is_internal(filename: str) -> bool:
    inside = is_ours(filename) or filename.startswith("<frozen")
    _internal[filename] = inside
    return inside


# The last one recorded: what one line makes in a row shares a position, which makes the tape of a
# long recurrence smaller by a sixth.
_recent: Position = (_is_internal.__code__, -1)


def here() -> Position | None:
    """The position on whose behalf we work: that of the forward op in a backward pass, else that
    of the first frame outside this package.
    """
    return state.own.position or outside(2)


def outside(inner: int) -> Position | None:
    """The position of the first frame outside this package: (code object, instruction offset).

    The `inner` innermost frames, this one included, are known to be ours. Stepping over them at
    once spares the interpreter from making frame objects for them. Not all of them exist where some
    functions are compiled.
    """
    global _recent
    recent = _recent
    known, offset = recent
    frame = sys._getframe(1 if Ahead.active else inner)
    while frame is not None:
        code = frame.f_code
        if code is known:  # mostly: it is not asked again whether it is outside
            if frame.f_lasti != offset:
                _recent = recent = (code, frame.f_lasti)
            return recent
        filename = code.co_filename
        inside = _internal.get(filename)
        if inside is None:
            inside = _is_internal(filename)
        if not inside:
            _recent = recent = (code, frame.f_lasti)
            return recent
        frame = frame.f_back  # type: ignore[assignment]
    return None


Call = TypeVar("Call", bound=Callable[..., Any])


def in_one_place(call: Call) -> Call:
    """`call`, during which everything has the position of the call: it is looked for only once.

    For functions that make many Values and run no code of the user's.
    """

    @functools.wraps(call)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        own = state.own
        if own.position is not None:
            return call(*args, **kwargs)
        try:
            own.position = outside(2)
            return call(*args, **kwargs)
        finally:
            own.position = None

    return wrapper  # type: ignore[return-value]


def line_of(position: Position) -> tuple[str, int]:
    """File name and line number of a recorded position."""
    code, offset = position
    for index, (line, _, _, _) in enumerate(code.co_positions()):
        if index * 2 >= offset and line is not None:
            return code.co_filename, line
    return code.co_filename, code.co_firstlineno


def columns_of(position: Position) -> tuple[int, int] | None:
    """First and last column of the expression, where the interpreter knows them."""
    code, offset = position
    for index, (_, _, start, end) in enumerate(code.co_positions()):
        if index * 2 == offset and start is not None and end is not None:
            return start, end
    return None


def describe(position: Position | None) -> str:
    """``file.py:12: loss = model(x)``, or an empty string where nothing was recorded."""
    if position is None:
        return ""
    filename, line = line_of(position)
    text = linecache.getline(filename, line).strip()
    where = f"{os.path.basename(filename)}:{line}"
    return f"{where}: {text}" if text else where


def at(position: Position | None) -> str:
    """A sentence tail for messages: " (at file.py:12: loss = model(x))"."""
    text = describe(position)
    return f" (at {text})" if text else ""


def locate(error: Exception, *what: str) -> None:
    """Complete the message of an error that this package is raising: what was done, and the line.

    Of the sentence parts `what` those are added that the message does not have yet. Errors of the
    user's own code, which merely pass through here, stay as they are.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or not _is_internal(trace.tb_frame.f_code.co_filename):
        return
    if len(error.args) == 1 and isinstance(error.args[0], str):
        message: str = error.args[0]
        found = _LINE.search(message)
        line = message[found.start() :] if found else at(here())
        message = message[: found.start()] if found else message
        more = "".join(part for part in what if part not in message)
        if more.startswith(":"):
            message = message.removesuffix(".")
        error.args = (message + more + line,)


def located(call: Call) -> Call:
    """`call`, the errors of which end with the line of the user's that made it. Those of a
    private class's constructor name the class that was to be made.
    """

    @functools.wraps(call)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return call(*args, **kwargs)
        except KeyError:  # what it says is a key
            raise
        except Exception as error:
            owner = call.__qualname__.removesuffix(".__init__")
            if owner[0] == "_" and str(error).startswith(f"{owner}.__init__()"):
                error.args = (type(args[0]).__name__ + str(error).removeprefix(owner),)
            locate(error)
            raise

    return wrapper  # type: ignore[return-value]


def locate_constructor(kind: type) -> None:
    """Have the constructor of a class of ours be `located`; for an `__init_subclass__`."""
    constructor = kind.__dict__.get("__init__")
    if constructor is not None and kind.__dict__.get("__module__", "").startswith("tidu."):
        kind.__init__ = located(constructor)  # type: ignore[misc]


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line of the user's code that led here."""
    level = 2
    frame = sys._getframe(1)
    while frame is not None and _is_internal(frame.f_code.co_filename):
        frame = frame.f_back  # type: ignore[assignment]
        level += 1
    warnings.warn(message, category, stacklevel=level)


_said: set[str] = set()
_settings = {"always": False}


def warn_once(message: str) -> None:
    """`warn`, but the first time in a process only, unless `set_warn_always` was called."""
    if not _settings["always"]:
        if message in _said:
            return
        _said.add(message)
    warn(message)


def set_warn_always(b: bool, /) -> None:
    """Whether warnings that come once in a process come each time."""
    _settings["always"] = b


def is_warn_always_enabled() -> bool:
    """What `set_warn_always` was last given, False at first."""
    return _settings["always"]


__all__ = [
    "CodeType",
    "at",
    "columns_of",
    "describe",
    "here",
    "is_warn_always_enabled",
    "line_of",
    "locate",
    "locate_constructor",
    "located",
    "set_warn_always",
    "warn",
    "warn_once",
]
