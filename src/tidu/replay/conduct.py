"""What Python code a call runs, and what it does that a replayed call would leave out."""

from __future__ import annotations

import dataclasses
import dis
import functools
import inspect
import os
import sys
import weakref
from types import CellType, CodeType, FrameType, FunctionType, GeneratorType, ModuleType
from typing import Any

from tidu.base.collector import CollectorWatch
from tidu.base.source import describe, is_ours
from tidu.replay.mentions import may_look_anywhere, words_in

INSIDE, STATELESS, LIBRARY, OUTSIDE = "inside", "stateless", "library", "outside"
_STANDARD = os.path.dirname(inspect.__file__) + os.sep
_INSTALLED = ("site-packages", "dist-packages")
# Modules of the standard library whose functions give the same result for the same arguments.
_STATELESS = {
    *("_collections_abc", "abc", "bisect", "collections", "contextlib", "copy", "copyreg"),
    *("dataclasses", "enum", "fractions", "functools", "heapq", "inspect", "keyword", "numbers"),
    *("operator", "re", "statistics", "string", "types", "typing", "weakref"),
}
_PURE_MODULES = {
    *("_abc", "_bisect", "_collections", "_functools", "_heapq", "_operator", "_struct", "cmath"),
    *("collections", "functools", "itertools", "math", "operator", "typing"),
}
_IMPURE = {
    *("breakpoint", "compile", "delattr", "eval", "exec", "globals", "input", "locals", "open"),
    *("print", "setattr", "vars"),
}
_LOOKING = {"getattr", "hasattr"}
# Where classes say that they are from: `tidu run` lets some say torch.
_OURS = ("tidu", "torch", "collections")
_PLAIN = (
    *(bool, bytes, complex, dict, float, frozenset, int, list, range, set, slice, str, tuple),
    *(type, GeneratorType, functools.partial),
)


@functools.cache
def origin(filename: str) -> str:
    """Whose code a file holds: this package's, the standard library's, or somebody else's."""
    if is_ours(filename) or filename.startswith("<frozen importlib"):
        return INSIDE
    if filename.startswith("<frozen"):
        return STATELESS if filename[8:-1] in _STATELESS else LIBRARY
    if any(part in _INSTALLED for part in filename.split(os.sep)):
        return LIBRARY
    if filename.startswith(_STANDARD):
        first = filename.removeprefix(_STANDARD).split(os.sep)[0]
        return STATELESS if first.removesuffix(".py") in _STATELESS else LIBRARY
    return OUTSIDE


class Conduct:
    """A context in which the code that runs is noted. What the cycle collector calls in between,
    and what is called for garbage that it finds, is no part of it.

    `codes` has the global names of each piece of code that is not ours, `variables` what its free
    variables were, `selves` the objects whose methods were called: their ids and weak references,
    because to hold them would keep alive what the call makes. `any_name` tells whether attributes
    are looked up whose names are worked out. `reason` is None, or says what cannot be left out.
    """

    def __init__(self) -> None:
        self.codes: dict[CodeType, dict[str, Any]] = {}
        self.variables: dict[CodeType, set[tuple[int, ...]]] = {}
        self.selves: dict[int, weakref.ref[Any]] = {}
        self.any_name = False
        self.reason: str | None = None
        self._collector = CollectorWatch()

    def __enter__(self) -> Conduct:
        self._collector.begin()
        sys.setprofile(self._notice)
        return self

    def __exit__(self, *exception: object) -> None:
        sys.setprofile(None)
        self._collector.end()

    def refuse(self, what: str, frame: FrameType | None) -> None:
        """Remember the first reason why the call cannot be replayed."""
        if self.reason is None:
            at = "" if frame is None else describe((frame.f_code, frame.f_lasti))
            self.reason = f"{what} ({at})" if at else what

    def _notice(self, frame: FrameType, event: str, what: Any) -> None:
        if event == "call":
            code = frame.f_code
            kind = _origin_of(frame)
            if kind is INSIDE or self._collector.works:
                return
            if kind is OUTSIDE:
                self._enter(frame, code)
            elif code.co_filename == dataclasses.__file__ and _called_from_outside(frame):
                self.any_name = True  # asdict() and the like look at all fields
            elif kind is LIBRARY and self.reason is None and _called_from_outside(frame):
                name = frame.f_globals.get("__name__", "?")
                self.refuse(f"it calls {name}.{code.co_qualname}()", _outside(frame))
        elif event == "c_call" and origin(frame.f_code.co_filename) is OUTSIDE:
            if self._collector.works:
                return
            impure = _impure(what)
            if what is getattr or what is hasattr:
                self.any_name = self.any_name or not _is_word(frame.f_code, frame.f_lasti)
            elif impure is not None:
                self.refuse(f"it calls {impure}()", frame)

    def _enter(self, frame: FrameType, code: CodeType) -> None:
        self.codes[code] = frame.f_globals
        self.any_name = self.any_name or may_look_anywhere(code)
        named_self = code.co_argcount > 0 and code.co_varnames[0] == "self"
        if not code.co_freevars and not named_self:
            return
        variables = frame.f_locals
        if named_self:
            this = variables.get("self")
            if type(this).__weakrefoffset__:
                self.selves[id(this)] = weakref.ref(this)
        if code.co_freevars:
            seen = tuple(id(variables.get(name)) for name in code.co_freevars)
            self.variables.setdefault(code, set()).add(seen)

    def extends(self, learned: Conduct) -> bool:
        """Whether code did more here than was learned before."""
        return not set(self.codes) <= set(learned.codes) or self.any_name > learned.any_name

    def names(self) -> frozenset[str]:
        """All names and words that the code mentions: what it may look for in an object."""
        found: set[str] = set()
        for code in self.codes:
            found.update(code.co_names)
            found.update(words_in(code))
        return frozenset(found)

    def sought(self) -> frozenset[str]:
        """The words in code that looks for attributes which need not be there."""
        found: set[str] = set()
        for code in self.codes:
            if not _LOOKING.isdisjoint(code.co_names):
                found.update(filter(str.isidentifier, words_in(code)))
        return frozenset(found)


