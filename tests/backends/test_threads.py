"""Native programs on worker threads: every unit once, in order, whatever happens around them."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.backends.native_programs import call, check_mixing, kernels, mixed, mixing, run
from tidu.backends import spmd, threads
from tidu.compiler import llvm

ROOT = Path(__file__).parents[2]
needs_linux = pytest.mark.skipif(
    not spmd.can_work_together(), reason="worker threads wait on futexes, which are Linux's"
)


def python(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own, which must end by itself."""
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def check(script: str, **environment: str) -> str:
    """Run a script that must succeed, and return what it printed."""
    done = python(script, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
@pytest.mark.parametrize("units", [1, 2, 7, 8, 1000])
def test_every_unit_is_done_once(workers: int, units: int) -> None:
    threads.set_num_threads(workers)
    x = np.zeros(units + 1, np.int64)
    run([call(units, "count")] * 5, x)
    assert x.tolist() == [5] * units + [0]


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_a_call_after_a_barrier_sees_all_of_the_call_before(workers: int) -> None:
    threads.set_num_threads(workers)
    for _ in range(5):
        check_mixing(rounds=301)


@needs_linux
@pytest.mark.parametrize("work", [0, 10**9])
@pytest.mark.parametrize("workers", [2, 3, 8])
def test_a_share_is_done_by_its_owner_from_the_first_on_and_by_others_from_the_last_on(
    workers: int, work: int
) -> None:
    threads.set_num_threads(workers)
    marks = [-(-100 * w // workers) for w in range(workers + 1)]
    for _ in range(20):
        x = np.full(100, -1)
        run([call(100, "sign", work=work)], x)
        for owner, (begin, end) in enumerate(pairwise(marks)):
            own = x[begin:end] == owner
            assert own.tolist() == sorted(own, reverse=True)
        assert set(x) <= set(range(workers))


@needs_linux
def test_others_go_on_with_the_share_of_who_is_held_up_in_a_long_phase() -> None:
    threads.set_num_threads(2)
    for held_up in (0, 16):  # the first unit of either worker
        x, y = np.zeros(32, np.int64), np.zeros(8 * 256, np.int64)
        run([call(32, "gather", p=held_up, q=32, work=10**9)], x, y)
        assert x.tolist() == [2 if unit == held_up else 1 for unit in range(32)]


@needs_linux
def test_long_and_short_phases_may_follow_each_other() -> None:
    for workers in (1, 2, 3, 8):
        threads.set_num_threads(workers)
        calls = mixing(300, 24)
        calls = [c._replace(work=10**9 * (i % 3 == 0)) for i, c in enumerate(calls)]
        start = np.arange(24)
        x, y = start.copy(), np.zeros(8 * 256, np.int64)
        run(calls, x, y)
        np.testing.assert_array_equal(x, mixed(start, 300))


def _tracks(tracks: int, rounds: int) -> list[threads.Call]:
    """Phases in which each track appends a few numbers to a place of its own, the places moving
    from track to track.
    """
    calls = []
    for r in range(rounds):
        for track in range(tracks):
            for number in range(1 + (r + track) % 3):
                first = track == 0 and number == 0
                place = (track + r) % tracks
                calls.append(call(1, "append", barrier=first, track=track, p=place, q=r + number))
    return calls


def _appended(tracks: int, rounds: int) -> list[int]:
    x = np.zeros(tracks, np.int64)
    with np.errstate(over="ignore"):
        for r in range(rounds):
            for track in range(tracks):
                for number in range(1 + (r + track) % 3):
                    x[(track + r) % tracks] = 3 * x[(track + r) % tracks] + r + number
    return list(x)


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
@pytest.mark.parametrize("tracks", [1, 2, 3, 8])
def test_calls_of_a_track_follow_each_other_and_tracks_meet_at_barriers(
    workers: int, tracks: int
) -> None:
    threads.set_num_threads(workers)
    for rounds in (1, 2, 300):
        x = np.zeros(tracks, np.int64)
        run(_tracks(tracks, rounds), x)
        assert list(x) == _appended(tracks, rounds)


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_tracks_without_calls_and_shared_calls_may_be_in_one_phase(workers: int) -> None:
    threads.set_num_threads(workers)
    x = np.zeros(12, np.int64)
    calls = [
        call(1, "append", track=3, p=10, q=5),
        call(10, "count", barrier=False),
        call(1, "append", barrier=False, track=1, p=11, q=7),
        call(1, "append", barrier=False, track=3, p=10, q=6),
        call(10, "count", barrier=False),
    ]
    run(calls, x)
    assert x.tolist() == [2] * 10 + [21, 7]


def test_a_call_without_units_and_an_empty_program_do_nothing() -> None:
    x = np.zeros(4, np.int64)
    run([call(0, "count"), call(4, "count"), call(0, "count", barrier=False)], x)
    run([], x)
    assert x.tolist() == [1, 1, 1, 1]


def test_changing_the_number_of_threads_between_runs_changes_no_result() -> None:
    for workers in [2, 8, 1, 3, 2, 8]:
        threads.set_num_threads(workers)
        assert threads.get_num_threads() == workers
        check_mixing(rounds=50)


def test_python_threads_may_run_programs_at_once() -> None:
    threads.set_num_threads(3)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(30):
                check_mixing(rounds=20)
        except BaseException as error:
            failures.append(error)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures


class Launched:
    """A program of `mixing` that was launched; what it works on, and what it has to make of it."""

    def __init__(self, rounds: int, units: int) -> None:
        self.x, self.y = np.arange(units), np.zeros(units, np.int64)
        self.result = self.x if rounds % 2 == 0 else self.y
        self.want = mixed(self.x, rounds)
        self.table = np.array([0, 0, self.x.ctypes.data, self.y.ctypes.data])
        self.program = threads.NativeProgram(mixing(rounds, units))
        assert threads.launch(self.program, self.table.ctypes.data)

    def check(self) -> None:
        assert np.array_equal(self.result, self.want), "the calls ran out of order"


@needs_linux
@pytest.mark.parametrize("workers", [2, 3, 8])
@pytest.mark.parametrize("units", [1, 2, 24])
def test_a_launched_program_is_joined_at_any_moment(workers: int, units: int) -> None:
    threads.set_num_threads(workers)
    for rounds in (0, 1, 2, 301, 3000):
        for pause in (0, 1e-5, 1e-4, 1e-3, 2e-2):
            launched = Launched(rounds, units)
            end = time.perf_counter() + pause
            while time.perf_counter() < end:
                pass
            threads.join()
            launched.check()


@needs_linux
def test_a_launched_program_ends_without_help() -> None:
    threads.set_num_threads(2)
    launched = Launched(rounds=2000, units=24)
    deadline = time.monotonic() + 30
    while not np.array_equal(launched.result, launched.want):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    threads.join()


@needs_linux
def test_what_comes_after_a_launched_program_waits_for_it() -> None:
    threads.set_num_threads(3)
    for units in (1, 24):
        launched = Launched(2000, units)
        check_mixing(units=units)
        launched.check()
        launched = Launched(2000, units)
        second = Launched(100, units)
        launched.check()
        threads.set_num_threads(2)
        check_mixing(units=units)
        second.check()
        threads.set_num_threads(3)
        threads.join()
        threads.join()


@needs_linux
def test_python_threads_join_what_another_one_launched() -> None:
    threads.set_num_threads(2)
    failures: list[BaseException] = []

    def work(launched: Launched) -> None:
        try:
            threads.join()
            launched.check()
        except BaseException as error:
            failures.append(error)

    for _ in range(50):
        launched = Launched(1000, 24)
        workers = [threading.Thread(target=work, args=(launched,)) for _ in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert not failures


def test_with_one_thread_nothing_is_launched() -> None:
    threads.set_num_threads(1)
    program = threads.NativeProgram(mixing(3, 4))
    assert not threads.launch(program, 0)


@pytest.mark.parametrize("wrong", [0, -1, 2.0, "2", True, None])
def test_a_number_of_threads_that_is_none_raises_as_in_pytorch(wrong: object) -> None:
    with pytest.raises(RuntimeError, match="expects"):
        threads.set_num_threads(wrong)  # type: ignore[arg-type]


def test_the_environment_names_the_number_of_threads() -> None:
    script = "from tidu.backends import threads; print(threads.get_num_threads())"
    assert check(script, TIDU_NUM_THREADS="5") == "5\n"
    assert check(script, TIDU_NUM_THREADS="") == f"{len(os.sched_getaffinity(0))}\n"
    assert "must be a positive number, got 'many'" in python(script, TIDU_NUM_THREADS="many").stderr


def test_the_default_is_the_processors_that_the_process_may_use() -> None:
    check("""
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from tidu.backends import threads
assert threads.get_num_threads() == 1
""")


@needs_linux
def test_programs_of_single_units_start_no_thread() -> None:
    check(
        """
import os
import numpy as np
from tests.backends.native_programs import call, run
before = len(os.listdir("/proc/self/task"))
x = np.zeros(8, np.int64)
run([call(1, "count")] * 3, x)
assert x[0] == 3 and len(os.listdir("/proc/self/task")) == before
run([call(2, "count")], x)
assert len(os.listdir("/proc/self/task")) == before + 3
""",
        TIDU_NUM_THREADS="4",
        OPENBLAS_NUM_THREADS="1",
    )


@needs_linux
def test_many_runs_and_changes_leave_no_more_threads_than_the_most_asked_for() -> None:
    check(
        """
import os
from tests.backends.native_programs import check_mixing
from tidu.backends import threads
before = len(os.listdir("/proc/self/task"))
for run in range(600):
    threads.set_num_threads((1, 2, 6, 3)[run % 4])
    check_mixing(rounds=3)
assert len(os.listdir("/proc/self/task")) == before + 5
""",
        OPENBLAS_NUM_THREADS="1",
    )


@needs_linux
def test_workers_take_no_signals() -> None:
    check("""
import os
before = set(os.listdir("/proc/self/task"))
from tests.backends.native_programs import check_mixing
from tidu.backends import threads
threads.set_num_threads(3)
before = set(os.listdir("/proc/self/task"))
check_mixing()
workers = set(os.listdir("/proc/self/task")) - before
assert len(workers) == 2
for worker in workers:
    status = open(f"/proc/self/task/{worker}/status").read()
    blocked = int(status.split("SigBlk:")[1].split()[0], 16)
    assert blocked & 1 << 1, hex(blocked)  # SIGINT
main = open("/proc/self/status").read()
assert int(main.split("SigBlk:")[1].split()[0], 16) == 0
""")


def test_a_forked_child_has_workers_of_its_own() -> None:
    check("""
import os
from tests.backends.native_programs import check_mixing
from tidu.backends import threads
threads.set_num_threads(3)
check_mixing()
child = os.fork()
if not child:
    check_mixing()
    grandchild = os.fork()
    if not grandchild:
        threads.set_num_threads(5)
        check_mixing()
        os._exit(0)
    check_mixing()
    os._exit(os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))
check_mixing()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
check_mixing()
""")


def test_a_child_forked_while_another_thread_runs_a_program_can_run_programs() -> None:
    check("""
import os, threading, time
from tests.backends.native_programs import check_mixing
from tidu.backends import threads
threads.set_num_threads(2)
stop = threading.Event()
def work():
    while not stop.is_set():
        check_mixing(rounds=2000)
worker = threading.Thread(target=work)
worker.start()
for _ in range(10):
    time.sleep(0.005)
    child = os.fork()
    if not child:
        check_mixing()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
stop.set()
worker.join()
""")


def test_multiprocessing_children_run_programs() -> None:
    check("""
import multiprocessing
from tests.backends.native_programs import check_mixing
if __name__ == "__main__":
    check_mixing()
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            pool.map(check_mixing, [10, 20, 30])
    check_mixing()
""")


def test_an_interrupt_comes_after_the_program_and_leaves_nothing_locked() -> None:
    """Ctrl-C while native code runs: the program is finished first, then KeyboardInterrupt."""
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            """
import numpy as np
from tests.backends.native_programs import check_mixing, mixed, mixing
from tidu.backends import threads
threads.set_num_threads(2)
program = threads.NativeProgram(mixing(20, 4) * 10_000)
x, y = np.arange(4), np.zeros(4, np.int64)
table = np.array([0, 0, x.ctypes.data, y.ctypes.data])
check_mixing()
try:
    print("running", flush=True)
    for _ in range(100):
        threads.run(program, table.ctypes.data)
    print("was not interrupted")
except KeyboardInterrupt:
    # Nothing half-done: y is one round behind x, at every unit.
    assert np.array_equal(x, mixed(y, 1))
    check_mixing()
    print("interrupted")
""",
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "running\n"
    time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    rest, _ = child.communicate(timeout=120)
    assert (child.returncode, rest) == (0, "interrupted\n")


@pytest.mark.parametrize("pause", [0.0, 0.01])
def test_the_interpreter_exits_while_workers_spin_or_sleep(pause: float) -> None:
    check(f"""
import time
from tests.backends.native_programs import check_mixing
from tidu.backends import threads
threads.set_num_threads(8)
check_mixing()
time.sleep({pause})
""")


@needs_linux
def test_a_child_forked_while_a_launched_program_runs_can_run_programs() -> None:
    check("""
import os
from tests.backends.native_programs import check_mixing
from tests.backends.test_threads import Launched
from tidu.backends import threads
threads.set_num_threads(2)
for _ in range(20):
    launched = Launched(20_000, 24)
    child = os.fork()
    if not child:
        check_mixing()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    threads.join()
    launched.check()
""")


def test_the_interpreter_exits_while_a_daemon_thread_runs_programs() -> None:
    check("""
import threading, time
from tests.backends.native_programs import check_mixing
from tidu.backends import threads
threads.set_num_threads(2)
def work():
    while True:
        check_mixing(rounds=500)
threading.Thread(target=work, daemon=True).start()
time.sleep(0.05)
""")


def test_without_worker_threads_the_caller_does_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spmd, "can_work_together", lambda: False)
    text = spmd.text()
    assert "pthread" not in text and "syscall" not in text
    address = llvm.load([llvm.compile_module(text)], ["tidu_run"])["tidu_run"]
    native = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(address)
    program = threads.NativeProgram([call(9, "mix", p=r, q=9) for r in (0, 1)])
    x, y = np.arange(9), np.zeros(9, np.int64)
    want = mixed(x, 2)
    table = np.array([0, 0, x.ctypes.data, y.ctypes.data])
    native(program.address, table.ctypes.data)
    assert np.array_equal(x, want)


def test_a_program_keeps_the_parameters_of_its_kernels() -> None:
    params = np.array([7, 7])
    before = sys.getrefcount(params)
    program = threads.NativeProgram([threads.Call(kernels()["count"], params, 1, False)])
    assert sys.getrefcount(params) > before
    del program
    assert sys.getrefcount(params) == before
