"""DistributedSampler: each of several processes reads its own share of a dataset."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from tidu.base.processes import world
from tidu.data.sampler import Sampler
from tidu.tensor import Generator, randperm


class DistributedSampler(Sampler[int]):
    """Every `num_replicas`-th index from `rank` on, so that the processes share the dataset.

    With `shuffle`, all processes draw the same order from `seed` plus the epoch, which
    `set_epoch` has to tell before each one. Shares are made equally long: by repeating samples, or
    with `drop_last` by leaving out some. What is not given is that of the world of processes.
    Raises ValueError for a rank outside the range, and without a world where it is needed. Follows
    torch.utils.data.DistributedSampler.

    >>> sampler = DistributedSampler(dataset, num_replicas=4, rank=0)
    >>> sampler.set_epoch(1)
    """

    def __init__(
        self,
        dataset: Any,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas is None:
            num_replicas = world().size()
        if rank is None:
            rank = world().rank()
        if rank >= num_replicas or rank < 0:
            raise ValueError(
                f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]"
            )
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        size = len(dataset)
        self.num_samples = size // num_replicas if drop_last else math.ceil(size / num_replicas)
        self.total_size = self.num_samples * num_replicas

    def __iter__(self) -> Iterator[int]:
        size = len(self.dataset)
        if self.shuffle:
            generator = Generator()
            generator.manual_seed(self.seed + self.epoch)
            indices = randperm(size, generator=generator).tolist()
        else:
            indices = list(range(size))
        if not self.drop_last and indices:
            repeats = math.ceil(self.total_size / size)
            indices = indices * repeats
        return iter(indices[self.rank : self.total_size : self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch begins, so that each one has an order of its own."""
        self.epoch = epoch
