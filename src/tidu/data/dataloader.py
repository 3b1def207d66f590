"""DataLoader: batches of a dataset, in this process or from worker processes."""

from __future__ import annotations

import itertools
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tidu.base.deferred import DeferredModule
from tidu.base.source import located
from tidu.data.collate import default_collate, default_convert
from tidu.data.dataset import IterableDataset
from tidu.data.fetch import Recipe
from tidu.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    draw_seed,
)
from tidu.tensor import Generator

if TYPE_CHECKING:
    import multiprocessing
    from multiprocessing.context import BaseContext

    from tidu.data import parallel
else:
    multiprocessing = DeferredModule("multiprocessing")
    parallel = DeferredModule("tidu.data.parallel")

T_co = TypeVar("T_co", covariant=True)

_FIXED = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")


class DataLoader(Generic[T_co]):
    """Iterates over a dataset in batches; follows torch.utils.data.DataLoader.

    dataset          a Dataset, anything with `__getitem__` and `__len__`, or an IterableDataset
    batch_size       samples in a batch; None turns batching off
    shuffle          whether each pass has a new random order (a RandomSampler)
    sampler          yields indices, in place of `shuffle`; `batch_sampler` yields lists of them
    num_workers      processes that make the batches; 0 makes them here, when they are asked for
    collate_fn       makes a batch of a list of samples: `default_collate` unless given
    drop_last        leaves out the last batch if it is not complete
    timeout          the most seconds to wait for a batch from a worker; 0 waits for ever
    worker_init_fn   is called in each worker with its number, before it reads anything
    generator        draws the order and the seeds of workers; the default one unless given
    prefetch_factor  batches that each worker makes ahead, 2 unless given
    persistent_workers  keeps the workers from one pass to the next
    in_order         False gives batches of workers as they are done, not in the order of indices
    multiprocessing_context  how workers are started: "fork", "spawn", ... or a context object
    pin_memory       has no effect here: batches are always in memory that needs no copy

    Batches come in the order of their indices whatever the number of workers, and with the same
    seed in the order of PyTorch. An exception in a worker is raised here with its type, and the
    worker's traceback in its message. Raises ValueError for options that exclude each other.

    >>> for x, labels in DataLoader(dataset, batch_size=64, shuffle=True):
    ...     loss = train(x, labels)
    """

    __initialized = False

    @located
    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Sampler[Any] | Iterable[Any] | None = None,
        batch_sampler: Sampler[list[Any]] | Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: str | BaseContext | None = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = 2 if num_workers > 0 and prefetch_factor is None else prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.in_order = in_order
        self._is_stream = isinstance(dataset, IterableDataset)
        if self._is_stream:
            _check_stream(shuffle, sampler, batch_sampler)
        _check_order(batch_size, shuffle, sampler, batch_sampler, drop_last)
        if batch_sampler is not None:
            batch_size = None
        order = self._default_order(shuffle, generator) if sampler is None else sampler
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(order, batch_size, drop_last)
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = order
        self.batch_sampler = batch_sampler
        self.generator = generator
        if collate_fn is None:
            collate_fn = default_collate if self._auto_collation else default_convert
        self.collate_fn = collate_fn
        self.persistent_workers = persistent_workers
        self.__initialized = True
        # The length of a stream as it was told, to warn when more comes.
        self._told_length: int | None = None
        self._iterator: _ParallelIterator | None = None
        self.check_worker_number_rationality()

    def _default_order(self, shuffle: bool | None, generator: Generator | None) -> Any:
        if self._is_stream:
            return _Endless()
        if shuffle:
            return RandomSampler(self.dataset, generator=generator)
        return SequentialSampler(self.dataset)

    @property
    def multiprocessing_context(self) -> BaseContext | None:
        """How worker processes are started; None for the default of the system."""
        return self.__multiprocessing_context

    @multiprocessing_context.setter
    def multiprocessing_context(self, context: str | BaseContext | None) -> None:
        if context is not None:
            if self.num_workers == 0:
                raise ValueError(
                    "multiprocessing_context can only be used with multi-process loading "
                    f"(num_workers > 0), but got num_workers={self.num_workers}"
                )
            if isinstance(context, str):
                methods = multiprocessing.get_all_start_methods()
                if context not in methods:
                    raise ValueError(
                        "multiprocessing_context option should specify a valid start method in "
                        f"{methods!r}, but got multiprocessing_context={context!r}"
                    )
                context = multiprocessing.get_context(context)
            if not isinstance(context, multiprocessing.context.BaseContext):
                raise TypeError(
                    "multiprocessing_context option should be a valid context object or a string "
                    f"specifying the start method, but got multiprocessing_context={context}"
                )
        self.__multiprocessing_context = context

    def __setattr__(self, name: str, value: Any) -> None:
        if self.__initialized and name in _FIXED:
            raise ValueError(
                f"{name} attribute should not be set after {type(self).__name__} is initialized"
            )
        super().__setattr__(name, value)

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self) -> Any:
        return self.batch_sampler if self._auto_collation else self.sampler

    def _recipe(self) -> Recipe:
        return Recipe(self.dataset, self._auto_collation, self.collate_fn, self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        if self.num_workers == 0:
            return _SerialIterator(self)
        if not self.persistent_workers:
            return _ParallelIterator(self)
        if self._iterator is None or self._iterator.is_stopped:
            self._iterator = _ParallelIterator(self)
        else:
            self._iterator.restart(self)
        return self._iterator

    def __len__(self) -> int:
        if not self._is_stream:
            return len(self._index_sampler)
        length = self._told_length = len(self.dataset)
        if self.batch_size is None:
            return length
        if self.drop_last:
            return length // self.batch_size
        return math.ceil(length / self.batch_size)

    def check_worker_number_rationality(self) -> None:
        """Warn when there are to be more workers than CPUs for this process."""
        if self.num_workers == 0:
            return
        affinity = hasattr(os, "sched_getaffinity")
        available = len(os.sched_getaffinity(0)) if affinity else os.cpu_count()
        if available is not None and self.num_workers > available:
            warnings.warn(
                f"This DataLoader will create {self.num_workers} worker processes in total. Our "
                f"suggested max number of worker in current system is {available}, which is "
                "smaller than what this DataLoader is going to create. Please be aware that "
                "excessive worker creation might get DataLoader running slow or even freeze, lower "
                "the worker number to avoid potential slowness/freeze if necessary.",
                stacklevel=3,
            )


def _check_workers(
    num_workers: int, timeout: float, prefetch_factor: int | None, persistent_workers: bool
) -> None:
    if num_workers < 0:
        raise ValueError(
            "num_workers option should be non-negative; use num_workers=0 to disable "
            "multiprocessing."
        )
    if timeout < 0:
        raise ValueError("timeout option should be non-negative")
    if num_workers == 0 and prefetch_factor is not None:
        raise ValueError(
            "prefetch_factor option could only be specified in multiprocessing. Let "
            "num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to None."
        )
    if prefetch_factor is not None and prefetch_factor < 1:
        raise ValueError(f"prefetch_factor option should be positive, got {prefetch_factor}")
    if persistent_workers and num_workers == 0:
        raise ValueError("persistent_workers option needs num_workers > 0")


def _check_order(
    batch_size: int | None, shuffle: Any, sampler: Any, batch_sampler: Any, drop_last: bool
) -> None:
    """Each way to say what a batch is made of excludes the others."""
    if sampler is not None and shuffle:
        raise ValueError("sampler option is mutually exclusive with shuffle")
    if batch_sampler is not None:
        if batch_size != 1 or shuffle or sampler is not None or drop_last:
            raise ValueError(
                "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, "
                "and drop_last"
            )
    elif batch_size is None and drop_last:
        raise ValueError(
            "batch_size=None option disables auto-batching and is mutually exclusive with drop_last"
        )


class _Endless(Sampler[None]):
    """The indices of a stream: there are none, and the stream says when it ends."""

    def __iter__(self) -> Iterator[None]:
        return itertools.repeat(None)


def _check_stream(shuffle: bool | None, sampler: Any, batch_sampler: Any) -> None:
    """A stream has an order of its own: nothing may ask for another."""
    options = {"sampler": sampler, "batch_sampler": batch_sampler, "shuffle": shuffle or None}
    for name, value in options.items():
        if value is not None:
            raise ValueError(
                f"DataLoader with IterableDataset: expected unspecified {name} option, "
                f"but got {name}={value}"
            )


class _Iterator:
    """One pass over the data."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self._begin(loader)
        # Drawn in every case, so that the number of workers does not change what is drawn later.
        self._base_seed = draw_seed(loader.generator)

    def _begin(self, loader: DataLoader[Any]) -> None:
        self._index_sampler = loader._index_sampler
        self._indices = iter(self._index_sampler)
        self._dataset = loader.dataset
        self._told_length = loader._told_length if loader._is_stream else None
        self._num_workers = loader.num_workers
        self._yielded = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __len__(self) -> int:
        return len(self._index_sampler)

    def _next(self) -> Any:
        raise NotImplementedError

    def __next__(self) -> Any:
        batch = self._next()
        if self._told_length is not None:
            self._yielded += 1
            if self._yielded > self._told_length:
                self._warn_of_length()
        return batch

    def _warn_of_length(self) -> None:
        message = (
            f"Length of IterableDataset {self._dataset} was reported to be {self._told_length} "
            f"(when accessing len(dataloader)), but {self._yielded} samples have been fetched. "
        )
        if self._num_workers > 0:
            message += (
                "For multiprocessing data-loading, this could be caused by not properly "
                "configuring the IterableDataset replica at each worker: use get_worker_info() in "
                "__iter__ to give each worker its share."
            )
        warnings.warn(message, stacklevel=3)

    def __getstate__(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} cannot be pickled")


class _SerialIterator(_Iterator):
    """Makes each batch when it is asked for."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        super().__init__(loader)
        if loader.timeout != 0:
            raise AssertionError("a timeout needs num_workers > 0")
        self._fetch = loader._recipe().fetcher()

    def _next(self) -> Any:
        return self._fetch(next(self._indices))


class _ParallelIterator(_Iterator):
    """Hands indices to workers some batches ahead, and gives out their batches in order."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        super().__init__(loader)
        context: Any = loader.multiprocessing_context or _default_context()
        self._persistent = loader.persistent_workers
        self._pool = parallel.WorkerPool(
            loader._recipe(),
            loader.num_workers,
            self._base_seed,
            loader.worker_init_fn,
            context,
            loader.timeout,
            loader.in_order,
        )
        # As in PyTorch, the sampler is asked once more: some draw their order when they are asked.
        self._begin(loader)
        assert loader.prefetch_factor is not None
        self._ahead = loader.prefetch_factor * loader.num_workers
        self._pool.fill(self._indices, self._ahead)

    @property
    def is_stopped(self) -> bool:
        return self._pool.is_stopped

    def restart(self, loader: DataLoader[Any]) -> None:
        """Begin another pass with the same workers."""
        self._begin(loader)
        self._pool.restart()
        self._pool.fill(self._indices, self._ahead)

    def _next(self) -> Any:
        try:
            return self._pool.next_batch(self._indices)
        except StopIteration:
            if not self._persistent:
                self._pool.stop()
            raise


def _default_context() -> Any:
    """Unless chosen otherwise, forking on Linux: it is quick, and needs nothing to be picklable."""
    if sys.platform == "linux" and multiprocessing.get_start_method(allow_none=True) is None:
        return multiprocessing.get_context("fork")
    return multiprocessing
