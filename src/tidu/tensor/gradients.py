"""The methods of a tensor that have to do with its gradient: asking for it, watching it come."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tidu.autograd.gradients import backward as run_backward
from tidu.autograd.hooks import Handle
from tidu.autograd.tape import Tape
from tidu.base.changes import changes
from tidu.base.source import at, here
from tidu.base.state import state

if TYPE_CHECKING:
    from tidu.tensor.tensor import Tensor


def requires_grad_(self: Tensor, requires_grad: bool = True) -> Tensor:
    """Ask for the gradient of this leaf; RuntimeError on integers and on results.

    >>> torch.ones(2).requires_grad_().requires_grad
    True
    """
    if not self.is_leaf:
        if not requires_grad:
            raise RuntimeError(not_a_leaf(self))
        return self
    if requires_grad and not self.dtype.is_floating_point:
        raise RuntimeError(
            "only Tensors of floating point dtype can require gradients, but this one is "
            f"{self.dtype}; write x.float() first{at(here())}"
        )
    if requires_grad and self._storage.inference and not state.own.inference:
        raise RuntimeError(
            "Setting requires_grad=True on inference tensor outside InferenceMode is not "
            f"allowed; clone() makes an ordinary tensor of it{at(here())}"
        )
    if requires_grad != self._leaf_requires_grad:
        changes.of(self)
    self._leaf_requires_grad = bool(requires_grad)
    return self


def retain_grad(self: Tensor) -> None:
    """Keep the gradient of this non-leaf tensor in `.grad` when the backward pass comes by."""
    if not self.requires_grad:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    node = self._grad_fn
    if node is not None:
        node.watch().retained[self._output] = weakref.ref(self)


def register_hook(self: Tensor, hook: Callable[[Tensor], Tensor | None]) -> Handle:
    """Call `hook` with the gradient of this tensor; what it returns replaces it.

    >>> w = torch.ones(2, requires_grad=True)
    >>> handle = w.register_hook(lambda g: 10 * g)
    >>> w.sum().backward()
    >>> w.grad
    tensor([10., 10.])
    """
    edge = self._edge()
    if edge is None:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    node, output = edge
    return Handle(node.watch().tensors.setdefault(output, OrderedDict()), hook)


def register_post_accumulate_grad_hook(self: Tensor, hook: Callable[[Tensor], None]) -> Handle:
    """Call `hook` with this leaf after a gradient was added to its `.grad`."""
    if not self.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    if not self.is_leaf:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    return Handle(self._leaf_node().post_hooks, hook)


def backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the gradient of this tensor to the `.grad` of every leaf that it was made of.

    gradient      the cotangent; may be left out for a tensor of one element (1 then)
    retain_graph  keep what the tape saved, for another pass; defaults to `create_graph`
    create_graph  put the backward pass itself on the tape, for higher derivatives
    inputs        only these tensors accumulate
    Raises RuntimeError without a graph, for a non-scalar without `gradient`, and on a second
    pass.

    >>> x = tensor(3.0, requires_grad=True)
    >>> (x * x).backward()
    >>> x.grad
    tensor(6.)
    """
    run_backward(self, gradient, retain_graph, create_graph, inputs=inputs)


def detach_(self: Tensor) -> Tensor:
    """Forget the history of this tensor itself; it becomes a leaf. RuntimeError on a view."""
    if self._base is not None and self._base is not self:
        raise RuntimeError(
            "Can't detach views in-place. Use detach() instead. If you are using "
            "DistributedDataParallel (DDP) for training, and gradient_as_bucket_view is set as "
            "True, gradients are views of DDP buckets, and hence detach_() cannot be called on "
            "these gradients."
        )
    if self._leaf_requires_grad:
        changes.of(self)
    self._grad_fn, self._output, self._leaf_requires_grad = None, 0, False
    return self


def check_gradient(tensor: Tensor, gradient: Any) -> None:
    """Raise an error if `gradient` cannot be the `.grad` of a tensor."""
    if not isinstance(gradient, Tape.tensor):
        raise TypeError(
            f"assigned grad expected to be a Tensor or None but got grad of type {type(gradient)}"
        )
    if gradient is tensor:
        raise RuntimeError("can't assign Variable as its own grad")
    if gradient._value.shape != tensor._value.shape:
        raise RuntimeError(
            f"attempting to assign a gradient of size '{list(gradient.shape)}' to a "
            f"tensor of size '{list(tensor.shape)}'. Please ensure that the gradient and "
            f"the tensor are the same size{at(here())}"
        )
    if gradient.dtype is not tensor.dtype:
        raise RuntimeError(
            f"attempting to assign a gradient with dtype '{gradient.dtype}' to a tensor "
            f"with dtype '{tensor.dtype}'; convert it with .to({tensor.dtype}){at(here())}"
        )


def not_a_leaf(t: Tensor) -> str:
    return (
        "you can only change requires_grad flags of leaf variables. If you want to use a computed "
        "variable in a subgraph that doesn't require differentiation use var_no_grad = "
        f"var.detach().{at(here())}"
    )
