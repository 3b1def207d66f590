"""Datasets: what a DataLoader reads, and datasets made of datasets."""

from __future__ import annotations

import bisect
import itertools
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from tidu.base.source import located
from tidu.tensor import Generator, Tensor, randperm

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """A map from an index to a sample: a subclass defines `__getitem__`, and mostly `__len__`.

    It may define `__getitems__(indices)` too, which returns a list of samples and is asked for a
    whole batch at a time. `a + b` is the concatenation of two. Follows torch.utils.data.Dataset.

    >>> class Squares(Dataset):
    ...     def __len__(self): return 10
    ...     def __getitem__(self, index): return index * index
    >>> Squares()[3]
    9
    """

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError(f"{type(self).__name__} should implement __getitem__.")

    def __add__(self, other: Dataset[Any]) -> ConcatDataset[Any]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co], Iterable[T_co]):
    """A stream of samples: a subclass defines `__iter__`, else TypeError when one is made.

    In a worker process, `get_worker_info()` says which share of the stream is meant; without that
    every worker gives all of it. Follows torch.utils.data.IterableDataset.

    >>> class Words(IterableDataset):
    ...     def __iter__(self): return iter("the quick brown fox".split())
    >>> next(iter(Words()))
    'the'
    """

    def __add__(self, other: Dataset[Any]) -> ChainDataset[Any]:  # type: ignore[override]
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Rows of tensors: sample i is `(tensors[0][i], tensors[1][i], ...)`.

    Raises AssertionError unless all have the same size in dimension 0. Follows
    torch.utils.data.TensorDataset.

    >>> x, label = TensorDataset(torch.randn(100, 4), torch.randint(0, 3, (100,)))[0]
    >>> x.shape
    torch.Size([4])
    """

    tensors: tuple[Tensor, ...]

    @located
    def __init__(self, *tensors: Tensor) -> None:
        sizes = [tensor.size(0) for tensor in tensors]
        if any(size != sizes[0] for size in sizes):
            raise AssertionError(f"Size mismatch between tensors: {sizes} in dimension 0")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return int(self.tensors[0].size(0))


class StackDataset(Dataset[Any]):
    """Several datasets side by side: sample i is the tuple, or the dict, of their samples i.

    Raises ValueError for datasets of different lengths, for none, and for both positional and
    named ones. Follows torch.utils.data.StackDataset.

    >>> StackDataset(number=[1, 2], text=["one", "two"])[1]
    {'number': 2, 'text': 'two'}
    """

    datasets: tuple[Any, ...] | dict[str, Any]

    @located
    def __init__(self, *args: Dataset[Any], **kwargs: Dataset[Any]) -> None:
        if args and kwargs:
            raise ValueError(
                "Supported either tuple-like (via args) or dict-like (via kwargs) input, but both "
                "were given."
            )
        self.datasets = args or kwargs
        if not self.datasets:
            raise ValueError("At least one dataset should be passed")
        lengths = [len(dataset) for dataset in args or kwargs.values()]  # type: ignore[arg-type]
        if any(length != lengths[0] for length in lengths):
            raise ValueError(f"Size mismatch between datasets: their lengths are {lengths}")
        self._length = lengths[0]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)

    def __getitems__(self, indices: list[Any]) -> list[Any]:
        if isinstance(self.datasets, dict):
            names = list(self.datasets)
            columns = [_column(dataset, indices) for dataset in self.datasets.values()]
            return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
        return list(zip(*(_column(dataset, indices) for dataset in self.datasets), strict=True))

    def __len__(self) -> int:
        return self._length


def _column(dataset: Any, indices: list[Any]) -> Sequence[Any]:
    items: Sequence[Any] = samples(dataset, indices)
    if len(items) != len(indices):
        raise ValueError(
            f"Nested dataset's output size mismatch. Expected {len(indices)}, got {len(items)}"
        )
    return items


def samples(dataset: Any, indices: Sequence[Any]) -> Any:
    """The samples at `indices`, all at once where the dataset has `__getitems__`."""
    at_once = getattr(dataset, "__getitems__", None)
    if callable(at_once):
        return at_once(indices)
    return [dataset[index] for index in indices]


class ConcatDataset(Dataset[T_co]):
    """Datasets one after the other. Negative indices count from the end.

    Raises AssertionError for none, and for an IterableDataset (see ChainDataset). Follows
    torch.utils.data.ConcatDataset.

    >>> list(ConcatDataset([[0, 1], [2]]))
    [0, 1, 2]
    """

    datasets: list[Dataset[T_co]]
    cumulative_sizes: list[int]

    @staticmethod
    def cumsum(sequence: Iterable[Any]) -> list[int]:
        """The lengths of the datasets, added up."""
        return list(itertools.accumulate(len(dataset) for dataset in sequence))

    @located
    def __init__(self, datasets: Iterable[Dataset[T_co]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("datasets should not be an empty iterable")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise AssertionError("ConcatDataset does not support IterableDataset")
        self.cumulative_sizes = self.cumsum(self.datasets)

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> T_co:
        if index < 0:
            if -index > len(self):
                raise ValueError(
                    "absolute value of index should not exceed dataset length: "
                    f"got {index} for {len(self)} samples"
                )
            index += len(self)
        number = bisect.bisect_right(self.cumulative_sizes, index)
        start = self.cumulative_sizes[number - 1] if number > 0 else 0
        return self.datasets[number][index - start]


class ChainDataset(IterableDataset[T_co]):
    """Iterable datasets one after the other. Follows torch.utils.data.ChainDataset.

    >>> class Words(IterableDataset):
    ...     def __init__(self, text): self.text = text
    ...     def __iter__(self): return iter(self.text.split())
    >>> list(ChainDataset([Words("the quick"), Words("brown fox")]))
    ['the', 'quick', 'brown', 'fox']
    """

    def __init__(self, datasets: Iterable[Dataset[T_co]]) -> None:
        self.datasets = datasets

    def _parts(self) -> Iterator[IterableDataset[T_co]]:
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise AssertionError(
                    f"ChainDataset only supports IterableDataset, but got {type(dataset).__name__}"
                )
            yield dataset

    def __iter__(self) -> Iterator[T_co]:
        for dataset in self._parts():
            yield from dataset

    def __len__(self) -> int:
        lengths: list[int] = [len(dataset) for dataset in self._parts()]  # type: ignore[arg-type]
        return sum(lengths)


class Subset(Dataset[T_co]):
    """The samples of a dataset at the given indices. Follows torch.utils.data.Subset.

    A subclass with a `__getitem__` of its own has to define `__getitems__` too, which DataLoader
    prefers: NotImplementedError otherwise.

    >>> list(Subset("abcdef", [4, 0]))
    ['e', 'a']
    """

    dataset: Dataset[T_co]
    indices: Sequence[int]

    @located
    def __init__(self, dataset: Dataset[T_co], indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices
        kind = type(self)
        if kind.__getitem__ is not Subset.__getitem__ and kind.__getitems__ is Subset.__getitems__:
            raise NotImplementedError(
                f"{kind.__name__} overrides __getitem__ but not __getitems__, which DataLoader "
                "uses. Define it as well:\n\n"
                "def __getitems__(self, indices):\n"
                "    return [self[index] for index in indices]"
            )

    def __getitem__(self, index: Any) -> T_co:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: Sequence[int]) -> list[T_co]:
        chosen: list[T_co] = samples(self.dataset, [self.indices[i] for i in indices])
        return chosen

    def __len__(self) -> int:
        return len(self.indices)


@located
def random_split(
    dataset: Dataset[T_co],
    lengths: Sequence[int | float],
    generator: Generator | None = None,
) -> list[Subset[T_co]]:
    """Split a dataset at random into parts of the given lengths, or of the given fractions of it.

    Fractions are rounded down, and what is left over goes to the first parts, one sample each.
    Raises ValueError unless the lengths add up to that of the dataset. Follows
    torch.utils.data.random_split, and with the same seed gives the same parts.

    >>> train, test = random_split(range(10), [0.8, 0.2], Generator().manual_seed(0))
    >>> len(train), len(test)
    (8, 2)
    """
    size = len(dataset)  # type: ignore[arg-type]
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        lengths = _lengths_of(lengths, size)
    if sum(lengths) != size:
        raise ValueError(
            "Sum of input lengths does not equal the length of the input dataset: "
            f"{list(lengths)} for {size} samples"
        )
    indices = randperm(size, generator=generator).tolist()
    ends = itertools.accumulate(lengths)
    return [
        Subset(dataset, indices[int(end - length) : int(end)])
        for end, length in zip(ends, lengths, strict=True)
    ]


def _lengths_of(fractions: Sequence[float], size: int) -> list[int]:
    for number, fraction in enumerate(fractions):
        if fraction < 0 or fraction > 1:
            raise ValueError(f"Fraction at index {number} is not between 0 and 1")
    lengths = [math.floor(size * fraction) for fraction in fractions]
    for number in range(size - sum(lengths)):
        lengths[number % len(lengths)] += 1
    for number, length in enumerate(lengths):
        if length == 0:
            warnings.warn(
                f"Length of split at index {number} is 0. This might result in an empty dataset.",
                stacklevel=3,
            )
    return lengths
