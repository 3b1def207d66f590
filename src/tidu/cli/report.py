"""How `tidu run` shows an uncaught exception: the script's own lines, without what lies beneath.

`TIDU_TRACEBACK=full` in the environment shows every frame.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from traceback import walk_tb
from types import TracebackType
from typing import Any

from tidu.base.source import is_ours
from tidu.tensor import Tensor

# Packages that load PyTorch's native library.
COMPANIONS = {"torchaudio", "torchtext", "torchvision"}
COMMAND_FOLDER = os.path.dirname(os.path.abspath(__file__)) + os.sep
LIBRARY_FOLDERS = tuple(
    sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")
)


def report(error: BaseException) -> None:
    """Shows `error` through `sys.excepthook`, as the interpreter does when a script fails."""
    if os.environ.get("TIDU_TRACEBACK") != "full":
        _hide_internal_frames(error)
        _name_what_is_missing(error)
        _explain_companions(error)
    sys.excepthook(type(error), error, error.__traceback__)


def visible_frames(traceback: TracebackType | None) -> TracebackType | None:
    """The frames of `traceback` that are not tidu's own, nor of libraries that tidu called.

    Code that tidu calls back (a module's `forward`, a hook, a dataset) is shown again.
    """
    while traceback is not None and _file(traceback).startswith((COMMAND_FOLDER, "<frozen ")):
        traceback = traceback.tb_next

    kept = []
    inside = False  # tidu, or a library on its behalf
    while traceback is not None:
        file = _file(traceback)
        if is_ours(file):
            inside = True
        elif not (inside and file.startswith((*LIBRARY_FOLDERS, "<frozen "))):
            inside = False
            kept.append(traceback)
        traceback = traceback.tb_next

    chain = None
    for frame in reversed(kept):
        chain = TracebackType(chain, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return chain


def _file(traceback: TracebackType) -> str:
    return traceback.tb_frame.f_code.co_filename


def _hide_internal_frames(error: BaseException) -> None:
    """Trims the tracebacks of `error` and of every exception that it shows along with itself."""
    pending: list[BaseException | None] = [error]
    seen: set[int] = set()
    while pending:
        current = pending.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        current.__traceback__ = visible_frames(current.__traceback__)
        pending += [current.__cause__, current.__context__]
        if isinstance(current, BaseExceptionGroup):
            pending += current.exceptions


def _name_what_is_missing(error: BaseException) -> None:
    """Says of a `torch.x` or a method of tensors that could not be found that tidu lacks it."""
    if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("torch."):
        error.msg = f"{error.msg} (tidu does not have {error.name} yet)"
    elif isinstance(error, AttributeError) and _is_tensor(error.obj):
        missing = f" (tidu does not have torch.Tensor.{error.name} yet)"
        if len(error.args) == 1 and "tidu does not have" not in str(error):
            error.args = (f"{error.args[0]}{missing}",)


def _is_tensor(x: Any) -> bool:
    return isinstance(x, Tensor) or (isinstance(x, type) and issubclass(x, Tensor))


def _explain_companions(error: BaseException) -> None:
    """Says of packages that are built on PyTorch's native library that they cannot run on tidu."""
    if isinstance(error, ModuleNotFoundError):
        packages = {(error.name or "").partition(".")[0]}
    else:
        files = [Path(frame.f_code.co_filename) for frame, _ in walk_tb(error.__traceback__)]
        packages = {part for file in files for part in file.parts}
    for package in sorted(packages & COMPANIONS):
        error.add_note(
            f"{package} is built on the native library of PyTorch, which is not there under "
            "`tidu run`: what the script needs of it has to come from elsewhere."
        )
