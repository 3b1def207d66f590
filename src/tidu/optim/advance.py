"""Writing to parameters and state: beside the tape, or on it to differentiate an optimizer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Any

from tidu.base.traced import Traced
from tidu.ir.op import Op
from tidu.tensor import Tensor, write_each


class Advance(ABC):
    """``advance(target, rule, *operands)`` makes `target` hold rule(target, *operands), and returns
    that.
    """

    @abstractmethod
    def __call__(self, target: Tensor, rule: Callable[..., Any], *operands: Any) -> Any: ...

    def each(
        self, targets: Sequence[Tensor], rule: Callable[..., Any], *operands: Any
    ) -> list[Any]:
        """The same for several targets. An operand that is a list has one entry for each."""
        return [
            self(target, rule, *row)
            for target, row in zip(targets, _rows(operands, len(targets)), strict=True)
        ]


def _rows(operands: Sequence[Any], count: int) -> Iterator[tuple[Any, ...]]:
    columns = [x if x.__class__ is list else repeat(x, count) for x in operands]
    return zip(*columns, strict=True) if columns else repeat((), count)


class _Beside(Advance):
    """Beside the tape: operands are Values and numbers, and so is what is returned.

    Working on Values spares the making of a tensor for every intermediate result.
    """

    def __call__(self, target: Tensor, rule: Callable[..., Any], *operands: Any) -> Any:
        for x in operands:
            if x.__class__ is Traced:  # a number that has to see the operation
                value = rule(target._value, *operands)
                break
        else:
            inputs = (target._value, *operands)
            value = rule.value(inputs) if isinstance(rule, Op) else rule(*inputs)
        target._write(value)
        return value

    def each(
        self, targets: Sequence[Tensor], rule: Callable[..., Any], *operands: Any
    ) -> list[Any]:
        if not isinstance(rule, Op) or _has_traced(operands):
            return super().each(targets, rule, *operands)
        contents = [t._storage.value if t._chain is None else t._value for t in targets]
        values = rule.values(_rows((contents, *operands), len(targets)))
        write_each(targets, values)
        return values


def _has_traced(operands: Sequence[Any]) -> bool:
    return any(
        [Traced in map(type, x) if x.__class__ is list else x.__class__ is Traced for x in operands]
    )


class _OnTape(Advance):
    """As in-place operations do it: operands are tensors and numbers."""

    def __call__(self, target: Tensor, rule: Callable[..., Any], *operands: Any) -> Tensor:
        return target._assign(rule(target, *operands))


advance = _Beside()
advance_on_tape = _OnTape()
