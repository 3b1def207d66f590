"""WorkerPool: the worker processes of one DataLoader, and which batch comes from which of them."""

from __future__ import annotations

import itertools
import os
import signal
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from multiprocessing.connection import wait
from typing import Any

from tidu.data.channel import Channel, ClosedError, channel_pair, pack
from tidu.data.fetch import Recipe
from tidu.data.worker import Failure, Fetch, Restart, Restarted, Setup, StreamEnd, run_worker
from tidu.tensor import realize

_GRACE = 5.0  # seconds for workers to finish what they are at before they are terminated


class WorkerPool:
    """Workers, each with a channel. They answer requests in order, so no answer needs a number.

    Raises RuntimeError when a worker dies, or does not answer within `timeout` seconds.
    """

    def __init__(
        self,
        recipe: Recipe,
        num_workers: int,
        base_seed: int,
        init_fn: Callable[[int], None] | None,
        context: Any,
        timeout: float,
        in_order: bool,
    ) -> None:
        self._timeout = timeout
        self._in_order = in_order
        self._channels: list[Channel] = []
        self._processes: list[Any] = []
        self._stop = weakref.finalize(self, _stop, os.getpid(), self._channels, self._processes)
        # A forked worker would inherit what is pending here, and run it when it runs its own.
        realize()
        for worker in range(num_workers):
            mine, other = channel_pair()
            self._channels.append(mine)
            setup = Setup(recipe, other, worker, num_workers, base_seed, init_fn)
            process = context.Process(target=run_worker, args=(setup,), daemon=True)
            try:
                process.start()
            except BaseException:
                self.stop()
                raise
            finally:
                other.close()
            self._processes.append(process)
        self._begin()

    def _begin(self) -> None:
        count = len(self._channels)
        self._turns = itertools.cycle(range(count))
        self._active = [True] * count
        self._waiting = [0] * count  # requests not answered yet, for each worker
        self._order: deque[int] = deque()  # the workers of the batches to come
        self._limit = 0

    @property
    def is_stopped(self) -> bool:
        return not self._stop.alive

    def stop(self) -> None:
        """End all workers, now or when the pool is no longer used."""
        self._stop()

    def fill(self, indices: Iterator[Any], count: int) -> None:
        """Hand out the first requests; as many are kept open from then on."""
        self._limit = count
        for _ in range(count):
            self._hand_out(indices)

    def restart(self) -> None:
        """Forget all open requests, and let the workers begin another pass."""
        for worker in range(len(self._channels)):
            self._send(worker, Restart())
        for worker in range(len(self._channels)):
            while not isinstance(self._receive(worker), Restarted):
                pass
        self._begin()

    def next_batch(self, indices: Iterator[Any]) -> Any:
        """The next batch; one more request goes out for it. Raises StopIteration after the last."""
        while self._order:
            worker = self._order[0] if self._in_order else self._first_ready()
            if not self._active[worker]:  # its stream ended before this request
                self._order.popleft()
                continue
            answer = self._receive(worker)
            self._order.remove(worker)  # its first request, the one that is answered
            self._waiting[worker] -= 1
            if isinstance(answer, StreamEnd):
                self._active[worker] = False
                self._hand_out(indices)
                continue
            self._hand_out(indices)
            if isinstance(answer, Failure):
                raise answer.exception()
            return answer.data
        raise StopIteration

    def _hand_out(self, indices: Iterator[Any]) -> None:
        """Give the next index to the worker whose turn it is."""
        try:
            index = next(indices)
        except StopIteration:
            return
        for worker in itertools.islice(self._turns, len(self._channels)):
            if self._active[worker] and (
                self._in_order or self._waiting[worker] < self._limit // sum(self._active)
            ):
                break
        else:
            return
        self._send(worker, Fetch(index))
        self._order.append(worker)
        self._waiting[worker] += 1

    def _first_ready(self) -> int:
        """The first worker, in the order of requests, that has answered or has ended."""
        workers = list(dict.fromkeys(self._order))
        for worker in workers:
            if not self._active[worker]:
                return worker
        ready = self._wait([self._channels[worker] for worker in workers])
        return next(worker for worker in workers if self._channels[worker] in ready)

    def _wait(self, channels: list[Any]) -> list[Any]:
        ready: list[Any] = wait(channels, self._timeout if self._timeout > 0 else None)
        if not ready:
            for process in self._processes:
                process.terminate()  # there has been enough waiting
            self.stop()
            raise RuntimeError(
                f"DataLoader timed out after {self._timeout} seconds: no worker had a batch ready. "
                "Give a longer timeout, or more workers, or make the samples faster"
            )
        return ready

    def _send(self, worker: int, request: Any) -> None:
        try:
            self._channels[worker].send(pack(request))
        except ClosedError:
            raise self._died(worker) from None
        except BaseException:
            self.stop()  # interrupted in the middle of a message
            raise

    def _receive(self, worker: int) -> Any:
        channel = self._channels[worker]
        try:
            if self._timeout > 0:
                self._wait([channel])
            return channel.receive()
        except ClosedError:
            raise self._died(worker) from None
        except BaseException:
            self.stop()
            raise

    def _died(self, worker: int) -> RuntimeError:
        process = self._processes[worker]
        process.join(1.0)
        code = process.exitcode
        self.stop()
        how = f"with exit code {code}"
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            how = f"killed by signal {name}"
            if name == "SIGKILL":
                how += " (the system does that when memory runs out)"
        return RuntimeError(
            f"DataLoader worker (pid(s) {process.pid}) exited unexpectedly, {how}. Its own "
            "messages, if any, are above; num_workers=0 runs the same code in this process"
        )


def _stop(owner: int, channels: list[Channel], processes: list[Any]) -> None:
    """Hang up, wait for the workers to end, and terminate those that do not."""
    if os.getpid() != owner:  # in a forked process, which these are not the children of
        return
    for channel in channels:
        channel.hang_up()
    deadline = time.monotonic() + _GRACE
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
    for process in processes:
        if process.is_alive():
            process.terminate()
            process.join(1.0)
        if process.is_alive():
            process.kill()
            process.join()
