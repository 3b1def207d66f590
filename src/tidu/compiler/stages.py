"""Stages of a kernel: how often its loops over what is reduced run, and what each time.

Softmax over a row needs the row's maximum before the sum of the exponentials, and that sum before
the quotients: three passes over the row, all with the row in cache. The stage of a root is the
number of reductions of its kernel that have to be complete before it.
"""

from __future__ import annotations

from tidu.compiler.costs import cost
from tidu.compiler.expressions import LOAD, Expression
from tidu.compiler.fuse import Kernel, Place, place_of, root_loads
from tidu.compiler.loops import Loops
from tidu.compiler.steps import Root

# So many instructions are repeated rather than stored and read again by a later pass.
_CHEAP = 6


class Stages:
    """In which pass over what is reduced each root of a kernel is computed."""

    def __init__(self, kernel: Kernel, loops: Loops) -> None:
        self.kernel = kernel
        self.inner = loops.inner
        self.roots = {place_of(root): root for root in kernel.roots}
        self._found: dict[int, int] = {}
        self._repeated: dict[Place, bool] = {}

    @property
    def last(self) -> int:
        return max((self.of(root) for root in self.kernel.roots), default=0)

    def of(self, root: Root) -> int:
        """How many reductions have to be complete before a root can be computed."""
        return self._stage(root.expression)

    def _stage(self, x: Expression) -> int:
        found = self._found.get(x.number)
        if found is None:
            found = max((self._stage(y) for y in x.inputs), default=0)
            root = self.roots.get(x.what[:2]) if x.kind == LOAD else None
            if root is not None and root.scatter is None and not root.after:
                found = self.of(root) + (root.reduction is not None)
            self._found[x.number] = found
        return found

    def is_kept(self, root: Root) -> bool:
        """Whether a root has one element for each iteration over what is kept."""
        return (
            bool(self.inner)
            and root.reduction is None
            and not any(root.store.strides[d] for d in self.inner)
        )

    def is_repeated(self, root: Root) -> bool:
        """Whether a later pass computes what a root stores rather than reading it."""
        place = place_of(root)
        found = self._repeated.get(place)
        if found is None:
            instructions = cost(root.expression, self.kernel.space).instructions
            found = self._repeated[place] = instructions <= _CHEAP
        return found

    def revisited(self) -> set[int]:
        """Buffers of roots that a later pass over what is reduced needs again, and that cost too
        much to compute twice.
        """
        found = set()
        for root in self.kernel.roots:
            for load in root_loads(root):
                other = self.roots.get(load.what[:2])
                if (
                    other is not None
                    and other.reduction is None
                    and not self.is_repeated(other)
                    and self.of(other) < self.of(root)
                ):
                    found.add(load.what[0])
        return found
