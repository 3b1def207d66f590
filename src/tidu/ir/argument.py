"""Stand-ins for the Python numbers among a region's inputs, which may differ from run to run.

Decompositions may pass them on as inputs of other operations. To compute with one, or to ask
whether it is 0, would bake the number of one run into a program: that raises NotConstantError.
"""

from __future__ import annotations

from typing import Any, NoReturn


class NotConstantError(Exception):
    """Somebody asked for the numeric value of an argument of the program, which is in `args`."""


class FloatArgument(float):
    """A float among the inputs, the `number`-th of the region's Python numbers."""

    number: int


class IntArgument(int):
    """An int among the inputs, the `number`-th of the region's Python numbers."""

    number: int


ARGUMENTS = (FloatArgument, IntArgument)


def _refuse(number: Any, *_: Any) -> NoReturn:
    raise NotConstantError(number)


_COMPUTING = (
    "add sub mul truediv floordiv mod pow radd rsub rmul rtruediv rfloordiv rmod rpow neg pos abs "
    "eq ne lt le gt ge bool"
)
for _class in ARGUMENTS:
    for _name in _COMPUTING.split():
        setattr(_class, f"__{_name}__", _refuse)
    setattr(_class, "__hash__", object.__hash__)  # noqa: B010 (mypy knows better than to assign it)


def argument(x: float, number: int) -> FloatArgument | IntArgument:
    """The stand-in for Python number `x`, the `number`-th of the region."""
    made = FloatArgument(x) if x.__class__ is float else IntArgument(x)
    made.number = number
    return made
