"""Several measurements beside each other."""

from __future__ import annotations

from collections.abc import Sequence

from tidu.utils.benchmark.measurement import Measurement


class Compare:
    """Prints a table for each label: a row for each `sub_label` and number of threads, a column for
    each `description`, and the median times in microseconds.

    >>> from torch.utils.benchmark import Compare, Timer
    >>> times = [Timer("x + x", globals={"x": x}, description="sum").timeit(10)]
    >>> Compare(times).print()
    [...
    """

    def __init__(self, results: Sequence[Measurement]) -> None:
        self._results = list(results)

    def extend_results(self, results: Sequence[Measurement]) -> None:
        """Take in more measurements."""
        self._results.extend(results)

    def print(self) -> None:
        """Print the tables."""
        print(self)

    def __str__(self) -> str:
        labels = dict.fromkeys(_label(result) for result in self._results)
        tables = [
            _table(label, [result for result in self._results if _label(result) == label])
            for label in labels
        ]
        return "\n\n".join(tables) + "\n\nTimes are in microseconds (us).\n"


def _label(result: Measurement) -> str:
    return result.task_spec.label or result.task_spec.stmt


def _row(result: Measurement) -> tuple[int, str]:
    spec = result.task_spec
    return spec.num_threads, spec.sub_label or spec.stmt


def _column(result: Measurement) -> str:
    spec = result.task_spec
    return spec.description or spec.env or ""


def _table(label: str, results: Sequence[Measurement]) -> str:
    columns = list(dict.fromkeys(map(_column, results)))
    rows = sorted(dict.fromkeys(map(_row, results)), key=lambda row: row[0])
    cells = {(_row(r), _column(r)): f"{r.median * 1e6:.1f}" for r in results}
    widths = [
        max(len(column), *(len(cells.get((r, column), "")) for r in rows)) for column in columns
    ]
    first = max(len(name) for _, name in rows) + 6
    header = [" " * first, *(c.center(w) for c, w in zip(columns, widths, strict=True))]
    lines = ["  |  ".join(header)]
    lines.insert(0, f"[{f' {label} '.center(len(lines[0]) - 2, '-')}]")
    before = None
    for threads, name in rows:
        if threads != before:
            lines.append(f"{threads} threads: ".ljust(len(lines[0]), "-"))
            before = threads
        row = [cells.get(((threads, name), column), "") for column in columns]
        shown = [name.rjust(first), *(x.rjust(w) for x, w in zip(row, widths, strict=True))]
        lines.append("  |  ".join(shown))
    return "\n".join([*lines, ""])
