"""Tensor: a view of a Storage, and its place on the tape."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter, methodcaller
from typing import TYPE_CHECKING, Any

import numpy as np

from tidu.autograd.slices import write_through
from tidu.autograd.tape import AccumulateGrad, Edge, GradFn, Tape
from tidu.base import dtypes
from tidu.base.changes import changes
from tidu.base.devices import CPU, device, layout, strided
from tidu.base.dtypes import dtype
from tidu.base.memory_formats import contiguous_format
from tidu.base.shapes import Size
from tidu.base.source import at, here, warn
from tidu.base.state import state
from tidu.base.strides import strides_like
from tidu.execute import buffer_of
from tidu.ir.value import Value, leaf
from tidu.ops.cast import cast
from tidu.ops.elementwise import add
from tidu.ops.rules import class_name
from tidu.tensor import gradients
from tidu.tensor.history import (
    Chain,
    adopt,
    check_in_place,
    dead_end,
    follow,
    rewrite,
    rewrite_checked,
)
from tidu.tensor.laying import lay, seen_through
from tidu.tensor.storage import Counter, InferenceStorage, Storage


class Tensor:
    """A view of a Storage with PyTorch's interface;
    most methods are bound from the registry of ops.

    The attributes below are defaults: an instance only stores what differs, which keeps making one
    cheap.
    """

    _storage: Storage
    # Movement ops from the storage's Value to what is seen; None: all of it.
    _chain: Chain | None = None
    _cached: Value | None = None  # what a view saw at `_seen` of its storage
    _seen: int = 0
    _base: Tensor | None = None  # the tensor whose history an in-place edit of this view changes
    _counter: Counter | None = None  # of `.data` and its views, where it is not the storage
    _tracked: int = 0  # the version of its storage for which a view's place on the tape was made
    _leaf_requires_grad: bool = False
    _grad: Tensor | None = None
    _grad_fn: GradFn | None = None
    _output: int = 0
    _accumulator: AccumulateGrad | None = None
    # How a view was made, where that forbids to write through it; see `tidu.tensor.history`.
    _creation: str = ""
    __array_priority__ = 1000  # NumPy leaves mixed operators to us
    __module__ = "tidu"  # where users find it: print(type(x)) shows <class 'tidu.Tensor'>

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
        def __add__(self, other: Any) -> Any: ...
        def __radd__(self, other: Any) -> Any: ...
        def __sub__(self, other: Any) -> Any: ...
        def __rsub__(self, other: Any) -> Any: ...
        def __mul__(self, other: Any) -> Any: ...
        def __rmul__(self, other: Any) -> Any: ...
        def __truediv__(self, other: Any) -> Any: ...
        def __rtruediv__(self, other: Any) -> Any: ...
        def __pow__(self, other: Any) -> Any: ...
        def __matmul__(self, other: Any) -> Any: ...
        def __neg__(self) -> Any: ...
        def __invert__(self) -> Any: ...
        def __lt__(self, other: Any) -> Any: ...
        def __le__(self, other: Any) -> Any: ...
        def __gt__(self, other: Any) -> Any: ...
        def __ge__(self, other: Any) -> Any: ...
        def __and__(self, other: Any) -> Any: ...
        def __or__(self, other: Any) -> Any: ...
        def __getitem__(self, key: Any) -> Any: ...
        def __setitem__(self, key: Any, value: Any) -> None: ...
        def zero_(self) -> Tensor: ...
        def fill_(self, value: Any) -> Tensor: ...
        def copy_(self, src: Any, non_blocking: bool = False) -> Tensor: ...

    @property
    def _value(self) -> Value:
        """The current Value: that of the storage, or what the view's chain makes of it."""
        storage = self._storage
        if self._chain is None:
            return storage.value
        if self._seen != storage.version or self._cached is None:
            value = storage.value
            for op, attrs in self._chain:
                value = op.value((value,), attrs)
            self._cached = value
            self._seen = storage.version
        return self._cached

    @property
    def shape(self) -> Size:
        """The size along each dimension: ``x.shape[0]``, ``x.shape == (2, 3)``.

        >>> torch.ones(2, 3).shape
        torch.Size([2, 3])
        """
        value = self._storage.value if self._chain is None else self._value
        return _new_tuple(Size, value.shape)

    @property
    def dtype(self) -> dtype:
        """The type of the elements.

        >>> torch.ones(2).dtype
        torch.float32
        """
        value = self._storage.value if self._chain is None else self._value
        return value.dtype

    @property
    def device(self) -> device:
        """Where the elements are: always the CPU.

        >>> torch.ones(2).device
        device(type='cpu')
        """
        return CPU

    @property
    def ndim(self) -> int:
        """The number of dimensions.

        >>> torch.ones(2, 3).ndim
        2
        """
        value = self._storage.value if self._chain is None else self._value
        return len(value.shape)

    @property
    def layout(self) -> layout:
        return strided

    def _lies_as(self, other: Tensor) -> bool:
        """Whether these are the same numbers of one memory."""
        same = self.shape == other.shape and self.dtype is other.dtype
        return same and self._strides() == other._strides()

    def _strides(self) -> tuple[tuple[int, ...], int]:
        """Strides and offset, in elements, that the chain of movements leaves behind."""
        storage = self._storage
        value = storage.value
        return seen_through(value.shape, value.dtype, storage.strides, self._chain or ())[1:]

    def stride(self, dim: int | None = None) -> Any:
        """How many elements to step for the next one along each dimension (or along `dim`)."""
        strides = self._strides()[0]
        return strides if dim is None else strides[dim]

    def storage_offset(self) -> int:
        """At which element of its memory it begins."""
        changes.asked("where in its memory a tensor begins")
        return self._strides()[1]

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """Whether the elements lie without gaps, in row-major order or in that of
        `memory_format`.
        """
        if memory_format is None:
            if self._chain is None and self._storage.strides is None:
                return True
            memory_format = contiguous_format
        described: bool = memory_format.describes(self._value.shape, self._strides()[0])
        return described

    def lay_as(self, source: Tensor | None) -> Tensor:
        """Lie in memory as a tensor of this shape does, None for row-major order; only for a result
        that nobody has seen yet.
        """
        if source is None or (source._chain is None and source._storage.strides is None):
            return lay(self, None)
        return lay(self, strides_like(source._value.shape, source._strides()[0]))

    def _edge(self) -> Edge | None:
        """Where the gradient of this tensor goes, or None where it needs none."""
        node = self._node()
        return None if node is None else (node, self._output)

    def _node(self) -> GradFn | None:
        """The node of which this tensor is result number `_output`, or None as for `_edge`."""
        base = self._base
        if base is not None:
            counter = self._counter
            # What `_edits` tells, without the call.
            if self._tracked != (self._storage if counter is None else counter).edits:
                follow(self)
        node = self._grad_fn
        if node is not None:
            return node
        if self._leaf_requires_grad:
            return self._leaf_node()
        if base is not None and base.requires_grad:
            return dead_end(self)
        return None

    def _leaf_node(self) -> AccumulateGrad:
        node = self._accumulator
        if node is None:
            value = self._value
            node = self._accumulator = AccumulateGrad(self, value.shape, value.dtype)
        return node

    def _set_history(self, edge: Edge | None) -> None:
        """Continue the tape at `edge`: retain_grad() moves along, hooks stay where they were."""
        retained = self.retains_grad
        if retained:
            assert self._grad_fn is not None
            del self._grad_fn.watch().retained[self._output]
        self._grad_fn, self._output = edge or (None, 0)
        if retained and self._grad_fn is not None:
            self.retain_grad()

    @property
    def requires_grad(self) -> bool:
        """Whether gradients are computed for this tensor: as a leaf that was asked for them, or
        because it was made of one. RuntimeError where it is set on a result.

        >>> w = torch.ones(2, requires_grad=True)
        >>> (2 * w).requires_grad
        True
        """
        if self._leaf_requires_grad or self._grad_fn is not None:
            return True
        # Asked for after the view was made, or the view was made under no_grad.
        return self._base is not None and self._base.requires_grad

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if not self.is_leaf:
            raise RuntimeError(gradients.not_a_leaf(self))
        self.requires_grad_(wanted)

    requires_grad_ = gradients.requires_grad_
    retain_grad = gradients.retain_grad
    register_hook = gradients.register_hook
    register_post_accumulate_grad_hook = gradients.register_post_accumulate_grad_hook
    backward = gradients.backward
    detach_ = gradients.detach_

    @property
    def grad_fn(self) -> GradFn | None:
        """The node of the tape that made this tensor; None for a leaf.

        >>> (2 * torch.ones(2, requires_grad=True)).grad_fn.name()
        'MulBackward0'
        """
        return None if self.is_leaf else self._grad_fn.shown()  # type: ignore[union-attr]

    @property
    def is_leaf(self) -> bool:
        """Whether no operation on the tape made this tensor; gradients end up in `grad` of leaves.

        >>> torch.ones(2, requires_grad=True).is_leaf
        True
        """
        if self._base is not None and self._tracked != self._edits.edits:
            follow(self)
        return self._grad_fn is None

    @property
    def output_nr(self) -> int:
        return self._output

    @property
    def grad(self) -> Tensor | None:
        """The accumulated gradient of a leaf, or of a tensor on which retain_grad() was called.

        >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> (w * w).sum().backward()
        >>> w.grad
        tensor([2., 4.])
        """
        if self._grad is None and self._grad_fn is not None and not self.retains_grad:
            warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its "
                ".grad attribute won't be populated during autograd.backward(). If you indeed want "
                "the .grad field to be populated for a non-leaf Tensor, use .retain_grad() on the "
                "non-leaf Tensor. If you access the non-leaf Tensor by mistake, make sure you "
                "access the leaf Tensor instead."
            )
        return self._grad

    @grad.setter
    def grad(self, gradient: Tensor | None) -> None:
        if gradient is not None:
            gradients.check_gradient(self, gradient)
        self._grad = gradient

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    @property
    def retains_grad(self) -> bool:
        node = self._grad_fn
        if node is None or node.watchers is None:
            return False
        kept = node.watchers.retained.get(self._output)
        return kept is not None and kept() is self

    def detach(self) -> Tensor:
        """The same memory without the history: gradients stop here.

        >>> w = torch.ones(2, requires_grad=True)
        >>> (w * 2).detach().requires_grad
        False
        """
        made = _new(Tensor)
        made._storage = self._storage
        if self._chain is not None:
            made._chain, made._cached, made._seen = self._chain, self._cached, self._seen
        return made

    @property
    def data(self) -> Tensor:
        """The same memory without history; editing it edits this tensor, unseen by the tape.

        >>> w = torch.ones(2, requires_grad=True)
        >>> w.data -= 0.5
        >>> w
        tensor([0.5000, 0.5000], requires_grad=True)
        """
        made = self.detach()
        made._counter = Counter()
        return made

    @data.setter
    def data(self, other: Tensor) -> None:
        if not isinstance(other, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(other).__name__}")
        if self.requires_grad and not other.dtype.is_floating_point:
            raise RuntimeError(
                "data set to a tensor that requires gradients must be floating point or complex "
                f"dtype, but got {other.dtype}{at(here())}"
            )
        if other._storage is self._storage and self._lies_as(other):
            return  # it is this memory already, perhaps as a view of this tensor
        changes.of(self)
        self._storage = other._storage
        self._chain, self._cached, self._seen = other._chain, other._cached, other._seen
        self._base = None
        if self._accumulator is not None:
            value = self._value
            self._accumulator.shape, self._accumulator.dtype = value.shape, value.dtype

    @property
    def _version(self) -> int:
        if self._storage.inference:
            raise RuntimeError("Inference tensors do not track version counter.")
        changes.asked("how often a tensor was written to")
        return self._edits.edits

    def _assign(self, result: Any) -> Tensor:
        """Make this tensor's memory hold `result`: what every in-place operation ends in."""
        tracked = result.__class__ is not Value
        if self._chain is not None:
            self._refuse_overlap()
        value: Value = result._value if tracked else result
        seen = self._value
        if value.shape != seen.shape:
            raise RuntimeError(
                f"output with shape {list(seen.shape)} doesn't match the broadcast shape "
                f"{list(value.shape)}: an in-place operation cannot change the shape of the tensor "
                f"it writes to{at(here())}"
            )
        if value.dtype is not seen.dtype:
            if not dtypes.can_cast(value.dtype, seen.dtype):
                raise RuntimeError(
                    f"result type {class_name(value.dtype)} can't be cast to the desired output "
                    f"type {class_name(seen.dtype)}: "
                    "an in-place operation keeps the dtype of the tensor it writes to; write "
                    f"x = x + y instead of x += y, or convert first{at(here())}"
                )
            result = cast(result, seen.dtype)
            value = result._value if tracked else result
        if self._storage.inference:
            self._check_inference()
        recording = state.own.grad_enabled
        edge = result._edge() if recording and tracked else None
        if edge is None and not (recording and self.requires_grad):
            self._write(value)
            return self
        check_in_place(self)
        rewrite(self, edge)
        self._write(value)
        if self._base is not None and self.retains_grad:
            follow(self)  # at once: what it was before is part of the new history, and not it
        return self

    def _check_inference(self) -> None:
        if self._storage.inference and not state.own.inference:
            raise RuntimeError(
                "Inplace update to inference tensor outside InferenceMode is not allowed. You can "
                f"make a clone() to get a normal tensor before doing inplace update.{at(here())}"
            )

    @property
    def _edits(self) -> Storage | Counter:
        return self._storage if self._counter is None else self._counter

    def _write(self, value: Value) -> None:
        storage = self._storage
        storage.version += 1
        if self._chain is None:
            storage.value = value
        else:
            storage.value = write_through(storage.value, self._chain, value)
            self._cached, self._seen = value, storage.version
        if self._counter is None:
            storage.edits += 1
        else:
            self._counter.edits += 1

    def _refuse_overlap(self) -> None:
        """An expanded tensor has several elements in one place: writing to it has no meaning."""
        if any(op.view is not None and op.view.write is None for op, _ in self._chain or ()):
            shape = self._value.shape
            if 0 not in shape and any(
                n > 1 and stride == 0 for n, stride in zip(shape, self._strides()[0], strict=True)
            ):
                raise RuntimeError(
                    "unsupported operation: more than one element of the written-to tensor refers "
                    "to a single memory location. Please clone() the tensor before performing the "
                    f"operation.{at(here())}"
                )

    def receive_grad(self, gradient: Tensor) -> None:
        """The first gradient, which belongs to this leaf alone: it lies in memory as the leaf."""
        self._grad = gradient.lay_as(self)

    def accumulate_(self, g: Value | int) -> None:
        """Add to a gradient or a count, in place and beside the tape."""
        self._write(add.value((self._value, g)))

    def _array(self) -> np.ndarray[Any, Any]:
        """The numbers as a NumPy array that belongs to the engine:
        not to be written or handed out.
        """
        array: np.ndarray[Any, Any]
        if self._chain is not None and changes.recorder is None:
            cached = self._cached
            if cached is not None and self._seen == self._storage.version:
                array = cached.buffer
                if array.__class__ is np.ndarray:
                    return array
            array = self._storage.value.buffer
            if array.__class__ is np.ndarray:
                # A view of numbers that are there is read as such, not run: which part of a tensor
                # somebody looks at, sample by sample, would be a new program every time.
                for op, attrs in self._chain:
                    assert op.numpy is not None
                    array = op.numpy(array, *attrs)
                return array
        array = buffer_of(self._value)
        return array

    __hash__ = object.__hash__


