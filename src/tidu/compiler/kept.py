"""A plan as it is kept on disk."""

from __future__ import annotations

from dataclasses import dataclass

from tidu.compiler import plain
from tidu.compiler.program import Plan


@dataclass(slots=True)
class Kept:
    """A plan, and which of its kernels are in which module."""

    plan: Plan
    modules: dict[str, list[str]]  # by the key of the object code

    def text(self) -> str:
        """Raises NotPlainError for what has no text."""
        return plain.dumps(self)

    @classmethod
    def read(cls, text: bytes) -> Kept:
        kept = plain.loads(text)
        if not isinstance(kept, cls):
            raise ValueError("this is no plan")
        kept.plan.functions = {}  # the texts of kernels are not kept
        return kept
