"""What one small operation costs before any number is worked out: forward, tape and backward.

    python benchmarks/cost_per_op.py [repetitions]

Each column is the best of the repetitions, in microseconds of processor time per operation, over a
chain of 1000 operations on 8 numbers. `forward` records under no_grad, `tape` is what recording
with gradients adds, `backward` sends the gradient back; nothing of it is run. `run` is the time
that working out the numbers then takes, per operation.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import tidu

COUNT = 1000


def chain(operation: Callable[[Any], Any], x: Any) -> Any:
    for _ in range(COUNT):
        x = operation(x)
    return x


def measure(operation: Callable[[Any], Any], repetitions: int) -> list[float]:
    """Forward, tape, backward and run, in microseconds per operation."""
    x = tidu.ones(8).requires_grad_()
    cotangent = tidu.ones(8)
    best = [float("inf")] * 4
    for _ in range(repetitions):
        x.grad = None
        tidu.realize()
        start = time.thread_time()
        with tidu.no_grad():
            unrecorded = chain(operation, x)
        forward = time.thread_time() - start
        del unrecorded
        tidu.realize()
        start = time.thread_time()
        y = chain(operation, x)
        recorded = time.thread_time()
        y.backward(cotangent)
        done = time.thread_time()
        tidu.realize()
        times = (forward, recorded - start, done - recorded, time.thread_time() - done)
        best = [min(b, t * 1e6 / COUNT) for b, t in zip(best, times, strict=True)]
    best[1] -= best[0]
    return best


def main() -> None:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    w = tidu.full((8,), 0.999)
    operations: dict[str, Callable[[Any], Any]] = {
        "x * 1.0001": lambda x: x * 1.0001,
        "x * w": lambda x: x * w,
        "x + w": lambda x: x + w,
        "x.tanh()": lambda x: x.tanh(),
        "torch.relu(x)": lambda x: tidu.relu(x),
        "x.view(8) * w": lambda x: x.view(8) * w,
    }
    columns = ("forward", "tape", "backward", "sum", "run")
    print(f"{'operation':22}" + "".join(f"{name:>10}" for name in columns))
    for name, operation in operations.items():
        forward, tape, backward, run = measure(operation, repetitions)
        row = (forward, tape, backward, forward + tape + backward, run)
        print(f"{name:22}" + "".join(f"{number:10.2f}" for number in row))


if __name__ == "__main__":
    main()
