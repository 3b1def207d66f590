"""Wrappers that spread a module over several devices or processes in PyTorch.

With one of each they call the module.
"""

from __future__ import annotations

from tidu.nn.parallel.data_parallel import DataParallel, data_parallel
from tidu.nn.parallel.distributed import DistributedDataParallel

__all__ = ["DataParallel", "DistributedDataParallel", "data_parallel"]
