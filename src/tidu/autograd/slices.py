"""The history of a tensor of which a view was written to."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from tidu.autograd.tape import GradFn, freed_message
from tidu.base.dtypes import int64
from tidu.ir.op import Op
from tidu.ops.elementwise import fill
from tidu.ops.indexing.arrays import index_put
from tidu.ops.moving.movement import reshape
from tidu.ops.sources import arange_


class CopySlices(GradFn):
    """History of a base after something was written through a view of it.

    The written part takes its own cotangent; the base's has a hole there. `chain` lists the view's
    movement ops from the base outwards. As in PyTorch it runs once, whatever was written.
    """

    __slots__ = ("chain",)

    chain: tuple[tuple[Op, tuple[Any, ...]], ...] | None

    def name(self) -> str:
        return "torch::autograd::CopySlices"

    def ends(self) -> Sequence[tuple[GradFn | None, int]]:
        """As in PyTorch that of the base, and those of the operation that wrote to the part."""
        base, (written, _) = super().ends()
        return [base] if written is None else [base, *written.next_functions[1:]]

    def release(self) -> None:
        self.chain = None

    def backward(self, cotangents: list[Any], create_graph: bool) -> Sequence[Any]:
        if self.chain is None:
            raise RuntimeError(freed_message(self))
        g = cotangents[0]
        part = g
        for op, attrs in self.chain:
            part = op(part, *attrs)
        return (write_through(g, self.chain, fill(part, 0.0)), part)


def write_through(base: Any, chain: tuple[tuple[Op, tuple[Any, ...]], ...], part: Any) -> Any:
    """`base` with the part that `chain` looks at replaced."""
    if any(op.view is not None and op.view.write is None for op, _ in chain):
        return _write_at_positions(base, chain, part)
    seen = [base]
    for op, attrs in chain[:-1]:
        seen.append(op(seen[-1], *attrs))
    for (op, attrs), below in zip(reversed(chain), reversed(seen), strict=True):
        assert op.view is not None and op.view.write is not None
        part = op.view.write(below, part, *attrs)
    return part


def _write_at_positions(base: Any, chain: tuple[tuple[Op, tuple[Any, ...]], ...], part: Any) -> Any:
    """For movements that cannot be undone one by one: follow the places of all elements."""
    places: Any = arange_(0, 1, prod(base.shape), int64)
    places = reshape(places, tuple(base.shape))
    for op, attrs in chain:
        places = op.value((places,), attrs)
    flat = index_put((reshape(base, (-1,)), part, places), (0,), False)
    return reshape(flat, tuple(base.shape))