def variables_of(function: FunctionType) -> tuple[int, ...]:
    """The ids of what the free variables of a function hold now."""
    return tuple(map(_contents, function.__closure__ or ()))


def _contents(cell: CellType) -> int:
    try:
        return id(cell.cell_contents)
    except ValueError:  # not assigned yet
        return id(None)


def _origin_of(frame: FrameType) -> str:
    """Whose code a frame runs; code that was generated belongs to its module."""
    filename = frame.f_code.co_filename
    if filename.startswith("<") and not filename.startswith("<frozen"):
        name = frame.f_globals.get("__name__", "")
        return INSIDE if name.split(".")[0] == "tidu" or name.startswith("namedtuple_") else OUTSIDE
    return origin(filename)


def _outside(frame: FrameType | None) -> FrameType | None:
    """The innermost frame of the user's own code."""
    while frame is not None and origin(frame.f_code.co_filename) is not OUTSIDE:
        frame = frame.f_back
    return frame


def _called_from_outside(frame: FrameType) -> bool:
    """Whether it was the user's code that called into a library, and not this package."""
    caller = frame.f_back
    while caller is not None:
        kind = origin(caller.f_code.co_filename)
        if kind is INSIDE:
            return False
        if kind is OUTSIDE:
            return True
        caller = caller.f_back
    return False


@functools.cache
def _is_word(code: CodeType, call: int) -> bool:
    """Whether the name in a call of getattr(object, name, ...) is written in the code."""
    *steps, at = [x for x in dis.get_instructions(code) if x.offset <= call]
    if at.opname not in ("CALL", "PRECALL") or at.arg not in (2, 3):
        return False
    arguments = [x.opname for x in steps if x.opname != "PRECALL"][1 - at.arg :]
    # What is not as simple as that may be anything.
    return arguments[0] == "LOAD_CONST" and all(x.startswith("LOAD_") for x in arguments)


def _impure(function: Any) -> str | None:
    """The name of a built-in function that does more than compute its result, or None."""
    name: str = getattr(function, "__name__", "?")
    owner = getattr(function, "__objclass__", None) or getattr(function, "__self__", None)
    if owner is None or isinstance(owner, ModuleType):
        module = str(getattr(function, "__module__", None) or getattr(owner, "__name__", ""))
        if module == "builtins":
            return name if name in _IMPURE else None
        pure = module in _PURE_MODULES or module.split(".")[0] == "tidu"
        return None if pure else f"{module}.{name}"
    kind = owner if isinstance(owner, type) else type(owner)
    if issubclass(kind, _PLAIN) or kind.__module__.split(".")[0] in _OURS:
        return None
    return f"{kind.__name__}.{name}"
