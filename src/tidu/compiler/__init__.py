"""From a graph of operations to native programs: see `pipeline.py` for the way through it."""

from tidu.compiler.statistics import stats

__all__ = ["stats"]
