"""What a derivative reads of the inputs and the result: that is what the tape keeps of them.

It is found in the bytecode, so a derivative is written as a plain function and says nothing twice.
"""

from __future__ import annotations

import dis
import itertools
from types import FunctionType
from typing import Any, NamedTuple

from tidu.base.dtypes import dtype
from tidu.base.shapes import Shape


class Spec(NamedTuple):
    """What remains of an input whose numbers the derivative does not read."""

    shape: Shape
    dtype: dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)


_METADATA = {"shape", "dtype", "ndim"}
UNREAD, METADATA, NUMBERS_READ = 0, 1, 2


def reads(vjp: Any, name: str, arity: int) -> tuple[int, ...]:
    """What a derivative reads of (out, *inputs), found in its bytecode: nothing, shape or dtype,
    or the numbers.
    """
    if vjp is None:
        return (UNREAD,) * (arity + 1)
    assert isinstance(vjp, FunctionType), f"the vjp of '{name}' must be a plain function"
    instructions = list(dis.get_instructions(vjp))
    captured = set(vjp.__code__.co_cellvars)
    levels = []
    for variable in vjp.__code__.co_varnames[1 : arity + 2]:
        level = NUMBERS_READ if variable in captured else UNREAD
        for load, following in itertools.pairwise(instructions):
            if "LOAD_FAST" not in load.opname:
                continue
            # Newer interpreters load two variables with one instruction.
            loaded = load.argval if isinstance(load.argval, tuple) else (load.argval,)
            if variable in loaded:
                metadata = following.opname == "LOAD_ATTR" and following.argval in _METADATA
                level = max(
                    level, METADATA if metadata and variable not in loaded[:-1] else NUMBERS_READ
                )
        levels.append(level)
    return tuple(levels)
