"""Worker processes: order, exceptions, deaths, and an end in every case."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tidu
from tidu.data import DataLoader, Dataset, IterableDataset, TensorDataset, get_worker_info

SOURCE = Path(__file__).parents[2] / "src"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="workers are forked here")


class Squares(Dataset):
    """Some indices are slow, so that batches are done out of order."""

    def __init__(self, size: int = 12, slow: tuple[int, ...] = (), seconds: float = 0.2) -> None:
        self.size, self.slow, self.seconds = size, slow, seconds

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> int:
        if index in self.slow:
            time.sleep(self.seconds)
        return index * index


class Raises(Dataset):
    def __init__(self, error: Any, at: int = 3) -> None:
        self.error, self.at = error, at

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> int:
        if index == self.at:
            raise self.error
        return index


class TwoArgumentsError(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(first, second)


class Pids(Dataset):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> int:
        return os.getpid()


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition: Any, seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return bool(condition())


def test_order_is_kept_when_batches_are_done_out_of_order() -> None:
    loader = DataLoader(Squares(slow=(0, 5)), batch_size=2, num_workers=2)
    found = [x for batch in loader for x in batch.tolist()]
    assert found == [i * i for i in range(12)]


def test_out_of_order_gives_what_is_done_first() -> None:
    loader = DataLoader(Squares(slow=(0,), seconds=1.0), num_workers=2, in_order=False)
    found = [batch.item() for batch in loader]
    assert sorted(found) == [i * i for i in range(12)]
    assert found[0] != 0


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_every_start_method(method: str) -> None:
    dataset = TensorDataset(tidu.arange(10), tidu.arange(10) * 2.5)
    loader = DataLoader(dataset, batch_size=4, num_workers=1, multiprocessing_context=method)
    found = [[t.tolist() for t in batch] for batch in loader]
    assert found[2] == [[8, 9], [20.0, 22.5]]


@pytest.mark.parametrize(
    "error", [ValueError("odd"), KeyError("key"), IndexError(3), OSError(2, "no")]
)
def test_exceptions_keep_their_type_and_show_the_traceback_of_the_worker(error: Exception) -> None:
    loader = iter(DataLoader(Raises(error), batch_size=2, num_workers=2))
    assert next(loader).tolist() == [0, 1]
    with pytest.raises(type(error)) as caught:
        next(loader)
    message = str(caught.value)
    assert f"Caught {type(error).__name__} in DataLoader worker process 1." in message
    assert "Original Traceback (most recent call last):\n" in message
    assert "in __getitem__\n    raise self.error" in message
    # The other batches are still to be had.
    assert [batch.tolist() for batch in loader] == [[4, 5], [6, 7]]


def test_exceptions_that_cannot_be_made_of_a_message_become_runtime_errors() -> None:
    loader = DataLoader(Raises(TwoArgumentsError("a", "b")), num_workers=1)
    with pytest.raises(
        RuntimeError, match="Caught TwoArgumentsError in DataLoader worker process 0"
    ):
        list(loader)


def test_exceptions_of_local_classes_become_runtime_errors() -> None:
    class LocalError(Exception):
        pass

    with pytest.raises(RuntimeError, match="Caught LocalError in DataLoader worker process 0"):
        list(DataLoader(Raises(LocalError("here")), num_workers=1))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_stray_stop_iteration_does_not_end_the_data(num_workers: int) -> None:
    loader = DataLoader(Raises(StopIteration()), num_workers=num_workers)
    with pytest.raises(RuntimeError, match="only an IterableDataset ends in that way"):
        list(loader)


def test_exceptions_while_a_stream_begins() -> None:
    class Broken(IterableDataset):
        def __iter__(self) -> Iterator[int]:
            raise ValueError("no such file")

    with pytest.raises(ValueError, match="no such file"):
        list(DataLoader(Broken(), num_workers=1))


def test_exceptions_of_worker_init_fn() -> None:
    def init(worker: int) -> None:
        raise ValueError(f"worker {worker} cannot begin")

    with pytest.raises(ValueError, match="worker 0 cannot begin"):
        list(DataLoader(Squares(), num_workers=1, worker_init_fn=init))


def test_batches_that_cannot_be_sent_are_reported() -> None:
    x = tidu.ones(2).requires_grad_()
    with pytest.raises(RuntimeError, match="non-leaf tensor which requires_grad"):
        list(DataLoader([x * 2], num_workers=1))
    with pytest.raises(Exception, match="pickle"):
        list(DataLoader([1], num_workers=1, collate_fn=lambda batch: lambda: batch))


def test_the_worker_is_told_who_it_is() -> None:
    class Infos(Dataset):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> Any:
            info = get_worker_info()
            assert info is not None and info.dataset is self
            return info.id, info.num_workers, info.seed

    assert get_worker_info() is None
    tidu.manual_seed(0)
    found = list(DataLoader(Infos(), batch_size=None, num_workers=2))
    assert [(i, n) for i, n, _ in found] == [(0, 2), (1, 2)] * 2
    assert found[1][2] - found[0][2] == 1


def test_persistent_workers_are_kept_and_begin_again_after_a_break() -> None:
    loader = DataLoader(Pids(), num_workers=2, persistent_workers=True)
    first = {batch.item() for batch in loader}
    for _ in loader:
        break
    assert [batch.item() for batch in loader].count(min(first)) == 4
    assert {batch.item() for batch in loader} == first
    del loader
    gc.collect()
    assert not any(alive(pid) for pid in first)


def test_workers_end_with_the_pass_and_when_the_iterator_is_dropped() -> None:
    pids = {batch.item() for batch in DataLoader(Pids(), num_workers=2)}
    assert not any(alive(pid) for pid in pids)
    batches = iter(DataLoader(Pids(), num_workers=2))
    pid = next(batches).item()
    assert alive(pid)
    del batches
    gc.collect()
    assert not alive(pid)


def test_a_dropped_iterator_does_not_wait_for_what_was_asked_ahead() -> None:
    dataset = Squares(size=100, slow=tuple(range(1, 100)), seconds=0.3)
    batches = iter(DataLoader(dataset, num_workers=1, prefetch_factor=20))
    next(batches)
    start = time.monotonic()
    del batches
    gc.collect()
    assert time.monotonic() - start < 3


class Dies(Dataset):
    def __init__(self, how: str) -> None:
        self.how = how

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        if index == 2 and self.how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if index == 2:
            os._exit(3)
        return index


@pytest.mark.parametrize(
    "how,message", [("killed", "killed by signal SIGKILL"), ("exit", "with exit code 3")]
)
def test_a_worker_that_dies_is_reported(how: str, message: str) -> None:
    batches = iter(DataLoader(Dies(how), num_workers=1, prefetch_factor=1))
    assert [next(batches).item() for _ in range(2)] == [0, 1]
    with pytest.raises(RuntimeError, match=rf"DataLoader worker \(pid\(s\) \d+\).*{message}"):
        next(batches)


def test_timeout() -> None:
    loader = DataLoader(Squares(slow=(1,), seconds=30.0), num_workers=1, timeout=0.3)
    batches = iter(loader)
    start = time.monotonic()
    with pytest.raises(RuntimeError, match=r"DataLoader timed out after 0\.3 seconds"):
        list(batches)
    assert time.monotonic() - start < 15


def test_large_batches_and_large_index_lists() -> None:
    class Blocks(Dataset):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> Any:
            return np.full((1 << 20,), index, np.float32), np.full((3, 5), index, np.int64)

    for number, (big, small) in enumerate(DataLoader(Blocks(), num_workers=2)):
        assert big.shape == (1, 1 << 20) and big.sum().item() == number * (1 << 20)
        assert small.shape == (1, 3, 5)
    loader = DataLoader(range(200_000), batch_size=50_000, num_workers=1, prefetch_factor=4)
    assert sum(batch.sum().item() for batch in loader) == 200_000 * 199_999 // 2


def test_batches_that_share_one_buffer_are_not_mixed_up() -> None:
    buffer = np.zeros(1000)

    def reuse(batch: list[int]) -> Any:
        buffer[:] = batch[0]
        return buffer

    loader = DataLoader(range(20), num_workers=1, collate_fn=reuse, prefetch_factor=8)
    assert [batch[0] for batch in loader] == list(range(20))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int8", "uint8", "bool"])
def test_dtypes_and_shapes_pass_between_processes(dtype: str) -> None:
    kind = getattr(tidu, dtype)
    samples = [tidu.ones(3, 2).to(kind).t(), tidu.ones(()).to(kind), tidu.ones(0, 4).to(kind)]
    for sent, found in zip(samples, DataLoader(samples, batch_size=None, num_workers=1)):
        assert (found.dtype, found.shape) == (sent.dtype, sent.shape)
        assert found.tolist() == sent.tolist()


def test_what_is_pending_is_not_run_by_every_worker() -> None:
    data = tidu.arange(8.0) * 2  # not run yet
    loader = DataLoader(TensorDataset(data), batch_size=4, num_workers=2)
    batches = iter(loader)
    assert data._storage.value.is_realized
    assert [batch[0].tolist() for batch in batches] == [[0, 2, 4, 6], [8, 10, 12, 14]]


def test_more_workers_than_cpus_are_warned_of() -> None:
    with pytest.warns(UserWarning, match="will create 1000 worker processes in total"):
        DataLoader([1], num_workers=1000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DataLoader([1], num_workers=1)


INTERRUPTED = """
import os, sys, time
from tidu.data import DataLoader

