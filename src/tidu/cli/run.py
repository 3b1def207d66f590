"""`tidu run`: runs a script as Python would run it, with `torch` standing for tidu."""

from __future__ import annotations

import builtins
import importlib.util
import io
import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import SourceFileLoader
from types import CodeType, ModuleType
from typing import Any, NamedTuple

from tidu.cli.aliases import install
from tidu.cli.report import report


class Program(NamedTuple):
    """What is to be run, as Python's own start-up would set it."""

    compile: Callable[[], CodeType]
    path: str  # sys.argv[0]
    folder: str  # sys.path[0]
    attributes: dict[str, Any]  # of the module __main__


def run(script: str, arguments: Sequence[str], *, as_module: bool = False) -> int:
    """Runs the file (or, with `as_module`, the module) `script` as `__main__`; its exit status.

    SystemExit and KeyboardInterrupt pass through: they end the process as they do in Python.
    """
    install()
    try:
        program = _find_module(script) if as_module else _find_script(script)
    except (OSError, ImportError) as error:
        reason = f"{script!r}: {error}" if as_module else f"can't open file {error}"
        print(f"tidu run: {reason}", file=sys.stderr)
        return 2

    main = ModuleType("__main__")
    main.__dict__.update(program.attributes)
    # The script sees nothing of this command: its classes pickle as `__main__.Name` (in processes
    # that are started afresh: `__mp_main__.Name`), its neighbors import.
    sys.modules["__main__"] = sys.modules["__mp_main__"] = main
    sys.argv = [program.path, *arguments]
    if not sys.flags.safe_path:
        sys.path[0] = program.folder
    try:
        exec(program.compile(), main.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        report(error)
        if isinstance(error, Exception):
            return 1
        sys.excepthook = lambda *_: None  # it has been shown; the interpreter sets the exit status
        raise
    return 0


def _find_script(script: str) -> Program:
    path = os.path.abspath(script)
    try:
        with io.open_code(path) as file:
            source = file.read()
    except OSError as error:
        raise OSError(f"{path!r}: [Errno {error.errno}] {error.strerror}") from None
    return Program(
        compile=lambda: compile(source, path, "exec", dont_inherit=True),
        path=script,
        folder=os.path.dirname(os.path.realpath(path)),
        attributes={
            "__file__": path,
            "__loader__": SourceFileLoader("__main__", path),
            "__package__": None,
            "__spec__": None,
            "__cached__": None,
            "__builtins__": builtins,
        },
    )


def _find_module(name: str) -> Program:
    folder = os.getcwd()
    if not sys.flags.safe_path:
        sys.path[0] = folder
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = importlib.util.find_spec(f"{name}.__main__")
    if spec is None or not isinstance(spec.loader, SourceFileLoader) or spec.origin is None:
        raise ImportError("there is no such module that could be run")
    loader, origin = spec.loader, spec.origin
    return Program(
        compile=lambda: compile(loader.get_data(origin), origin, "exec", dont_inherit=True),
        path=origin,
        folder=folder,
        attributes={
            "__file__": origin,
            "__loader__": loader,
            "__package__": spec.parent,
            "__spec__": spec,
            "__cached__": spec.cached,
            "__builtins__": builtins,
        },
    )
