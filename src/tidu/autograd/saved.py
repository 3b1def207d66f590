"""What a node keeps for its derivative, where hooks have put that away: `saved_tensors_hooks`."""

from __future__ import annotations

from typing import Any

from tidu.autograd.tape import AccumulateGrad, Edge, Tape
from tidu.base.state import state
from tidu.ir.value import Value


class PackedTuple(tuple[Any, ...]):
    """What a node saved, where entries may be `Packed`."""


class Packed:
    """A saved Value that saved-tensor hooks have put away; `unpack()` brings it back."""

    __slots__ = ("bring_back", "kept")

    def __init__(self, value: Value, edge: Edge | None) -> None:
        put_away, self.bring_back = state.own.saved_hooks[-1]
        hooks, state.own.saved_hooks = state.own.saved_hooks, ()
        try:
            self.kept = put_away(tensor_at(value, edge))
        finally:
            state.own.saved_hooks = hooks

    def unpack(self) -> Value:
        tensor = self.bring_back(self.kept)
        if not isinstance(tensor, Tape.tensor):
            raise TypeError(
                "Output of saved tensor unpack_hook expected to be a Tensor but got result of "
                f"type {type(tensor)}"
            )
        return Tape.value_of(tensor)


def tensor_at(value: Value, edge: Edge | None) -> Any:
    """A Tensor for a saved Value: the leaf itself where it still holds that, else one at `edge`."""
    if edge is not None and isinstance(edge[0], AccumulateGrad):
        leaf = edge[0].variable
        if leaf is not None and Tape.value_of(leaf) is value:
            return leaf
    return Tape.wrap(value, edge)