class Slow:
    def __len__(self): return 1000
    def __getitem__(self, index):
        time.sleep(0.05)
        return os.getpid()

def main():
    loader = DataLoader(Slow(), num_workers=2)
    for number, batch in enumerate(loader):
        print(batch.item(), flush=True)
        {body}

if __name__ == "__main__":
    main()
"""


def start(tmp_path: Path, body: str) -> tuple[Any, set[int]]:
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED.format(body=body))
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )
    assert process.stdout is not None
    return process, {int(process.stdout.readline()) for _ in range(4)}


def test_ctrl_c_ends_everything_with_one_traceback(tmp_path: Path) -> None:
    process, workers = start(tmp_path, "pass")
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert errors.count("Traceback (most recent call last)") == 1
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert not any(alive(pid) for pid in workers)


def test_workers_end_when_the_process_is_killed(tmp_path: Path) -> None:
    process, workers = start(tmp_path, "pass")
    assert len(workers) == 2
    process.kill()
    process.communicate(timeout=20)
    assert wait_for(lambda: not any(alive(pid) for pid in workers))


def test_an_exception_in_the_loop_ends_the_program(tmp_path: Path) -> None:
    process, workers = start(tmp_path, "if number == 5: raise ValueError('enough')")
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert errors.rstrip().endswith("ValueError: enough")
    assert not any(alive(pid) for pid in workers)
