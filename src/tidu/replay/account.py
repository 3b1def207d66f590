"""What a recorded call left behind, and the lines by which a replayed one leaves the same."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

from tidu.autograd.function import FunctionNode
from tidu.autograd.op_node import OpNode
from tidu.autograd.slices import CopySlices
from tidu.autograd.tape import AccumulateGrad, GradFn
from tidu.ir.value import Value
from tidu.nn import Module
from tidu.replay import memory
from tidu.replay.inputs import PLAIN, Inputs
from tidu.replay.places import Entry
from tidu.replay.recording import Names, Refusal
from tidu.replay.stages import Stages
from tidu.replay.surroundings import Surroundings
from tidu.tensor import Storage, Tensor

# Attributes of a result that are made anew, or remembered from one reading to the next.
_MADE_ANEW = {"_storage", "_chain", "_cached", "_seen", "_base", "_tracked", "_grad_fn", "_output"}
_COPIED = {"_leaf_requires_grad", "_creation"}


class Account:
    """Compares what there is after a call with what there was before it.

    `exchanged` are the ids of the entries of the surroundings that the call puts other tensors
    into.
    """

    def __init__(self, recorder: Any, around: Surroundings, result: Any) -> None:
        self._recorder = recorder
        self._inputs: Inputs = recorder.inputs
        self._memory: memory.Memory = recorder.memory
        self._names: Names = recorder.names
        self.around = around
        self._result = result
        self.exchanged: set[int] = set()
        self.stages = Stages(self._names)
        self._lines = self.stages.after
        self._written: dict[int, str] = {}  # new memory, by id, as text
        self._texts: dict[int, str] = {}  # new tensors, by id, as text
        self._held: list[Any] = []
        for tensor in tensors_of(result):
            # A view is made again from the memory it looks at: its numbers need not be computed.
            if tensor._chain is not None:
                tensor._cached = None

    def text(self) -> str:
        """Fill the stages with what leaves the same behind; give an expression for the result."""
        self._inputs.require_unchanged_arguments()
        slots = self._slots()
        found = memory.find()
        fresh_gradients = self._check_tensors(found.tensors)
        made = [weakref.ref(t) for t in found.tensors if self._memory.state_of(t) is None]
        self._write_memory(found.storages)
        del found
        self._recorder.tallies.go_on(self.stages)
        self._leave_gradients(fresh_gradients)
        self._require_no_gradients([owner for owner, _ in fresh_gradients])
        del fresh_gradients
        exchanges = [
            f"{self._inputs.place_text(entry.place)} = {self._structure(value)}"
            for entry, value in slots
        ]
        result = self._structure(self._result)
        self._lines += exchanges
        self._lines += self._recorder.schedule_lines()
        self._nothing_else_was_made(made)
        return result

    def _slots(self) -> list[tuple[Entry, Any]]:
        """The variables that hold other tensors now; everything else has to be as it was."""
        slots = []
        for entry, value in self.around.changes():
            before, after = list(tensors_of(entry.value)), list(tensors_of(value))
            if not before or len(before) != len(after) or not _is_tree(value):
                raise Refusal(f"it changes {entry.place.text}")
            self.exchanged.add(id(entry))
            slots.append((entry, value))
            self._accept(entry.value, self._inputs.place_text(entry.place))
        return slots

    def _accept(self, tree: Any, text: str) -> None:
        """Conditions on what stands in a variable when the call begins."""
        if isinstance(tree, Tensor):
            self._inputs.add_slot(tree, text)
            return
        if not _is_tree(tree):
            raise Refusal(f"it changes {text}")
        self._inputs.require(f"{text}.__class__ is {self._names.bind(type(tree))}")
        self._inputs.require(f"len({text}) == {len(tree)}")
        for place, part in enumerate(tree):
            self._accept(part, f"{text}[{place}]")

    def _check_tensors(self, tensors: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """What became of the attributes of tensors; returns those that have new gradients."""
        fresh = []
        for tensor in sorted(tensors, key=id):
            before = self._memory.state_of(tensor)
            if before is None:
                continue
            if (
                tensor._chain is not before.chain
                or tensor._leaf_requires_grad != before.requires_grad
                or id(tensor._grad_fn) != before.grad_fn
            ):
                raise Refusal("it changes a tensor, or its history, by an in-place operation")
            if before.storage() is not tensor._storage:
                self._rebind(tensor, before.storage())
            gradient = tensor._grad
            if gradient is (None if before.grad is None else before.grad()):
                if gradient is None and before.grad is not None:
                    self._lines.append(f"{self._inputs.tensor_text(tensor)}._grad = None")
                continue
            if gradient is None or self._memory.state_of(gradient) is not None:
                text = "None" if gradient is None else self._inputs.tensor_text(gradient)
                self._lines.append(f"{self._inputs.tensor_text(tensor)}._grad = {text}")
            else:
                fresh.append((tensor, gradient))
        return fresh

    def _rebind(self, tensor: Tensor, before: Storage | None) -> None:
        """`x.data = y`: the tensor has other memory."""
        if tensor._chain is not None or self._memory.had(tensor._storage):
            raise Refusal("it lets a tensor share the memory of another one")
        text = self._inputs.tensor_text(tensor)
        self._inputs.name_memory(before, f"{text}._storage")
        self._lines.append(f"{text}._storage = {self._fresh(tensor._storage)}._storage")
        self._written[id(tensor._storage)] = f"{text}._storage"

    def _write_memory(self, storages: list[Storage]) -> None:
        """Put new numbers into the memory that the call wrote to, all of it at once."""
        counted = self._recorder.tallies.storages()
        leaves = self._recorder.leaf_storages()
        written = [s for s in storages if self._memory.was_written(s) and id(s) not in counted]
        fixed = []
        quick: list[tuple[Storage, Any, str]] = []
        # In an order that is the same in every recording, as names are given on the way.
        for storage in sorted(written, key=lambda s: (self._order(s.value), id(s))):
            value = storage.value
            text, d = self._value_text(value), value.dtype
            target = self._inputs.storage_text(storage)
            if target.startswith(("args", "kwargs")):
                raise Refusal("it writes to an argument")
            if target.isidentifier():
                fixed.append(storage)
            # A Value may be exchanged inside if it has surely been run, and is no index.
            if target.isidentifier() and id(storage) in leaves and d.is_floating_point:
                quick.append((storage, d, text))
            else:
                self.stages.write(target, d, text)
        self._inputs.keep_apart(fixed)
        self._inputs.require_unshared(
            sorted(fixed + [s for s in storages if id(s) in counted], key=id)
        )
        if quick:
            self.stages.write_in_place(*zip(*quick, strict=True))
            self.stages.pairs = self._recorder.pairs([storage for storage, _, _ in quick])

    def _order(self, value: Value) -> tuple[int, int]:
        """Something to sort by that is the same in every recording."""
        made = self._recorder.made_of(value)
        return (-1, 0) if made is None else tuple(made)

    def _value_text(self, value: Value) -> str:
        """The numbers of a Value that was left behind."""
        text: str | None = self._recorder.text_of(value)
        if text is not None:
            return text
        storage = self._memory.source(value)
        if storage is not None:
            return self._inputs.leaf_text(storage)
        constant: str = self._recorder.constant(value)
        return constant

    def _leave_gradients(self, pairs: list[tuple[Tensor, Tensor]]) -> None:
        pairs.sort(key=lambda pair: self._order(pair[1]._storage.value))
        texts = []
        for owner, gradient in pairs:
            if (
                gradient._chain is not None
                or gradient._grad_fn is not None
                or type(gradient) is not Tensor
                or self._memory.had(gradient._storage)
                or id(gradient._storage) in self._written
            ):
                raise Refusal("a gradient that it leaves has a history, or shares memory")
            owner_text = self._inputs.tensor_text(owner)
            self._written[id(gradient._storage)] = f"{owner_text}._grad._storage"
            self._texts[id(gradient)] = f"{owner_text}._grad"
            texts.append(self._value_text(gradient._storage.value))
        if pairs:
            owners = [owner for owner, _ in pairs]
            self.stages.leave_gradients(
                owners,
                [self._inputs.tensor_text(owner) for owner in owners],
                [gradient.dtype for _, gradient in pairs],
                texts,
                free=not self._inputs.reads_gradients(owners),
            )

    def _require_no_gradients(self, owners: list[Tensor]) -> None:
        """A gradient that is there in a later call would be added to, or make a step of its own."""
        if self.around.reads_gradients:
            owners = owners + [*self.around.tensors.values()]
        for optimizer in self._recorder.optimizers.values():
            owners = owners + [p for group in optimizer.param_groups for p in group["params"]]
        known = {id(owner): owner for owner in owners}
        self._inputs.require_no_gradients([known[key] for key in sorted(known)])

    def _structure(self, x: Any) -> str:
        """An expression that makes a result like `x`."""
        if isinstance(x, Tensor):
            return self._tensor(x)
        if isinstance(x, PLAIN):
            return self._inputs.constant(x)
        if type(x) in (tuple, list):
            parts = "".join(f"{self._structure(part)}, " for part in x)
            return f"({parts})" if type(x) is tuple else f"[{parts}]"
        if type(x) is dict:
            entries = (f"{self._inputs.constant(k)}: {self._structure(v)}" for k, v in x.items())
            return f"{{{', '.join(entries)}}}"
        if isinstance(x, tuple):  # a named one
            parts = "".join(f"{self._structure(part)}, " for part in x)
            build = "" if hasattr(x, "_fields") else f"({parts})"
            return f"{self._names.bind(type(x))}({build or parts})"
        if isinstance(x, Module):
            return self._names.bind(x)
        raise Refusal(f"it returns a {type(x).__name__}")

    def _tensor(self, tensor: Tensor) -> str:
        """An expression for a tensor that was there, or the name of one that is made anew."""
        if self._memory.state_of(tensor) is not None:
            return self._inputs.tensor_text(tensor)
        known = self._texts.get(id(tensor))
        if known is not None:
            return known
        if type(tensor) is not Tensor or not set(vars(tensor)) <= _MADE_ANEW | _COPIED:
            raise Refusal("a tensor that it makes has attributes of its own")
        storage = tensor._storage
        base = None if tensor._base is None else self._tensor(tensor._base)
        name = f"r{len(self._texts)}"
        self._texts[id(tensor)] = name
        self._held.append(tensor)
        chained = tensor._chain is not None
        if not chained and id(storage) not in self._written and not self._memory.had(storage):
            self._lines.append(f"{name} = {self._fresh(storage)}")
            self._written[id(storage)] = f"{name}._storage"
        else:
            if not self._memory.had(storage) and id(storage) not in self._written:
                self._lines.append(f"m{name} = {self._fresh(storage)}")
                self._written[id(storage)] = f"m{name}._storage"
            self._lines.append(f"{name} = {self._look(tensor, base)}")
        state = {key: x for key, x in vars(tensor).items() if key in _COPIED}
        for key, x in state.items():
            self._lines.append(f"{name}.{key} = {x!r}")
        if tensor._grad_fn is not None:
            node = self._spent(tensor._grad_fn)
            self._lines.append(f"{name}._grad_fn = {node}")
            if tensor._output:
                self._lines.append(f"{name}._output = {tensor._output}")
        return name

    def _fresh(self, storage: Storage) -> str:
        if storage.inference:
            raise Refusal("it returns a tensor made in inference mode")
        d = self._names.bind(storage.value.dtype)
        return f"fresh({self._value_text(storage.value)}, {d}, {storage.strides})"

    def _look(self, tensor: Tensor, base: str | None) -> str:
        storage = tensor._storage
        text = self._written.get(id(storage)) or self._inputs.storage_text(storage)
        chain = tensor._chain
        bound = self._names.bind_alike(chain, chain)
        return f"look({text}, {bound}, {base})"

    def _spent(self, node: GradFn) -> str:
        """A node of the tape that has nothing left to give to a backward pass."""
        if waits(node):
            raise Refusal("its result still waits for a backward pass", quiet=True)
        return self._names.bind_alike(node, node.name())

    def _nothing_else_was_made(self, made: list[weakref.ref[Tensor]]) -> None:
        """Every tensor that is new has been accounted for, or is gone."""
        if self._unknown(made):
            gc.collect()
            if self._unknown(made):
                raise Refusal("it keeps a tensor in a place that is not followed")

    def _unknown(self, made: list[weakref.ref[Tensor]]) -> bool:
        tensors = (reference() for reference in made)
        return any(t is not None and id(t) not in self._texts for t in tensors)


def waits(node: GradFn) -> bool:
    """Whether a node of the tape, or one behind it, has something left for a backward pass."""
    stack, seen = [node], {id(node)}
    while stack:
        top = stack.pop()
        if not _is_spent(top):
            return True
        for edge in top.edges:
            if edge is not None and id(edge[0]) not in seen:
                seen.add(id(edge[0]))
                stack.append(edge[0])
    return False


def _is_spent(node: GradFn) -> bool:
    if isinstance(node, OpNode):
        return not any(x.__class__ is Value for x in node.saved or ())
    if isinstance(node, FunctionNode):
        return not node.saved_values()
    return isinstance(node, (AccumulateGrad, CopySlices))


def _is_tree(x: Any) -> bool:
    """Whether `x` is a tensor, or a tuple or list of such trees."""
    return isinstance(x, Tensor) or (type(x) in (tuple, list) and all(map(_is_tree, x)))


def tensors_of(x: Any) -> Iterator[Tensor]:
    if isinstance(x, Tensor):
        yield x
    elif isinstance(x, (tuple, list)):
        for part in x:
            yield from tensors_of(part)
    elif isinstance(x, dict):
        for part in x.values():
            yield from tensors_of(part)
