"""Datasets made of datasets, and what samplers and loaders refuse, as in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.data.plain import plain

import tidu
import tidu.data

torch = pytest.importorskip("torch")
torch_data = pytest.importorskip("torch.utils.data")

LIBRARIES = ((torch, torch_data), (tidu, tidu.data))


class WithItems(list):
    """A list that also gives several samples at once."""

    def __getitems__(self, indices: list[int]) -> list[Any]:
        return [self[index] for index in indices]


class Shrinking(list):
    def __getitems__(self, indices: list[int]) -> list[Any]:
        return [self[index] for index in indices[1:]]


class NotIterable:
    pass


def rows(library: Any, data: Any, dtype: Any = np.float32) -> Any:
    features = np.arange(20).reshape(10, 2).astype(dtype)
    return data.TensorDataset(library.from_numpy(features), library.arange(10))


def outcome(function: Callable[[Any, Any], Any], library: Any, data: Any) -> Any:
    """What a call gives, or the type of what it raises."""
    try:
        return plain(function(library, data))
    except Exception as error:
        return type(error)


def stream(data: Any, numbers: Any) -> Any:
    class Numbers(data.IterableDataset):
        def __iter__(self) -> Any:
            return iter(numbers)

        def __len__(self) -> int:
            return len(numbers)

    return Numbers()


def subclass_of_subset(data: Any) -> Any:
    class Doubled(data.Subset):
        def __getitem__(self, index: Any) -> Any:
            return super().__getitem__(index) * 2

    return Doubled


CASES: dict[str, Callable[[Any, Any], Any]] = {
    "tensor row": lambda L, D: rows(L, D)[3],
    "tensor rows": lambda L, D: rows(L, D)[2:5],
    "tensor, negative": lambda L, D: rows(L, D)[-1],
    "tensor, outside": lambda L, D: rows(L, D)[10],
    "tensor, length": lambda L, D: len(rows(L, D)),
    "tensor, sizes differ": lambda L, D: D.TensorDataset(L.zeros(2), L.zeros(3)),
    "concat": lambda L, D: list(D.ConcatDataset([[1, 2], [3], [4, 5]])),
    "concat, indices": lambda L, D: [
        D.ConcatDataset([[1, 2], [], [3]])[i] for i in (-3, -1, 0, 1, 2)
    ],
    "concat, outside": lambda L, D: D.ConcatDataset([[1, 2], [3]])[3],
    "concat, far below": lambda L, D: D.ConcatDataset([[1, 2], [3]])[-4],
    "concat, length": lambda L, D: len(D.ConcatDataset([[1, 2], [3]])),
    "concat, sizes": lambda L, D: D.ConcatDataset([[1, 2], [3]]).cumulative_sizes,
    "concat, none": lambda L, D: D.ConcatDataset([]),
    "concat, stream": lambda L, D: D.ConcatDataset([stream(D, [1])]),
    "added": lambda L, D: len(rows(L, D) + rows(L, D)),
    "added, sample": lambda L, D: (rows(L, D) + rows(L, D))[12],
    "chain": lambda L, D: list(stream(D, [1, 2]) + stream(D, [3])),
    "chain, length": lambda L, D: len(D.ChainDataset([stream(D, [1, 2]), stream(D, [3])])),
    "chain of maps": lambda L, D: list(D.ChainDataset([[1]])),
    "stack": lambda L, D: D.StackDataset([1, 2], [3, 4])[1],
    "stack, named": lambda L, D: D.StackDataset(a=[1, 2], b=[3, 4])[1],
    "stack, items": lambda L, D: D.StackDataset([1, 2], WithItems([3, 4])).__getitems__([1, 0]),
    "stack, named items": lambda L, D: D.StackDataset(a=[1, 2], b=WithItems([3, 4])).__getitems__(
        [1, 0]
    ),
    "stack, too few": lambda L, D: D.StackDataset([1, 2], Shrinking([3, 4])).__getitems__([0, 1]),
    "stack, sizes differ": lambda L, D: D.StackDataset([1, 2], [3]),
    "stack, both": lambda L, D: D.StackDataset([1, 2], b=[3, 4]),
    "stack, none": lambda L, D: D.StackDataset(),
    "subset": lambda L, D: [D.Subset([5, 6, 7], [2, 0])[i] for i in (0, 1, -1)],
    "subset of tensors": lambda L, D: D.Subset(rows(L, D), [4, 1])[[0, 1]],
    "subset, items": lambda L, D: D.Subset(WithItems([5, 6, 7]), [2, 0]).__getitems__([1, 0]),
    "subset, outside": lambda L, D: D.Subset([5, 6], [0])[1],
    "subset, half overridden": lambda L, D: subclass_of_subset(D)([5, 6], [0]),
    "split, wrong sum": lambda L, D: D.random_split(range(5), [1, 2]),
    "split, fractions": lambda L, D: [len(p) for p in D.random_split(range(11), [0.3, 0.3, 0.4])],
    "split, fraction above 1": lambda L, D: D.random_split(range(5), [1.5, -0.5]),
    "split, iterable": lambda L, D: D.random_split(NotIterable(), [1]),
    "dataset": lambda L, D: D.Dataset()[0],
    "stream without iter": lambda L, D: iter(D.IterableDataset()),
    "sampler": lambda L, D: iter(D.Sampler()),
    "random, no samples": lambda L, D: D.RandomSampler([], num_samples=0),
    "random, empty": lambda L, D: D.RandomSampler([]),
    "random, replacement": lambda L, D: D.RandomSampler([1], replacement=1),
    "weighted, 2d": lambda L, D: D.WeightedRandomSampler([[1.0]], 1),
    "weighted, none": lambda L, D: D.WeightedRandomSampler([1.0], 0),
    "weighted, replacement": lambda L, D: D.WeightedRandomSampler([1.0], 1, replacement=0),
    "batches": lambda L, D: list(D.BatchSampler(range(5), 2, True)),
    "batches of none": lambda L, D: list(D.BatchSampler([], 2, False)),
    "batches, size 0": lambda L, D: D.BatchSampler(range(5), 0, False),
    "batches, bool": lambda L, D: D.BatchSampler(range(5), True, False),
    "batches, drop_last": lambda L, D: D.BatchSampler(range(5), 2, 1),
    "distributed, rank": lambda L, D: D.DistributedSampler(range(5), 2, 2),
    "distributed, short": lambda L, D: list(D.DistributedSampler([1], 4, 3)),
    "distributed, epoch": lambda L, D: [
        (s := D.DistributedSampler(range(9), 2, 1)),
        s.set_epoch(3),
        list(s),
    ][2],
}


@pytest.mark.parametrize("name", CASES)
def test_datasets_and_samplers_are_those_of_pytorch(name: str) -> None:
    expected, found = (outcome(CASES[name], L, D) for L, D in LIBRARIES)
    assert found == expected


OPTIONS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "num_workers": lambda D: dict(num_workers=-1),
    "timeout": lambda D: dict(timeout=-1),
    "prefetch_factor": lambda D: dict(prefetch_factor=2),
    "negative prefetch_factor": lambda D: dict(prefetch_factor=-2, num_workers=1),
    "persistent_workers": lambda D: dict(persistent_workers=True),
    "shuffled sampler": lambda D: dict(sampler=[0, 1], shuffle=True),
    "batch_sampler and size": lambda D: dict(batch_sampler=[[0, 1]], batch_size=2),
    "batch_sampler, shuffled": lambda D: dict(batch_sampler=[[0, 1]], shuffle=True),
    "unbatched, drop_last": lambda D: dict(batch_size=None, drop_last=True),
    "batch_size 0": lambda D: dict(batch_size=0),
    "context without workers": lambda D: dict(multiprocessing_context="fork"),
    "unknown context": lambda D: dict(multiprocessing_context="thread", num_workers=1),
    "no context": lambda D: dict(multiprocessing_context=3, num_workers=1),
    "shuffled stream": lambda D: dict(dataset=stream(D, [1]), shuffle=True),
    "sampled stream": lambda D: dict(dataset=stream(D, [1]), sampler=[0]),
    "batch-sampled stream": lambda D: dict(dataset=stream(D, [1]), batch_sampler=[[0]]),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_loaders_refuse_what_pytorch_refuses(name: str) -> None:
    kinds = []
    for _, data in LIBRARIES:
        options = {"dataset": [1, 2, 3], **OPTIONS[name](data)}
        with pytest.raises((ValueError, TypeError)) as caught:
            data.DataLoader(**options)
        kinds.append(caught.type)
    assert kinds[1] is kinds[0]


@pytest.mark.parametrize("name", ["batch_size", "sampler", "drop_last", "dataset"])
def test_attributes_of_a_loader_are_fixed(name: str) -> None:
    loader = tidu.data.DataLoader([1, 2, 3])
    with pytest.raises(ValueError, match=f"{name} attribute should not be set after DataLoader"):
        setattr(loader, name, 1)
    loader.num_workers = 0


def test_a_stream_longer_than_told_is_reported() -> None:
    for _, data in LIBRARIES:
        dataset = stream(data, [1, 2, 3])
        type(dataset).__len__ = lambda self: 2
        loader = data.DataLoader(dataset)
        assert len(loader) == 2
        with pytest.warns(UserWarning, match="was reported to be 2"):
            assert len(list(loader)) == 3


def test_an_index_outside_the_rows_is_an_index_error() -> None:
    for library, data in LIBRARIES:
        loader = data.DataLoader(rows(library, data), batch_sampler=[[0, 9], [3, 10]])
        batches = iter(loader)
        next(batches)
        with pytest.raises(IndexError):
            next(batches)


def test_subclasses_of_row_datasets_keep_what_they_change() -> None:
    for library, data in LIBRARIES:

        class Negated(data.TensorDataset):
            def __getitem__(self, index: Any) -> Any:
                return tuple(-t for t in super().__getitem__(index))

        dataset = Negated(library.arange(6))
        (batch,) = next(iter(data.DataLoader(dataset, batch_size=3)))
        assert batch.tolist() == [0, -1, -2]
        (batch,) = next(iter(data.DataLoader(data.Subset(dataset, [5, 4]), batch_size=2)))
        assert batch.tolist() == [-5, -4]


def test_rows_of_tensors_that_require_grad_keep_their_history() -> None:
    x = tidu.ones(4, 2).requires_grad_()
    (batch,) = next(iter(tidu.data.DataLoader(tidu.data.TensorDataset(x), batch_size=3)))
    batch.sum().backward()
    assert x.grad.tolist() == [[1, 1], [1, 1], [1, 1], [0, 0]]


def test_batches_of_rows_are_copies() -> None:
    x = tidu.zeros(4, 2)
    (batch,) = next(iter(tidu.data.DataLoader(tidu.data.TensorDataset(x), batch_size=4)))
    batch += 1
    assert x.sum().item() == 0
    x += 2
    assert batch.sum().item() == 8


def test_a_nested_subset_of_rows() -> None:
    for library, data in LIBRARIES:
        inner = data.Subset(rows(library, data), [9, 8, 7, 6])
        loader = data.DataLoader(data.Subset(inner, np.array([3, -1, 0])), batch_size=2)
        assert [batch[1].tolist() for batch in loader] == [[6, 6], [9]]
