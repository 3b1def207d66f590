"""What the benchmarks share: workload files, recorded draws, and child processes.

A workload file has a table `ALL` of builders. `build(T, rng)` takes the module under test (`torch`,
or anything that speaks its API) and a NumPy generator, and returns `step()`: one optimisation step,
whose result is the loss. `RANDOM` names those that draw random numbers inside the step, `READS`
those that read numbers inside it, which no whole-step compiler can take as one piece.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
WORKLOADS = HERE / "workloads.py"


def load(path: Path) -> ModuleType:
    """Import a workload file from where it lies."""
    sys.path.insert(0, str(path.resolve().parent))
    return importlib.import_module(path.stem)


class Draws:
    """A NumPy generator that remembers what it drew, and can hand out float64 for float32.

    In double precision the numbers are the float32 ones widened, so that both precisions start from
    the same point. With `nudge`, another seed, each float32 number is replaced by a neighbor.
    """

    def __init__(self, seed: int, double: bool = False, nudge: int | None = None) -> None:
        self.generator = np.random.default_rng(seed)
        self.double = double
        self.signs = None if nudge is None else np.random.default_rng(nudge)
        self.drawn: list[np.ndarray] = []

    def standard_normal(self, size: Any = None, dtype: Any = np.float64) -> np.ndarray:
        return self._keep(np.asarray(self.generator.standard_normal(size, dtype=dtype)))

    def random(self, size: Any = None, dtype: Any = np.float64) -> np.ndarray:
        return self._keep(np.asarray(self.generator.random(size, dtype=dtype)))

    def integers(self, *args: Any, **kwargs: Any) -> np.ndarray:
        return self._keep(np.asarray(self.generator.integers(*args, **kwargs)))

    def _keep(self, array: np.ndarray) -> np.ndarray:
        if self.signs is not None and array.dtype == np.float32:
            array = np.nextafter(
                array, self.signs.choice(np.float32([-np.inf, np.inf]), array.shape)
            )
        if self.double and array.dtype == np.float32:
            array = array.astype(np.float64)
        self.drawn.append(array.copy())  # a module may write into what it is given
        return array


def run_child(
    command: Sequence[str | Path],
    timeout: float = 900.0,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Run a program that prints one JSON object last; a failure is a row with an `error`."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, **(environment or {})},
        )
    except subprocess.TimeoutExpired:
        return {"error": f"not finished within {timeout:.0f} s"}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return {"error": last[:200]}
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A markdown table."""
    print("| " + " | ".join(header) + " |")
    print("|" + " --- |" * len(header))
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)


def short(number: float | None, unit: float = 1.0) -> str:
    """About three significant digits and no exponent; a dash for a number that is missing."""
    if number is None:
        return "–"
    scaled = number / unit
    digits = 0 if abs(scaled) >= 100 else 1 if abs(scaled) >= 10 else 2 if abs(scaled) >= 0.1 else 3
    return f"{scaled:.{digits}f}"
