"""Long, wide and entangled graphs, long training loops, threads: nothing overflows, nothing grows.

How time depends on size is measured by benchmarks/chain_scaling.py, memory over 100,000 steps by
benchmarks/memory_flat.py.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import tidu
from tidu.autograd.engine import _count_edges

ROOT = Path(__file__).parents[2]


def chain(x: tidu.Tensor, length: int) -> tidu.Tensor:
    y = x
    for _ in range(length):
        y = y * 1.00001
    return y.sum()


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_a_chain_of_200_000_operations_runs_forward_and_backward() -> None:
    x = tidu.ones(2, requires_grad=True)
    loss = chain(x, 200_000)
    loss.backward()
    expected = 1.00001**200_000
    assert x.grad is not None
    assert x.grad.tolist() == pytest.approx([expected, expected], rel=2e-2)  # float32
    assert loss.item() == pytest.approx(2 * expected, rel=2e-2)


def test_what_only_one_edge_leads_to_takes_no_memory_in_the_backward_pass() -> None:
    x = tidu.ones(2, requires_grad=True)
    loss = chain(x, 1000)
    shared = x * 2.0
    forked = (shared + shared).sum() + loss
    assert loss.grad_fn is not None
    assert forked.grad_fn is not None
    assert len(_count_edges([loss.grad_fn])) < 5
    counts = _count_edges([forked.grad_fn])
    assert counts[shared.grad_fn] == 2
    assert counts[x._accumulator] == 2
    assert counts[loss.grad_fn] == 1


def test_a_long_graph_can_be_dropped_without_a_backward_pass(no_collector: None) -> None:
    loss = chain(tidu.ones(2, requires_grad=True), 200_000)
    del loss  # must not recurse


def test_a_long_graph_with_everything_saved_can_be_dropped(no_collector: None) -> None:
    x = tidu.ones(2, requires_grad=True)
    y = x
    for _ in range(50_000):
        y = y.sin()
    (slope,) = tidu.autograd.grad(y.sum(), x, create_graph=True)
    del y, slope


def test_the_stack_of_a_small_thread_is_enough() -> None:
    failures = []

    def work() -> None:
        try:
            x = tidu.ones(2, requires_grad=True)
            loss = chain(x, 50_000)
            loss.backward()
            chain(x, 50_000)
        except BaseException as error:
            failures.append(error)

    before = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert not failures


def test_a_graph_with_exponentially_many_paths_is_linear() -> None:
    x = tidu.tensor(1.0, dtype=tidu.float64, requires_grad=True)
    y = x
    for _ in range(200):
        y = (y + y) / 2  # 2**200 paths
    start = time.perf_counter()
    y.backward()
    assert time.perf_counter() - start < 5
    assert x.grad is not None and x.grad.item() == 1.0


def test_a_wide_graph() -> None:
    x = tidu.ones(3, requires_grad=True)
    parts = [x * float(i) for i in range(20_000)]
    tidu.stack(parts).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == pytest.approx([199_990_000.0] * 3, rel=1e-4)


def test_many_leaves() -> None:
    leaves = [tidu.ones((), requires_grad=True) for _ in range(5_000)]
    total = leaves[0] * 0.0
    for number, x in enumerate(leaves):
        total = total + x * float(number)
    total.backward()
    assert [x.grad.item() for x in leaves] == [float(i) for i in range(5_000)]  # type: ignore[union-attr]


def test_a_deep_view_of_a_view() -> None:
    x = tidu.arange(8.0, requires_grad=True)
    y = v = x * 1
    for _ in range(200):
        v = v.view(2, 4).view(8)
    v[3] *= 5
    (y * y).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 2.0, 4.0, 150.0, 8.0, 10.0, 12.0, 14.0]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_memory_is_flat_over_training_steps() -> None:
    # In a process of its own: here the compiling thread may still be busy with what other tests do.
    command = [sys.executable, "-m", "benchmarks.memory_flat", "--steps", "3000"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_backward_passes_in_several_threads_share_a_leaf() -> None:
    w = tidu.ones(3, requires_grad=True)
    failures = []

    def work(number: int) -> None:
        try:
            for _ in range(30):
                (w * float(number)).sum().backward()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert w.grad is not None and w.grad.tolist() == [300.0] * 3


def test_gradient_modes_belong_to_a_thread() -> None:
    seen = []
    with tidu.no_grad():
        thread = threading.Thread(target=lambda: seen.append(tidu.is_grad_enabled()))
        thread.start()
        thread.join()
        seen.append(tidu.is_grad_enabled())
    assert seen == [True, False]


def test_a_graph_made_in_one_thread_runs_backward_in_another() -> None:
    x = tidu.tensor([1.0, 2.0], requires_grad=True)
    loss = (x * x).sum()
    thread = threading.Thread(target=loss.backward)
    thread.start()
    thread.join()
    assert x.grad is not None and x.grad.tolist() == [2.0, 4.0]
