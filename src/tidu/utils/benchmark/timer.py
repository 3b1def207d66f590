"""Timer: runs a piece of code often enough to know how long it takes."""

from __future__ import annotations

import ast
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tidu.backends.threads import get_num_threads, set_num_threads
from tidu.execute import realize
from tidu.utils.benchmark.measurement import Measurement, TaskSpec

_RESULT, _FINISH, _COUNT = "__benchmark_result__", "__benchmark_finish__", "__benchmark_count__"


class Timer:
    """Measures the code `stmt`, with the names in `globals`, after `setup` has run.

    What a run leaves to be computed is computed before the next one begins, and so is the value of
    an expression at its end: that work belongs to its time. `label`, `sub_label` and `description`
    are for `Compare`. SyntaxError for code that is none. Follows torch.utils.benchmark.Timer.

    >>> from torch.utils.benchmark import Timer
    >>> Timer("x @ x.T", globals={"x": torch.ones(8, 8)}).timeit(10).number_per_run
    10
    """

    def __init__(
        self,
        stmt: str = "pass",
        setup: str = "pass",
        global_setup: str = "",
        timer: Callable[[], float] = time.perf_counter,
        globals: dict[str, Any] | None = None,
        label: str | None = None,
        sub_label: str | None = None,
        description: str | None = None,
        env: str | None = None,
        num_threads: int = 1,
    ) -> None:
        stmt, setup = (textwrap.dedent(code).strip() for code in (stmt, setup))
        self._task_spec = TaskSpec(stmt, setup, label, sub_label, description, env, num_threads)
        self._timer = timer
        self._names: dict[str, Any] = dict(globals or {})
        self._names[_FINISH] = realize
        self._setup = compile(setup, "<setup>", "exec")
        self._loop = _loop_over(stmt)

    def _time(self, number: int) -> float:
        """Seconds for `number` runs."""
        self._names[_COUNT] = number
        start = self._timer()
        exec(self._loop, self._names)
        return self._timer() - start

    @contextmanager
    def _prepared(self) -> Iterator[None]:
        before = get_num_threads()
        set_num_threads(self._task_spec.num_threads)
        try:
            exec(self._setup, self._names)
            realize()
            yield
        finally:
            self._names.pop(_RESULT, None)
            set_num_threads(before)

    def _measured(self, number: int, times: list[float]) -> Measurement:
        return Measurement(number, times, self._task_spec)

    def timeit(self, number: int = 1000000) -> Measurement:
        """One measurement of `number` runs, after some runs that are not counted."""
        with self._prepared():
            self._time(max(number // 100, 2))
            return self._measured(number, [self._time(number)])

    def repeat(self, repeat: int = -1, number: int = -1) -> None:
        """NotImplementedError, as in PyTorch: `blocked_autorange` repeats."""
        raise NotImplementedError("See `Timer.blocked_autorange.`")

    def blocked_autorange(
        self, callback: Callable[[int, float], Any] | None = None, min_run_time: float = 0.2
    ) -> Measurement:
        """Blocks of runs, each long enough to be measured well, for `min_run_time` seconds.

        `callback(number, seconds)` is called after each block.
        """
        with self._prepared():
            number = self._block_size(min_run_time)
            times: list[float] = []
            while sum(times) < min_run_time:
                times.append(self._time(number))
                if callback is not None:
                    callback(number, times[-1])
            return self._measured(number, times)

    def adaptive_autorange(
        self,
        threshold: float = 0.1,
        *,
        min_run_time: float = 0.01,
        max_run_time: float = 10.0,
        callback: Callable[[int, float], Any] | None = None,
    ) -> Measurement:
        """`blocked_autorange` until the middle half of the times spreads by less than `threshold`
        of the median, or until `max_run_time` seconds have passed.
        """
        with self._prepared():
            number = self._block_size(min_run_time)
            times: list[float] = []
            while sum(times) < max_run_time:
                times.append(self._time(number))
                if callback is not None:
                    callback(number, times[-1])
                measured = self._measured(number, times)
                steady = measured.iqr < threshold * measured.median
                if len(times) > 3 and sum(times) > min_run_time and steady:
                    break
            return self._measured(number, times)

    def _block_size(self, seconds: float) -> int:
        """So many runs that a block is a hundredth of the whole time, or 20 µs at least."""
        number = 1
        self._time(2)
        while self._time(number) < max(seconds / 100, 2e-5):
            number *= 2
        return number


def _loop_over(code: str) -> Any:
    """`code` in a loop, in which the value of a last expression is kept, and then computed."""
    body = ast.parse(code).body
    if body and isinstance(body[-1], ast.Expr):
        target = ast.Name(_RESULT, ast.Store())
        body[-1] = ast.copy_location(ast.Assign([target], body[-1].value), body[-1])
    loop = ast.parse(f"for _ in range({_COUNT}):\n    pass\n    {_FINISH}()")
    statement = loop.body[0]
    assert isinstance(statement, ast.For)
    statement.body[:1] = body or [ast.Pass()]
    return compile(ast.fix_missing_locations(loop), "<stmt>", "exec")
