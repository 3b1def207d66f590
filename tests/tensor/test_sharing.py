"""Memory shared with NumPy's arrays: what is written to one name of it is seen under the others."""

from __future__ import annotations

import gc
import sys
import threading
import time
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tidu
from tidu.tensor import sharing
from tidu.tensor.storage import Storage

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")


def test_the_lines_of_the_tutorial_print_what_they_print_there() -> None:
    def run(torch: Any) -> list[str]:
        t = torch.ones(5)
        n = t.numpy()
        t.add_(1)
        lines = [f"t: {t}", f"n: {n}"]
        a = np.ones(5)
        b = torch.from_numpy(a)
        np.add(a, 1, out=a)
        return [*lines, f"t: {b}", f"n: {a}"]

    assert run(tidu) == run(torch)


def test_an_optimizer_moves_the_array_of_a_parameter() -> None:
    def run(torch: Any) -> list[Any]:
        w = torch.ones(2, 2, requires_grad=True)
        shown = w.detach().numpy()
        optimizer = torch.optim.SGD([w], lr=0.25)
        found = []
        for _ in range(3):
            (w**2).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
            found.append(shown.tolist())
        shown[0, 0] = 3.0
        return [*found, w.tolist(), (w * w).sum().item()]

    assert run(tidu) == run(torch)


def test_what_was_computed_before_a_write_to_the_array_stays() -> None:
    a = np.ones(3)
    x = tidu.from_numpy(a)
    before = x * 2  # not run yet
    a[0] = 10.0
    assert before.tolist() == [2.0, 2.0, 2.0]
    assert (x * 2).tolist() == [20.0, 2.0, 2.0]


def test_a_gradient_is_that_of_the_numbers_that_were_read() -> None:
    a = np.ones(3)
    x = tidu.from_numpy(a).requires_grad_()
    y = (x * x).sum()
    a[0] = 10.0
    y.backward()
    assert x.grad.tolist() == [2.0, 2.0, 2.0]


def test_a_step_that_writes_to_shared_memory_is_not_replayed_and_right() -> None:
    def run(compiled: bool) -> list[Any]:
        w = tidu.ones(3, requires_grad=True)
        shown, a = w.detach().numpy(), np.ones(3, np.float32)
        x = tidu.from_numpy(a)

        def step() -> Any:
            loss = ((w * x) ** 2).sum()
            loss.backward()
            with tidu.no_grad():
                w.sub_(0.125 * w.grad)
                w.grad = None
            return loss

        call = tidu.compile(step) if compiled else step
        found = []
        for number in range(16):
            a[0] = number % 3
            found.append((call().item(), shown.tolist()))
        return found

    ordinary = run(False)
    with pytest.warns(UserWarning, match="a NumPy array shares the memory that it writes to"):
        assert run(True) == ordinary


def test_memory_whose_arrays_are_gone_is_ordinary_again() -> None:
    x = tidu.ones(3)
    shown = x.numpy()
    assert type(x._storage) is not Storage
    del shown
    gc.collect()
    x.add_(1)
    assert type(x._storage) is Storage
    assert not x._storage.links


def test_threads_may_read_memory_while_its_array_goes_away() -> None:
    failures, shown, done = [], [tidu.ones(3)], threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                assert shown[0].shape == (3,)
                shown[0] * 2
            except Exception as problem:
                failures.append(problem)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=read) for _ in range(3)]
    try:
        for thread in threads:
            thread.start()
        for _ in range(500):
            array = np.ones(3, np.float32)
            shown[0] = tidu.from_numpy(array)
            time.sleep(0.00005)
            del array
            time.sleep(0.00005)
    finally:
        done.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(interval)
    assert not failures


def test_a_large_array_follows_its_tensor_and_is_not_followed() -> None:
    a = np.zeros(sharing.MOST_BYTES)
    x = tidu.from_numpy(a)
    x.add_(1)
    assert a[-1] == 1.0
    a[0] = 5.0
    assert x[0] == 1.0


@pytest.mark.parametrize("dtype", ["float16", "int8", "bool", "int64"])
def test_every_dtype_that_numpy_has_is_shared(dtype: str) -> None:
    x = tidu.zeros(3, dtype=getattr(tidu, dtype))
    shown = x.numpy()
    shown[1] = 1
    x[2] = 1
    assert x.tolist() == shown.tolist() == [0, 1, 1]


def test_an_array_that_may_not_be_written_to_is_copied() -> None:
    a = np.ones(2)
    a.flags.writeable = False
    with warnings.catch_warnings():  # which comes once in a process
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        x = tidu.from_numpy(a)
    x.add_(1)
    assert a.tolist() == [1.0, 1.0]


def test_a_write_that_fails_raises_at_once_and_leaves_tensor_and_array_as_they_were() -> None:
    x = tidu.zeros(3)
    shown = x.numpy()
    place = (tidu.rand(2) * 0 + 7).long()  # out of range, which is found when it is run
    with pytest.raises(IndexError, match="out of bounds"):
        x.copy_(tidu.arange(5.0)[place][0].expand(3))
    assert x.tolist() == shown.tolist() == [0.0, 0.0, 0.0]
    x.fill_(2.0)
    assert x.tolist() == shown.tolist() == [2.0, 2.0, 2.0]


def test_many_tensors_of_one_array_are_each_asked_once() -> None:
    a = np.ones(3)
    tensors = [tidu.from_numpy(a) for _ in range(200)]
    shown = tensors[7][1:].numpy()
    shown[0] = 5.0  # which the others have to learn without going every way there is
    assert [x.tolist() for x in tensors[::5]] == [[1.0, 5.0, 1.0]] * 40


STEPS = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 9), st.integers(0, 9)), min_size=3, max_size=14
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_any_writes_under_any_name_are_seen_as_with_pytorch(steps: list[Any]) -> None:
    assert _run(tidu, steps) == _run(torch, steps)


def _run(torch: Any, steps: list[Any]) -> list[Any]:
    """Tensors, views and arrays on the same memory, written to and shown in turn."""
    first = np.arange(6.0).reshape(2, 3)
    tensors, arrays = [torch.from_numpy(first), torch.zeros(3, 2)], [first]
    found: list[Any] = []
    for kind, which, how in steps:
        t, a = tensors[which % len(tensors)], arrays[which % len(arrays)]
        if kind == 0:
            arrays.append(t.numpy())
        elif kind == 1:
            views = [t.t, lambda t=t: t[0:1], lambda t=t: t[:, 1:], t.detach]
            tensors.append(views[how % len(views)]())
        elif kind == 2:
            tensors.append(torch.from_numpy(a))
        elif kind == 3:
            t.add_(how)
        elif kind == 4:
            t[0] = how
        elif kind == 5:
            a[..., 0] = how
        elif kind == 6:
            a *= 0.5
        else:
            t.mul_(t * 0.25)
        found.append([x.tolist() for x in (*tensors, *arrays)])
    return found
