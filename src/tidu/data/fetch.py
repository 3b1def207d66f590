"""Fetchers: from indices to a batch, for both kinds of datasets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tidu.data.collate import collate_tensors, default_collate, default_collate_fn_map
from tidu.data.dataset import IterableDataset, Subset, TensorDataset, samples
from tidu.tensor import Tensor, from_array


@dataclass(frozen=True)
class Recipe:
    """All that is needed to make batches, in this process or in a worker."""

    dataset: Any
    batched: bool  # whether an index is a list of indices, and samples are collated
    collate_fn: Callable[[Any], Any]
    drop_last: bool

    def fetcher(self) -> Callable[[Any], Any]:
        """A function from an index, or a list of them, to a batch; StopIteration ends a stream."""
        if isinstance(self.dataset, IterableDataset):
            return StreamFetcher(self)
        if not self.batched:
            return self._fetch_one
        rows = rows_of(self.dataset) if self.collate_fn is default_collate else None
        return self._fetch_many if rows is None else RowFetcher(self, rows)

    def _fetch_one(self, index: Any) -> Any:
        try:
            return self.collate_fn(self.dataset[index])
        except StopIteration as error:
            raise self._stray() from error

    def _fetch_many(self, indices: Sequence[Any]) -> Any:
        try:
            return self.collate_fn(samples(self.dataset, indices))
        except StopIteration as error:
            raise self._stray() from error

    def _stray(self) -> RuntimeError:
        """What to raise instead of a StopIteration that would end the pass over the data unseen."""
        return RuntimeError(
            f"{type(self.dataset).__name__}.__getitem__ or collate_fn raised StopIteration: only "
            "an IterableDataset ends in that way"
        )


class StreamFetcher:
    """Takes samples from an iterable dataset, as many as there are indices."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._stream = iter(recipe.dataset)
        self._ended = False

    def __call__(self, indices: Any) -> Any:
        recipe = self._recipe
        if self._ended:
            raise StopIteration
        if not recipe.batched:
            return recipe.collate_fn(next(self._stream))
        batch = []
        for _ in indices:
            try:
                batch.append(next(self._stream))
            except StopIteration:
                self._ended = True
                break
        if not batch or (recipe.drop_last and len(batch) < len(indices)):
            raise StopIteration
        return recipe.collate_fn(batch)


class RowFetcher:
    """Takes the rows of a batch out of each tensor at once, where samples are rows of tensors.

    The batches are those that `default_collate` makes of the samples, without making the samples.
    """

    def __init__(self, recipe: Recipe, rows: tuple[TensorDataset, Any]) -> None:
        self._recipe = recipe
        self._tensors = rows[0].tensors
        self._positions = rows[1]
        self._size = len(rows[0])

    def __call__(self, indices: Sequence[Any]) -> Any:
        chosen = self._resolve(indices)
        if chosen is None or default_collate_fn_map.get(Tensor) is not collate_tensors:
            return self._recipe._fetch_many(indices)
        return [from_array(t._array()[chosen]) for t in self._tensors]

    def _resolve(self, indices: Sequence[Any]) -> Any:
        """The rows as an array, or None where it takes the sample-by-sample way to be right."""
        chosen = np.asarray(indices)
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu" or not chosen.size:
            return None
        if self._positions is not None:
            if chosen.min() < -len(self._positions) or chosen.max() >= len(self._positions):
                return None
            chosen = self._positions[chosen]
        if chosen.min() < -self._size or chosen.max() >= self._size:
            return None
        return chosen


def rows_of(dataset: Any) -> tuple[TensorDataset, Any] | None:
    """The tensors behind a dataset and the array of their rows it shows, or None for all of them.

    None altogether for a dataset that is not made of plain rows, or changes what its base does.
    """
    if isinstance(dataset, TensorDataset):
        plain = type(dataset).__getitem__ is TensorDataset.__getitem__
        if not plain or hasattr(dataset, "__getitems__") or not dataset.tensors:
            return None
        if any(type(t) is not Tensor or t.requires_grad for t in dataset.tensors):
            return None
        return dataset, None
    if not isinstance(dataset, Subset) or type(dataset).__getitems__ is not Subset.__getitems__:
        return None
    inner = rows_of(dataset.dataset)
    if inner is None:
        return None
    positions = np.asarray(dataset.indices)
    if positions.ndim != 1 or positions.dtype.kind not in "iu":
        return None
    if inner[1] is not None:
        if positions.size and not (
            -len(inner[1]) <= positions.min() and positions.max() < len(inner[1])
        ):
            return None
        positions = inner[1][positions]
    return inner[0], positions
