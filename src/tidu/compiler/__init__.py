"""From a graph of operations to native programs: see `pipeline.py` for the way through it. The
switches of `torch.compiler` are here, too.
"""

from tidu.compiler.control import (
    cudagraph_mark_step_begin,
    disable,
    is_compiling,
    is_dynamo_compiling,
    is_exporting,
    list_backends,
    reset,
    set_stance,
)
from tidu.compiler.statistics import stats

__all__ = [
    "cudagraph_mark_step_begin",
    "disable",
    "is_compiling",
    "is_dynamo_compiling",
    "is_exporting",
    "list_backends",
    "reset",
    "set_stance",
    "stats",
]
