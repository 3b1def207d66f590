"""Kernels that differ only in which buffers and arguments they use have one text, written once.

A model repeats its layers, and an optimizer its parameters: a third to a half of the kernels of a
program are like another one. To see that takes a tenth of the time of writing one down.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tidu.compiler.emit import Emitted, emit
from tidu.compiler.expressions import (
    ARGUMENT,
    COMPUTE,
    CONSTANT,
    GUARDED,
    LOAD,
    Expression,
    Expressions,
)
from tidu.compiler.fuse import Kernel
from tidu.compiler.loops import coalesced
from tidu.compiler.steps import Root


class Texts:
    """The texts of the kernels of one program."""

    def __init__(self, make: Expressions, vector_bytes: int) -> None:
        self._make = make
        self._vector_bytes = vector_bytes
        self._known: dict[Any, tuple[Emitted, list[Any]]] = {}

    def of(self, kernel: Kernel, stored: set[int]) -> Emitted:
        """The text of `kernel`, of which the buffers in `stored` have to be written, with the
        parameters of this one.
        """
        look = _Look()
        key = look.at(kernel, stored)
        known = self._known.get(key)
        if known is None:
            emitted = emit(kernel, self._make, stored, self._vector_bytes)
            self._known[key] = emitted, [*look.names]
            return emitted
        emitted, names = known
        own = dict(zip(names, look.names, strict=True))
        return replace(
            emitted,
            parameters=[own[p] if p.__class__ is tuple else p for p in emitted.parameters],
            stored={own["slot", number][1] for number in emitted.stored},
            kernel=coalesced(kernel, self._make),
        )


class _Look:
    """What a kernel looks like when its buffers and arguments are numbered as they come."""

    def __init__(self) -> None:
        # As parameters name them: ("slot", buffer) and ("argument", number).
        self.names: dict[tuple[str, int], int] = {}
        self._expressions: dict[int, int] = {}
        self._nodes: list[Any] = []

    def at(self, kernel: Kernel, stored: set[int]) -> Any:
        """All that the text depends on."""
        roots = tuple([self._root(root, stored) for root in kernel.roots])
        return kernel.space, kernel.reduced, roots, tuple(self._nodes)

    def _root(self, root: Root, stored: set[int]) -> Any:
        scatter = root.scatter
        return (
            self._name("slot", root.buffer.number), root.buffer.dtype, root.space,
            self._expression(root.expression), root.store, root.reduced, root.reduction, root.adds,
            None if scatter is None else (
                scatter.layout, scatter.indices, scatter.sequential,
                tuple([self._expression(place) for place in scatter.places]),
            ),
            tuple([self._name("slot", buffer.number) for buffer in root.after]),
            root.around, root.buffer.number in stored,
        )  # fmt: skip

    def _name(self, kind: str, number: int) -> int:
        return self.names.setdefault((kind, number), len(self.names))

    def _expression(self, x: Expression) -> int:
        found = self._expressions.get(x.number)
        if found is None:
            inputs = [self._expression(y) for y in x.inputs]
            self._nodes.append((x.kind, self._what(x), x.dtype, *inputs))
            found = self._expressions[x.number] = len(self._expressions)
        return found

    def _what(self, x: Expression) -> Any:
        what = x.what
        if x.kind == LOAD:
            return self._name("slot", what[0]), what[1:]
        if x.kind == ARGUMENT:
            return self._name("argument", what[0]), what[1:]
        # Equal is not the same among numbers: 0.0 and -0.0, 1 and True.
        if x.kind == CONSTANT:
            return repr(what)
        return (what, repr(what[1])) if x.kind in (COMPUTE, GUARDED) else what
