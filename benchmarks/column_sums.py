"""The gradients of a ReLU and of the bias before it, from memory that no cache holds.

    python benchmarks/column_sums.py [seconds]

For each shape the median time of one matrix, in microseconds, under PyTorch and under tidu with
`tidu.compile`: the masked gradient, which a narrow product needs too, and its sum over the rows. So
many matrices take turns that together they are larger than the caches.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

import numpy as np
import torch

import tidu

SHAPES = ((768, 512), (4096, 256), (4096, 1024), (1009, 700))
TOGETHER = 96 << 20  # bytes of all matrices
NARROW = 8


def steps(module: Any, rows: int, columns: int) -> tuple[Any, int]:
    """A function that goes through all matrices of a shape, and how many they are."""
    rng = np.random.default_rng(0)
    count = max(2, TOGETHER // (2 * 4 * rows * columns))

    def drawn(*shape: int) -> Any:
        return module.from_numpy(rng.standard_normal(shape, dtype=np.float32))

    pairs = [(drawn(rows, columns), drawn(rows, columns)) for _ in range(count)]
    weight = drawn(columns, NARROW)

    def run() -> list[Any]:
        made = []
        for x, grad in pairs:
            masked = grad * (x > 0)
            made += [masked.sum(0), masked @ weight]
        return made

    return run, count


def measure(module: Any, rows: int, columns: int, seconds: float) -> float:
    run, count = steps(module, rows, columns)
    step = tidu.compile(run) if module is tidu else run
    for _ in range(8):
        step()[-1].numpy()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        step()[-1].numpy()
        times.append(time.perf_counter() - start)
    return statistics.median(times) / count * 1e6


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    print(f"{'rows x columns':>16} {'PyTorch us':>12} {'tidu us':>9}")
    for rows, columns in SHAPES:
        theirs, ours = (measure(module, rows, columns, seconds) for module in (torch, tidu))
        print(f"{f'{rows} x {columns}':>16} {theirs:12.0f} {ours:9.0f}")


if __name__ == "__main__":
    main()
