"""The `ctx` of custom functions: what `forward` keeps for `backward`."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from tidu.autograd.saved import Packed, tensor_at
from tidu.autograd.tape import Edge, GradFn, Tape, freed_message
from tidu.base.source import at, here
from tidu.base.state import state
from tidu.ir.value import Value

if TYPE_CHECKING:
    from tidu.autograd.function import FunctionNode


class Saved:
    """A tensor given to `save_for_backward`, as it was then, whatever is written to it later."""

    __slots__ = ("edge", "output", "reference", "value")

    def __init__(self, tensor: Any, edge: Edge | None, output: int | None) -> None:
        if tensor.is_inference():
            raise RuntimeError(
                "Inference tensors cannot be saved for backward. Make a clone() to get a normal "
                "tensor and save that."
            )
        self.value: Value | Packed = Tape.value_of(tensor)
        if state.own.saved_hooks:
            self.value = Packed(self.value, edge)
        self.edge = edge
        # Which result of the Function itself it is; an edge would make a cycle.
        self.output = output
        self.reference = weakref.ref(tensor)

    def unpack(self, node: GradFn) -> Any:
        """The tensor itself if it still is what it was, otherwise another one in its place."""
        value = self.value.unpack() if isinstance(self.value, Packed) else self.value
        edge = self.edge if self.output is None else (node, self.output)
        tensor = self.reference()
        if tensor is not None and Tape.value_of(tensor) is value and Tape.edge_of(tensor) == edge:
            return tensor
        return tensor_at(value, edge)


class FunctionCtx:
    """What `forward` and `backward` of a Function share; any attribute may be set on it as well."""

    to_save: tuple[Any, ...] = ()
    dirty_tensors: tuple[Any, ...] = ()
    non_differentiable: tuple[Any, ...] = ()
    saved_for_forward: tuple[Any, ...] = ()
    materialize_grads = True
    needs_input_grad: tuple[bool, ...] = ()
    _node: weakref.ref[FunctionNode]
    _saved: tuple[Saved | None, ...] = ()
    _freed = False

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors (or None) for `backward`, where they are `ctx.saved_tensors`.

        They come back as they are when `forward` ends: a later in-place edit does not reach what
        was saved.
        """
        for number, t in enumerate(tensors):
            if t is not None and not isinstance(t, Tape.tensor):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument {number} is of type "
                    f"{type(t).__name__}; keep other things as attributes of ctx{at(here())}"
                )
        self.to_save = tensors

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What `save_for_backward` was given. RuntimeError once the graph was freed."""
        node = self._node()
        if self._freed and node is not None:
            raise RuntimeError(freed_message(node))
        return tuple(None if s is None or node is None else s.unpack(node) for s in self._saved)

    def save_for_forward(self, *tensors: Any) -> None:
        """Keep tensors for `jvp`. There is no forward mode here, so nothing ever asks for them."""
        self.saved_for_forward = tensors

    def mark_dirty(self, *tensors: Any) -> None:
        """Say that `forward` wrote to these inputs; each must be returned."""
        self.dirty_tensors = tensors

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """Say that these results need no gradient; `backward` gets zeros for them."""
        self.non_differentiable = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether `backward` gets zeros (the default) or None for results without a gradient."""
        self.materialize_grads = value

    def name(self) -> str:
        node = self._node()
        return type(self).__name__ if node is None else node.name()

    def __repr__(self) -> str:
        return f"<torch.autograd.function.{self.name()} object at {hex(id(self))}>"
