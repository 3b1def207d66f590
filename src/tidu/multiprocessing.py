"""``torch.multiprocessing``: the standard library's `multiprocessing`, and `spawn`.

Tensors that go through queues and pipes are passed by value: the process that receives one has a
copy of its own, and neither side sees what the other writes to it.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import traceback
from collections.abc import Callable
from multiprocessing import *  # noqa: F403
from multiprocessing import connection, get_context
from typing import Any

__all__ = [
    *multiprocessing.__all__,
    "ProcessContext",
    "ProcessException",
    "ProcessExitedException",
    "ProcessRaisedException",
    "get_all_sharing_strategies",
    "get_sharing_strategy",
    "set_sharing_strategy",
    "spawn",
    "start_processes",
]

_BY_VALUE = "file_system"


def get_all_sharing_strategies() -> set[str]:
    """The one strategy there is; tensors are copied whatever it is called."""
    return {_BY_VALUE}


def get_sharing_strategy() -> str:
    """The one strategy there is."""
    return _BY_VALUE


def set_sharing_strategy(new_strategy: str) -> None:
    """Makes no difference: tensors are passed by value."""


class ProcessException(Exception):  # noqa: N818 (the name users know it by)
    """A process of `spawn` did not end well."""

    def __init__(self, msg: str, error_index: int, pid: int) -> None:
        super().__init__(msg)
        self.msg, self.error_index, self.pid = msg, error_index, pid


class ProcessRaisedException(ProcessException):
    """It raised an exception, whose traceback is in the message."""


class ProcessExitedException(ProcessException):
    """It exited with a code other than 0, or was ended by a signal."""

    def __init__(
        self, msg: str, error_index: int, error_pid: int, exit_code: int, signal_name: str | None
    ) -> None:
        super().__init__(msg, error_index, error_pid)
        self.exit_code, self.signal_name = exit_code, signal_name


class ProcessContext:
    """The processes that `spawn` has started."""

    def __init__(self, processes: list[Any], errors: list[Any]) -> None:
        self.processes, self.errors = processes, errors
        self._running = {process.sentinel: i for i, process in enumerate(processes)}

    def pids(self) -> list[int]:
        return [int(process.pid) for process in self.processes]

    def join(self, timeout: float | None = None) -> bool:
        """Wait for some to end; True once all have. If one failed, the others are ended and its
        exception is raised.
        """
        if not self._running:
            return True
        for sentinel in connection.wait(list(self._running), timeout):
            number = self._running.pop(sentinel)
            self.processes[number].join()
            if self.processes[number].exitcode != 0:
                self._fail(number)
        return not self._running

    def _fail(self, number: int) -> None:
        for process in self.processes:
            if process.is_alive():
                process.terminate()
            process.join()
        process, error = self.processes[number], self.errors[number]
        try:
            text = error.recv()
        except EOFError:  # it had no time to say anything
            text = None
        if text is not None:
            raise ProcessRaisedException(
                f"\n\n-- Process {number} terminated with the following error:\n{text}",
                number,
                process.pid,
            )
        code = process.exitcode
        name = signal.Signals(-code).name if code < 0 else None
        ended = f"signal {name}" if name else f"exit code {code}"
        raise ProcessExitedException(
            f"process {number} terminated with {ended}", number, process.pid, code, name
        )


def _run(function: Callable[..., Any], number: int, args: tuple[Any, ...], error: Any) -> None:
    try:
        function(number, *args)
    except KeyboardInterrupt:
        pass
    except Exception:
        error.send(traceback.format_exc())
        sys.exit(1)


def start_processes(
    fn: Callable[..., Any],
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """``fn(i, *args)`` in `nprocs` processes, i = 0, 1, ...; with `join`, wait for all to end.

    Raises ProcessRaisedException if one of them raises, ProcessExitedException if one dies.
    """
    context: Any = get_context(start_method)
    processes, errors = [], []
    for number in range(nprocs):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_run, args=(fn, number, args, sender), daemon=daemon)
        process.start()
        sender.close()
        processes.append(process)
        errors.append(receiver)
    started = ProcessContext(processes, errors)
    if not join:
        return started
    while not started.join():
        pass
    return None


def spawn(
    fn: Callable[..., Any],
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """`start_processes`, each a fresh interpreter."""
    return start_processes(fn, args, nprocs, join, daemon, start_method)
