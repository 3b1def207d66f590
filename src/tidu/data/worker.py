"""What runs in a worker process of a DataLoader: receive indices, make batches, send them back."""

from __future__ import annotations

import multiprocessing
import pickle
import queue
import random
import signal
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any

import numpy as np

from tidu.data.channel import Channel, ClosedError, Message, close_inherited, pack
from tidu.data.collate import default_collate
from tidu.data.dataset import IterableDataset
from tidu.data.fetch import Recipe
from tidu.tensor import manual_seed


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """Which worker this is: its `id` below `num_workers`, its `seed`, and its dataset."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_worker_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """In a worker process of a DataLoader its WorkerInfo, elsewhere None.

    Follows torch.utils.data.get_worker_info.

    >>> def __iter__(self):
    ...     info = get_worker_info()
    ...     return iter(self.lines[info.id :: info.num_workers] if info else self.lines)
    """
    return _worker_info


# What is sent. To a worker: Fetch, or Restart for another pass over the data.


@dataclass(frozen=True, slots=True)
class Fetch:
    index: Any


@dataclass(frozen=True, slots=True)
class Restart:
    pass


# And back, one answer for each: Batch, Failure, StreamEnd (no Fetch is answered after that) and
# Restarted.


@dataclass(frozen=True, slots=True)
class Batch:
    data: Any


@dataclass(frozen=True, slots=True)
class StreamEnd:
    pass


@dataclass(frozen=True, slots=True)
class Restarted:
    pass


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception in a worker, to be raised in the process that reads the batches."""

    kind: type[Exception] | None  # None for a class that cannot be sent
    message: str

    @classmethod
    def of(cls, error: Exception, worker: int) -> Failure:
        text = "".join(traceback.format_exception(error))
        kind: type[Exception] | None = type(error)
        try:
            pickle.loads(pickle.dumps(kind))
        except Exception:
            kind = None
        return cls(
            kind,
            f"Caught {type(error).__name__} in DataLoader worker process {worker}.\n"
            f"Original {text}",
        )

    def exception(self) -> Exception:
        """The same kind of exception, with the traceback of the worker as its message."""
        if self.kind is None:
            return RuntimeError(self.message)
        try:
            return self.kind(_Verbatim(self.message) if self.kind is KeyError else self.message)
        except Exception:  # it takes other arguments than a message
            return RuntimeError(self.message)


class _Verbatim(str):
    """Shown as it is by KeyError, which shows the repr of its argument."""

    __slots__ = ()

    def __repr__(self) -> str:
        return self


@dataclass(frozen=True)
class Setup:
    """What a worker process is started with."""

    recipe: Recipe
    channel: Channel
    worker: int
    num_workers: int
    base_seed: int
    init_fn: Callable[[int], None] | None


def run_worker(setup: Setup) -> None:
    """The life of a worker process: until the channel is closed or the parent process has ended."""
    # Ctrl-C reaches the whole process group; the parent decides what it means. Its handlers for
    # other signals are not ours.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    close_inherited(setup.channel)
    seed = setup.base_seed + setup.worker
    random.seed(seed)
    manual_seed(seed)
    words = [setup.worker, setup.base_seed & 0xFFFFFFFF, setup.base_seed >> 32, 0]
    np.random.seed(np.random.SeedSequence(words).generate_state(4))
    global _worker_info
    _worker_info = WorkerInfo(setup.worker, setup.num_workers, seed, setup.recipe.dataset)

    outbox = Outbox(setup.channel)
    try:
        _serve(setup, outbox)
    except ClosedError:
        return
    outbox.finish()


def _serve(setup: Setup, outbox: Outbox) -> None:
    recipe = setup.recipe
    streaming = isinstance(recipe.dataset, IterableDataset)
    # What default_collate returns is fresh; what other functions return may be written to again
    # while it waits to be sent.
    copy = recipe.collate_fn is not default_collate
    fetch: Callable[[Any], Any] | None = None
    failure: Failure | None = None
    ended = False

    def answer(index: Any) -> Message:
        nonlocal failure, ended
        if failure is not None:
            first, failure = failure, None
            return pack(first)
        assert fetch is not None
        try:
            return pack(Batch(fetch(index)), copy)
        except StopIteration as error:
            if not streaming:
                return pack(Failure.of(error, setup.worker))
            ended = True
            return pack(StreamEnd())
        except Exception as error:
            return pack(Failure.of(error, setup.worker))

    try:
        if setup.init_fn is not None:
            setup.init_fn(setup.worker)
        fetch = recipe.fetcher()
    except Exception as error:
        failure = Failure.of(error, setup.worker)
        fetch = _fail

    while True:
        request = _next_request(setup.channel)
        if request is None:
            return
        if isinstance(request, Restart):
            outbox.put(pack(Restarted()))
            ended = False
            try:
                fetch = recipe.fetcher()
            except Exception as error:
                failure = Failure.of(error, setup.worker)
        elif not ended:
            outbox.put(answer(request.index))


def _fail(index: Any) -> Any:
    raise RuntimeError("this DataLoader worker failed when it was started")


def _next_request(channel: Channel) -> Any:
    """The next request; None once nobody waits for an answer."""
    parent = multiprocessing.parent_process()
    waiting: list[Any] = [channel] if parent is None else [channel, parent.sentinel]
    ready: list[Any] = wait(waiting)
    if channel not in ready or channel.other_end_closed():
        return None
    try:
        return channel.receive()
    except ClosedError:
        return None


class Outbox:
    """Sends answers from a thread of its own, so that the next batch is made meanwhile."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def put(self, message: Message) -> None:
        self._messages.put(message)

    def finish(self) -> None:
        """Wait until everything is sent, or nobody listens."""
        self._messages.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (message := self._messages.get()) is not None:
            try:
                self._channel.send(message)
            except ClosedError:
                return
