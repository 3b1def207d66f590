"""compile(): steps that are recorded, and replayed without their Python code."""

from __future__ import annotations

from tidu.replay.compiled import compile

__all__ = ["compile"]
