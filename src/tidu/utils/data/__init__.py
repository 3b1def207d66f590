"""Datasets, samplers and the DataLoader under the name that PyTorch gives them: see `tidu.data`."""

from tidu.data import *
from tidu.data import __all__ as _names
from tidu.utils.data import _utils, dataloader, dataset, distributed, sampler

__all__ = [*_names, "_utils", "dataloader", "dataset", "distributed", "sampler"]
