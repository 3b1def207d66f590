"""Samplers: in which order the samples of a dataset are read, and how they make batches."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

import numpy as np

from tidu.base.dtypes import float64, int64
from tidu.base.source import located
from tidu.tensor import (
    Generator,
    Tensor,
    as_tensor,
    default_generator,
    multinomial,
    randint,
    randperm,
)

T_co = TypeVar("T_co", covariant=True)


class Sampler(Generic[T_co]):
    """Base class of samplers: a subclass defines `__iter__`, which yields indices or lists of them.

    With `__len__` too, the length of a DataLoader is known. Follows torch.utils.data.Sampler.

    >>> class Backwards(Sampler):
    ...     def __iter__(self): return iter(range(9, -1, -1))
    >>> [batch.tolist() for batch in DataLoader(range(10), batch_size=5, sampler=Backwards())]
    [[9, 8, 7, 6, 5], [4, 3, 2, 1, 0]]
    """

    def __init__(self, data_source: Any = None) -> None:
        pass

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} should implement __iter__.")


class SequentialSampler(Sampler[int]):
    """0, 1, 2, ... Follows torch.utils.data.SequentialSampler.

    >>> list(SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """All indices in random order, or `num_samples` of them.

    More than there are come in several rounds, or with `replacement` one by one. Without a
    `generator`, each pass draws the seed of a new one. Raises ValueError for a `num_samples` below
    1. Follows torch.utils.data.RandomSampler, and with the same seed gives the same order.

    >>> list(RandomSampler(range(4), generator=Generator().manual_seed(0)))
    [0, 1, 3, 2]
    """

    @located
    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator
        if not isinstance(replacement, bool):
            raise TypeError(
                f"replacement should be a boolean value, but got replacement={replacement}"
            )
        require_positive("num_samples", self.num_samples)

    @property
    def num_samples(self) -> int:
        """How many indices one pass yields: the length of the data unless given."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        size = len(self.data_source)
        generator = self.generator
        if generator is None:
            generator = Generator()
            generator.manual_seed(draw_seed(None))
        if self.replacement:
            # In chunks of 32, as PyTorch draws them.
            for count in [32] * (self.num_samples // 32) + [self.num_samples % 32]:
                yield from randint(size, (count,), generator=generator, dtype=int64).tolist()
            return
        for _ in range(self.num_samples // size):
            yield from randperm(size, generator=generator).tolist()
        # One more permutation is drawn even where none of it is needed, as PyTorch does.
        rest = self.num_samples % size
        yield from randperm(size, generator=generator).tolist()[:rest]

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """The given indices in random order. Follows torch.utils.data.SubsetRandomSampler.

    >>> sorted(SubsetRandomSampler([1, 3, 5]))
    [1, 3, 5]
    """

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        for position in randperm(len(self.indices), generator=self.generator).tolist():
            yield self.indices[position]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """`num_samples` indices drawn with probabilities proportional to `weights`.

    Raises ValueError for a `num_samples` below 1 and for weights that are not a vector. Follows
    torch.utils.data.WeightedRandomSampler.

    >>> sampler = WeightedRandomSampler([0.1, 0.9, 0.4], num_samples=5)
    """

    @located
    def __init__(
        self,
        weights: Sequence[float] | Tensor,
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        require_positive("num_samples", num_samples)
        require_bool("replacement", replacement)
        self.weights = as_tensor(weights, dtype=float64)
        if self.weights.ndim != 1:
            raise ValueError(
                "weights should be a 1d sequence but given weights have shape "
                f"{tuple(self.weights.shape)}"
            )
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        drawn = multinomial(
            self.weights, self.num_samples, self.replacement, generator=self.generator
        )
        yield from drawn.tolist()

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Lists of `batch_size` indices of another sampler.

    `drop_last` leaves out the last list if it is not complete. Raises ValueError for a `batch_size`
    below 1. Follows torch.utils.data.BatchSampler.

    >>> list(BatchSampler(range(5), batch_size=2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    @located
    def __init__(
        self, sampler: Sampler[int] | Iterable[int], batch_size: int, drop_last: bool
    ) -> None:
        require_positive("batch_size", batch_size)
        require_bool("drop_last", drop_last)
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        indices = iter(self.sampler)
        while batch := list(itertools.islice(indices, self.batch_size)):
            if self.drop_last and len(batch) < self.batch_size:
                return
            yield batch

    def __len__(self) -> int:
        size = len(self.sampler)  # type: ignore[arg-type]
        return size // self.batch_size if self.drop_last else -(-size // self.batch_size)


def draw_seed(generator: Generator | None) -> int:
    """A seed drawn from `generator`, or from the default one: a number below 2**63."""
    source = default_generator if generator is None else generator
    return int(source.random((), np.int64))


def require_positive(name: str, value: Any) -> None:
    """Raise ValueError unless `value` is a positive integer."""
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"{name} should be a positive integer value, but got {name}={value}")


def require_bool(name: str, value: Any) -> None:
    """Raise ValueError unless `value` is True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} should be a boolean value, but got {name}={value}")
