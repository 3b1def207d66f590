"""Plans on disk: a program compiled once is made again without running any pass.

A plan is kept as text (`compiler/plain.py`) under the structure of its region, this edition of the
package, and the kind of processor. It names the modules that its kernels are in, whose object code
is kept beside it. Where anything is missing or damaged, the region is compiled as if nothing were
there.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from tidu.backends.base import Program
from tidu.base import dtypes
from tidu.base.deferred import DeferredModule
from tidu.compiler import disk, plain
from tidu.compiler.edition import edition
from tidu.compiler.statistics import statistics
from tidu.ir.structure import Key

if TYPE_CHECKING:
    from tidu.backends import cpu
    from tidu.backends import kernels as loaded
    from tidu.backends.cpu import CpuProgram
    from tidu.compiler import kept
else:
    # To find that there is nothing takes neither LLVM nor the compiler.
    cpu = DeferredModule("tidu.backends.cpu")
    loaded = DeferredModule("tidu.backends.kernels")
    kept = DeferredModule("tidu.compiler.kept")

# Of the digest of an edition, at the beginning of the name of a file.
_DIGITS = 16


class Shelf:
    """The plans that are on disk. `since` is when this process imported the package."""

    def __init__(self, since: float) -> None:
        self.since = since
        self._found: set[str] | None = None
        self._looks: set[str] = set()

    def may_have(self, key: Key) -> bool:
        """Whether it is worth while to look: False for most structures that are not there."""
        return bool(self._files()) and _look(key) in self._looks

    def find(self, key: Key) -> CpuProgram | None:
        """The program for a structure, if its plan is on disk with all that belongs to it.

        Files that other processes write after this one's first look are not seen: to find that
        there is nothing must cost next to nothing.
        """
        name = self._name(key) if self.may_have(key) else None
        if name is None or name not in self._files():
            return None
        text = disk.read(name)
        try:
            program = None if text is None else _program(text)
        except Exception:  # whatever is wrong with it, the region can be compiled
            disk.remove(name)
            program = None
        if program is not None:
            statistics.plan_hits += 1
        return program

    def keep(self, key: Key, program: Program) -> None:
        """Write the plan of a program to disk."""
        name = self._name(key)
        if name is None or not isinstance(program, cpu.CpuProgram):
            return
        plan = program.plan
        modules = loaded.kernels.modules_of(plan.functions)
        try:
            text = kept.Kept(plan, modules).text()
        except TypeError:  # NotPlainError, mostly
            return
        disk.write(name, text.encode())

    def _files(self) -> set[str]:
        """The names of the files with plans for this edition, as they were at the first look."""
        if self._found is None:
            names = disk.names(disk.PLAN)
            start = (edition(self.since) or "nothing")[:_DIGITS] if names else ""
            found = {name for name in names if name.startswith(start)}
            self._looks = {look for name in found for look in name.split("-")[1:2]}
            self._found = found
        return self._found

    def _name(self, key: Key) -> str | None:
        """The name of the file for a structure; None if there cannot be one."""
        own = edition(self.since)
        if own is None:
            return None
        try:
            structure = plain.dumps(key.structure)
        except TypeError:
            return None
        text = f"{own}\n{dtypes.get_default_dtype()}\n{structure}"
        digest = hashlib.blake2b(text.encode(), digest_size=20).hexdigest()
        return f"{own[:_DIGITS]}-{_look(key)}-{digest}{disk.PLAN}"


def _look(key: Key) -> str:
    """Something short by which most structures differ."""
    return ".".join(str(len(part)) for part in key.structure)


def _program(text: bytes) -> CpuProgram | None:
    """The program of a plan; None if a module of it is missing."""
    make = cpu.CpuProgram  # which loads the classes that the text names
    read = kept.Kept.read(text)
    return make(read.plan) if loaded.kernels.find(read.modules) else None
