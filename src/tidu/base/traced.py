"""Numbers that remember how they were worked out, so that this can be done again with others.

A learning rate divided by a bias correction is a number that a program needs anew in every step.
Where somebody records a step, an optimizer computes with `Traced` numbers instead of floats: each
operation becomes a line of Python, and each comparison a condition under which the lines hold.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
}
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Trace:
    """The lines that compute the traced numbers, in the order in which they were computed.

    `lines` may be shared with whoever writes other lines between them. `names` are the objects
    that the lines refer to.
    """

    def __init__(self, lines: list[str], names: dict[str, Any]) -> None:
        self.lines = lines
        self.names = names
        # By the id of a float that went into the graph: the name of the number, and the float,
        # which is kept so that no other takes its id.
        self.arguments: dict[int, tuple[str, float]] = {}
        self._known: dict[str, str] = {}
        self._count = 0

    def compute(self, text: str, value: Any) -> Traced:
        """The number that the expression `text` gives, which is `value` now."""
        name = self._known.get(text)
        if name is None:
            name = self._known[text] = f"n{self._count}"
            self._count += 1
            self.lines.append(f"{name} = {text}")
        return Traced(self, name, value)

    def require(self, condition: str) -> None:
        """The lines hold only where `condition` does."""
        if condition not in self._known:
            self._known[condition] = ""
            self.lines.append(f"if not ({condition}): raise Departure")

    def text(self, x: Any) -> str:
        """A number as part of an expression."""
        if x.__class__ is Traced:
            return x.name
        return f"({x!r})" if x == x and abs(x) != float("inf") else f"float('{x}')"

    def argument(self, number: Traced) -> float:
        """A float of its own, by which the number is recognised among the inputs of a graph."""
        # Multiplying makes a new object, also of a number that somebody else holds.
        made: float = float(number.value) * 1.0
        self.arguments[id(made)] = (number.name, made)
        return made


class Traced:
    """A Python number whose making is recorded by its trace."""

    __slots__ = ("name", "trace", "value")

    def __init__(self, trace: Trace, name: str, value: Any) -> None:
        self.trace = trace
        self.name = name
        self.value = value

    def __neg__(self) -> Traced:
        return self.trace.compute(f"-{self.name}", -self.value)

    def __pos__(self) -> Traced:
        return self

    def __abs__(self) -> Traced:
        return self.trace.compute(f"abs({self.name})", abs(self.value))

    def __float__(self) -> float:
        """Whoever makes a plain number of it gets one that must not change."""
        self.trace.require(f"{self.name} == {self.trace.text(self.value)}")
        return float(self.value)

    def __bool__(self) -> bool:
        outcome = bool(self.value)
        self.trace.require(f"bool({self.name}) is {outcome}")
        return outcome

    def apply(self, function: str, convert: Callable[[Any], Any]) -> Traced:
        """`convert` of the number, where the lines know that function under the name `function`."""
        self.trace.names[function] = convert
        return self.trace.compute(f"{function}({self.name})", convert(self.value))

    def apply_op(self, op: Any, inputs: Any, attrs: Any, *grad_name: str) -> Any:
        """Operations of the graph take floats, by which their numbers are found again."""
        plain = tuple(x.trace.argument(x) if x.__class__ is Traced else x for x in inputs)
        arguments = (plain,) if op.variadic else plain
        if grad_name:
            return op.named(*grad_name, *arguments, *attrs)
        return op(*arguments, *attrs)

    __hash__ = object.__hash__


def _arithmetic(symbol: str, apply: Callable[[Any, Any], Any], swapped: bool) -> Any:
    def method(self: Traced, other: Any) -> Any:
        if other.__class__ is not Traced and not isinstance(other, (int, float)):
            plain = self.trace.argument(self)  # beside a Value, it goes into the graph
            return apply(other, plain) if swapped else apply(plain, other)
        a, b = (other, self) if swapped else (self, other)
        x, y = (n.value if n.__class__ is Traced else n for n in (a, b))
        text = self.trace.text
        return self.trace.compute(f"{text(a)} {symbol} {text(b)}", apply(x, y))

    return method


def _comparison(symbol: str, compare: Callable[[Any, Any], bool]) -> Any:
    def method(self: Traced, other: Any) -> Any:
        if other.__class__ is not Traced and not isinstance(other, (int, float)):
            return NotImplemented
        value = other.value if other.__class__ is Traced else other
        outcome = compare(self.value, value)
        if other.__class__ is not Traced or other.name != self.name:
            self.trace.require(f"({self.name} {symbol} {self.trace.text(other)}) is {outcome}")
        return outcome

    return method


for _name, _symbol in (
    *(("add", "+"), ("sub", "-"), ("mul", "*"), ("truediv", "/")),
    *(("floordiv", "//"), ("mod", "%"), ("pow", "**")),
):
    setattr(Traced, f"__{_name}__", _arithmetic(_symbol, OPERATORS[_symbol], swapped=False))
    setattr(Traced, f"__r{_name}__", _arithmetic(_symbol, OPERATORS[_symbol], swapped=True))
for _name, _symbol in (
    *(("eq", "=="), ("ne", "!="), ("lt", "<")),
    *(("le", "<="), ("gt", ">"), ("ge", ">=")),
):
    setattr(Traced, f"__{_name}__", _comparison(_symbol, COMPARISONS[_symbol]))
