"""What in-place edits do to the tape: the history of a tensor, of its base, and of its other views.

A base (a tensor that is no view) holds its own history. A view remembers at which version of the
memory its history was made; once somebody has written to that memory, its history is made anew,
from its base's. Writing through a view makes a `CopySlices` the history of the base.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from tidu.autograd.op_node import record
from tidu.autograd.slices import CopySlices
from tidu.autograd.tape import Edge, GradFn, ends_of
from tidu.base.source import at, here
from tidu.base.state import state
from tidu.ir.op import Op, Spec
from tidu.ops.moving.movement import inverse_order, reshape

if TYPE_CHECKING:
    from tidu.tensor.tensor import Tensor

Chain = tuple[tuple[Op, tuple[Any, ...]], ...]

# How a view was made, where that forbids to write through it while the tape is on.
NO_GRAD = "no_grad"
INFERENCE = "inference"
SEVERAL = "several"
CUSTOM = "custom"
# The operations whose results are several views of one tensor, by their names on the tape.
SEVERAL_VIEWS = frozenset({"SplitBackward0", "SplitWithSizesBackward0", "UnbindBackward0"})

_REMEDIES = {
    NO_GRAD: " Whether the edit belongs on the tape is ambiguous, so it is forbidden. Make the "
    "view and edit it both inside torch.no_grad() (then the edit is not tracked) or both outside.",
    SEVERAL: " This view is the output of a function that returns multiple views. Such functions "
    "do not allow the output views to be modified inplace. Replace the inplace operation by an "
    "out-of-place one, or index the tensor instead (x[i]).",
    CUSTOM: " This view was created inside a custom Function (or because an input was returned "
    "as-is), and editing it would bypass the backward of that Function. Return a clone() instead.",
}
_REMEDIES[INFERENCE] = _REMEDIES[NO_GRAD].replace("no_grad", "inference_mode")


class DeadEnd(GradFn):
    """Where gradients end at a view that was made under no_grad, of a tensor that requires one."""

    def backward(self, cotangents: list[Any], create_graph: bool) -> Sequence[Any]:
        return ()


def dead_end(view: Tensor) -> DeadEnd:
    value = view._value
    return DeadEnd(value.shape, value.dtype, (), value.position)


def follow(view: Tensor) -> None:
    """The memory of `view` was written to: make its history anew, from that of its base."""
    base = view._base
    assert base is not None
    if base._storage is not view._storage or not (view._grad_fn or base.requires_grad):
        view._tracked = view._edits.edits
        return
    if view._creation:
        forbid(view, "its base or another view of its base has been modified inplace")
    view._tracked = view._edits.edits
    edge = base._edge()
    if edge is not None:
        value = base._value
        for op, attrs in path(base, view):
            out = op.value((value,), attrs)
            node = record(
                op, (value,), attrs, out, *ends_of((edge,)), "AsStridedBackward0", state.own
            )
            edge = (node, 0)
            value = out
    view._set_history(edge)


def path(base: Tensor, view: Tensor) -> Chain:
    """The movements that lead from what `base` shows to what `view` shows."""
    ours, theirs = view._chain or (), base._chain or ()
    if ours[: len(theirs)] == theirs:
        return ours[len(theirs) :]
    # The base was reshaped in place (`t_()`, ...) after the view was made: undo that.
    common = sum(
        1 for _ in takewhile(lambda both: both[0] == both[1], zip(ours, theirs, strict=False))
    )
    shape = base._storage.value.shape
    back: list[tuple[Op, tuple[Any, ...]]] = []
    for number, (op, attrs) in enumerate(theirs):
        if number >= common:
            undo = (reshape, (shape,)) if op is reshape else (op, (inverse_order(*attrs),))
            back.insert(0, undo)
        shape = op.infer(op, (Spec(shape, base.dtype),), attrs)[1]
    return (*back, *ours[common:])


def check_in_place(tensor: Tensor) -> None:
    """Raise RuntimeError where the tape would have to record an edit of `tensor` and cannot."""
    base = tensor._base
    if base is not None:
        if tensor._creation:
            forbid(tensor, "is being modified inplace")
        if base.is_leaf and tensor.requires_grad:
            raise RuntimeError(
                "a view of a leaf Variable that requires grad is being used in an in-place "
                f"operation. Write `with torch.no_grad():` around the update.{at(here())}"
            )
    if tensor._leaf_requires_grad and tensor.is_leaf:
        raise RuntimeError(
            "a leaf Variable that requires grad is being used in an in-place operation. To change "
            "a parameter, write `with torch.no_grad():` around the update; to compute with it, "
            f"use the out-of-place operation.{at(here())}"
        )


def forbid(view: Tensor, what: str) -> None:
    node = view._grad_fn
    if node is not None:
        name = node.name().removesuffix("0").removesuffix("Backward")
        who = f"Output {view._output} of {name} is a view and {what}."
    else:
        mode = "inference" if view._creation == INFERENCE else "no_grad"
        who = f"A view was created in {mode} mode and {what} with grad mode enabled."
    raise RuntimeError(f"{who}{_REMEDIES[view._creation]}{at(here())}")


def rewrite(tensor: Tensor, edge: Edge | None) -> None:
    """From now on `tensor`, which may be one part of its base, holds what `edge` made."""
    base = tensor._base
    if base is None:
        tensor._set_history(edge)
        return
    base_edge = base._edge()
    if edge is None and base_edge is None:
        return
    whole = base._value
    node = CopySlices(whole.shape, whole.dtype, (base_edge, edge), here())
    node.chain = path(base, tensor)
    base._set_history((node, 0))


def rewrite_checked(tensor: Tensor, edge: Edge) -> None:
    """`rewrite`, for somebody else's edit of `tensor`."""
    check_in_place(tensor)
    rewrite(tensor, edge)


def adopt(tensor: Tensor, edge: Edge, several: bool) -> None:
    """Make `tensor`, which has no history yet, a result of a custom Function."""
    tensor._grad_fn, tensor._output = edge
    if tensor._base is not None:
        tensor._tracked = tensor._edits.edits
        tensor._creation = SEVERAL if several else CUSTOM
