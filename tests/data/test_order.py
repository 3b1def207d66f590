"""The same seed gives the batches of PyTorch in its order, and draws as many random numbers."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from tests.data.plain import plain

import tidu
import tidu.data

torch = pytest.importorskip("torch")
torch_data = pytest.importorskip("torch.utils.data")

LIBRARIES = ((torch, torch_data), (tidu, tidu.data))
FEATURES = np.arange(46, dtype=np.float32).reshape(23, 2)
LABELS = np.arange(23)


def rows(library: Any, data: Any) -> Any:
    return data.TensorDataset(library.from_numpy(FEATURES), library.from_numpy(LABELS))


def seeded(library: Any, seed: int) -> Any:
    generator = library.Generator()
    generator.manual_seed(seed)
    return generator


LOADERS = {
    "in order": lambda L, D: dict(batch_size=4),
    "one by one": lambda L, D: dict(),
    "unbatched": lambda L, D: dict(batch_size=None),
    "shuffled": lambda L, D: dict(batch_size=4, shuffle=True),
    "drop_last": lambda L, D: dict(batch_size=4, shuffle=True, drop_last=True),
    "generator": lambda L, D: dict(batch_size=5, shuffle=True, generator=seeded(L, 5)),
    "sampler": lambda L, D: dict(batch_size=3, sampler=D.SubsetRandomSampler([3, 1, 4, 1, 5])),
    "replacement": lambda L, D: dict(
        batch_size=7, sampler=D.RandomSampler(range(23), replacement=True, num_samples=70)
    ),
    "several rounds": lambda L, D: dict(
        batch_size=8, sampler=D.RandomSampler(range(23), num_samples=50)
    ),
    "weighted": lambda L, D: dict(
        batch_size=6, sampler=D.WeightedRandomSampler(list(range(1, 24)), 30, True)
    ),
    "weighted once": lambda L, D: dict(
        batch_size=6, sampler=D.WeightedRandomSampler(list(range(1, 24)), 20, False)
    ),
    "batch_sampler": lambda L, D: dict(
        batch_sampler=D.BatchSampler(D.RandomSampler(range(23)), 9, drop_last=False)
    ),
    "distributed": lambda L, D: dict(
        batch_size=4, sampler=D.DistributedSampler(range(23), num_replicas=3, rank=1, seed=2)
    ),
    "distributed, drop_last": lambda L, D: dict(
        batch_size=4, sampler=D.DistributedSampler(range(23), 5, 4, shuffle=False, drop_last=True)
    ),
    # Draws its order already in __iter__, which PyTorch calls twice with workers.
    "eager sampler": lambda L, D: dict(batch_size=4, sampler=Eager(L)),
}


class Eager:
    def __init__(self, library: Any) -> None:
        self.library = library

    def __iter__(self) -> Any:
        return iter(self.library.randperm(23).tolist())

    def __len__(self) -> int:
        return 23


def passes(library: Any, data: Any, dataset: Any, options: dict[str, Any]) -> list[Any]:
    """The batches of two passes, and what the default generator gives afterwards."""
    library.manual_seed(7)
    loader = data.DataLoader(dataset, **options)
    batches = [plain(batch) for _ in range(2) for batch in loader]
    return [batches, len(loader), plain(library.rand(3))]


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize(
    "workers",
    [
        {},
        {"num_workers": 2},
        {"num_workers": 1, "persistent_workers": True, "prefetch_factor": 3},
    ],
    ids=["serial", "two workers", "persistent"],
)
def test_batches_are_those_of_pytorch(name: str, workers: dict[str, Any]) -> None:
    expected, found = (
        passes(L, D, rows(L, D), {**LOADERS[name](L, D), **workers}) for L, D in LIBRARIES
    )
    assert found == expected


class Stream:
    """Mixed into the IterableDataset of each library: 10 numbers, or the share of a worker."""

    data: Any
    split = True

    def __iter__(self) -> Any:
        info = self.data.get_worker_info()
        share = slice(info.id, None, info.num_workers) if info and self.split else slice(None)
        return iter(range(10)[share])


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("batch_size", [None, 1, 2, 3])
@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_streams_are_those_of_pytorch(
    num_workers: int, batch_size: int | None, split: bool, drop_last: bool
) -> None:
    if drop_last and batch_size is None:
        pytest.skip("excluded by DataLoader")
    results = []
    for _, data in LIBRARIES:
        kind = type("Numbers", (Stream, data.IterableDataset), {"data": data, "split": split})
        loader = data.DataLoader(
            kind(), batch_size=batch_size, drop_last=drop_last, num_workers=num_workers
        )
        results.append([plain(batch) for batch in loader])
    assert results[1] == results[0]


@pytest.mark.parametrize("lengths", [[20, 3], [0.5, 0.5], [0.61, 0.2, 0.19], [23], [0, 23]])
def test_random_split_is_that_of_pytorch(lengths: list[Any]) -> None:
    results = []
    for library, data in LIBRARIES:
        library.manual_seed(1)
        parts = data.random_split(range(23), lengths)
        parts += data.random_split(range(23), lengths, generator=seeded(library, 3))
        results.append([list(part) for part in parts])
    assert results[1] == results[0]


def test_random_numbers_in_workers_are_those_of_pytorch() -> None:
    results = []
    for library, data in LIBRARIES:

        class Draws(data.Dataset):
            def __len__(self) -> int:
                return 6

            def __getitem__(self, index: int, library: Any = library) -> Any:
                return library.rand(2), np.random.rand(), random.random()

        library.manual_seed(0)
        loader = data.DataLoader(Draws(), batch_size=2, num_workers=2)
        results.append([plain(batch) for batch in loader])
    assert results[1] == results[0]


@pytest.mark.parametrize(
    "batch_size,drop_last", [(n, drop) for n in (1, 4, 23, 50) for drop in (True, False)]
)
def test_lengths_are_those_of_pytorch(batch_size: int, drop_last: bool) -> None:
    lengths = [
        len(D.DataLoader(rows(L, D), batch_size=batch_size, drop_last=drop_last))
        for L, D in LIBRARIES
    ]
    assert lengths[1] == lengths[0]