_new = object.__new__
_new_tuple = tuple.__new__


def from_value(value: Value) -> Tensor:
    """A Tensor over fresh memory that holds `value`, without history."""
    made = _new(Tensor)
    if state.own.inference:
        made._storage = InferenceStorage(value)
    else:
        made._storage = storage = Storage.__new__(Storage)
        storage.value = value
        storage.version = storage.edits = 0
    return made


def write_each(tensors: Sequence[Tensor], values: Sequence[Value]) -> None:
    """Make each tensor's memory hold its Value, which has its shape and dtype, beside the tape."""
    for tensor, value in zip(tensors, values, strict=True):
        if tensor._chain is None and tensor._counter is None:
            storage = tensor._storage  # what `_write` does, at a lower price
            storage.version += 1
            storage.edits += 1
            storage.value = value
        else:
            tensor._write(value)


def from_array(array: Any, d: dtype | None = None) -> Tensor:
    """A Tensor of a NumPy array that nobody else will write to."""
    return from_value(leaf(array, d or dtypes.from_numpy(array.dtype)))


def wrap(value: Value, edge: Edge | None) -> Tensor:
    """A Tensor of a Value, continuing the tape at `edge`."""
    made = from_value(value)
    if edge is None:
        return made
    if edge[0].__class__ is AccumulateGrad:  # what a leaf held when it was saved
        made._leaf_requires_grad, made._accumulator = True, edge[0]
    else:
        made._grad_fn, made._output = edge
    return made


Tape.tensor = Tensor
Tape.fresh = staticmethod(from_value)
Tape.wrap = staticmethod(wrap)
Tape.value_of = attrgetter("_value")
Tape.edge_of = methodcaller("_edge")
Tape.rewrite = staticmethod(rewrite_checked)
Tape.adopt = staticmethod(adopt)
