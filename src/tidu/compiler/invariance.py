"""What a value of a kernel depends on: the loops inside of which it is known, and its lanes.

A value is computed in the outermost loop in which all that it depends on is known (loop-invariant
code motion), and once for all lanes where they share it.
"""

from __future__ import annotations

from tidu.compiler.access import KernelMemory
from tidu.compiler.expressions import GUARDED, IOTA, LOAD, Expression
from tidu.compiler.fuse import Kernel
from tidu.compiler.loops import Loops
from tidu.compiler.stages import Stages
from tidu.compiler.steps import Root


class KernelInvariance(KernelMemory):
    """Depth and variance of expressions, in the pass over what is reduced that is written now."""

    def __init__(self, kernel: Kernel, plan: Loops, stored: set[int], vector_bytes: int) -> None:
        super().__init__(kernel, plan, vector_bytes)
        self.stages = Stages(kernel, plan)
        self.stored = stored | self.stages.revisited()
        self.kept_depth = len(plan.outer)
        self.segment = 0  # the pass that is written now
        # By number of an expression, and the pass.
        self._depths: dict[tuple[int, int], int] = {}
        self._varying: dict[tuple[int, int], bool] = {}

    def own(self, x: Expression) -> Root | None:
        """The root of this kernel whose element of this iteration a load asks for."""
        root = self.stages.roots.get(x.what[:2])
        if root is None or root.scatter is not None or root.after:
            return None
        if root.reduction is None and not self.stages.is_kept(root):
            number = root.buffer.number
            passed = self.stages.of(root) < self.segment
            if passed and number in self.stored and not self.stages.is_repeated(root):
                return None  # it was stored in a pass before this one
        return root

    def depth(self, x: Expression) -> int:
        """The number of loops inside of which `x` is known."""
        key = (x.number, self.segment)
        found = self._depths.get(key)
        if found is not None:
            return found
        depth = 0
        if x.kind == LOAD:
            root = self.own(x)
            if root is None:
                depth = self.layout_depth(x.what[1])
            elif root.reduction is not None or self.stages.is_kept(root):
                depth = self.kept_depth
            else:
                depth = self.depth(root.expression)
        elif x.kind == IOTA:
            depth = self.layout_depth(x.what)
        elif x.kind == GUARDED:
            depth = max((self.layout_depth(g.layout) for g in x.what[0]), default=0)
        for y in x.inputs:
            depth = max(depth, self.depth(y))
        self._depths[key] = depth
        return depth

    def depth_with(self, x: Expression) -> int:
        """The number of loops inside of which `x` is known under the guards that hold now."""
        depth = self.depth(x)
        return max([depth, *(g.depth for g in self.guard)])

    def varies(self, x: Expression) -> bool:
        """Whether the lanes of `x` differ."""
        vector = self.plan.vector
        if vector is None or self.plan.lanes == 1:
            return False
        key = (x.number, self.segment)
        found = self._varying.get(key)
        if found is None:
            result = any(self.varies(y) for y in x.inputs)
            if x.kind == LOAD:
                root = self.own(x)
                if root is not None:
                    result = self._root_varies(root, vector)
                else:
                    result = result or bool(x.what[1].strides[vector])
            elif x.kind == IOTA:
                result = bool(x.what.strides[vector])
            elif x.kind == GUARDED:
                result = result or any(g.layout.strides[vector] for g in x.what[0])
            found = self._varying[key] = result
        return found

    def _root_varies(self, root: Root, vector: int) -> bool:
        if root.reduction is not None:
            return vector not in self.kernel.reduced
        if not self.stages.is_kept(root):
            return self.varies(root.expression)
        # It was computed once, so what counts is the pass in which that was done.
        segment, self.segment = self.segment, self.stages.of(root)
        found = self.varies(root.expression)
        self.segment = segment
        return found
