"""Datasets, samplers and the DataLoader, as in torch.utils.data.

From samples to batches: `dataset`, `sampler`, `collate`, `fetch`, `dataloader`. With worker
processes: `parallel` on this side, `worker` on the other, and `channel` between them.
"""

from tidu.base.deferred import on_demand
from tidu.data.collate import default_collate, default_convert
from tidu.data.dataloader import DataLoader
from tidu.data.dataset import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)
from tidu.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

__all__ = [
    "BatchSampler",
    "ChainDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "DistributedSampler",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "StackDataset",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "WorkerInfo",
    "default_collate",
    "default_convert",
    "get_worker_info",
    "random_split",
]

# Without worker processes nobody needs them.
__getattr__, __dir__ = on_demand(
    __name__, DistributedSampler="distributed", WorkerInfo="worker", get_worker_info="worker"
)
