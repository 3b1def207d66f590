"""Memory over a long training loop with Python's cycle collector off: it must not grow.

    python benchmarks/memory_flat.py [--steps 100000]

Each step is a small regression with what could leave something behind: hooks, retain_grad, in-place
edits through views, a custom Function, a second derivative, a step of SGD. Nothing in it is a
cycle, so reference counts must free all of it. Exit status 1 if after the first tenth the process
grows by more than 4 MB or the number of Python's objects by more than 200.
"""

from __future__ import annotations

import argparse
import gc
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tidu
from tidu.programs import programs

LIMIT = 4.0  # MB
MOST_OBJECTS = 200
WARMUP = 20  # steps, after which what is to be compiled has been ordered


class Square(tidu.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: tidu.Tensor) -> tidu.Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, grad: tidu.Tensor) -> tidu.Tensor:
        (x,) = ctx.saved_tensors
        return 2 * x * grad


def make_step() -> Callable[[], float]:
    """A training step on 16 samples of y = sin(3x), 8 hidden units."""
    tidu.manual_seed(0)
    x = tidu.linspace(-1, 1, 16).reshape(16, 1)
    target = tidu.sin(3 * x)
    w1 = tidu.randn(1, 8, requires_grad=True)
    w2 = tidu.randn(8, 1, requires_grad=True)
    seen = 0.0

    def step() -> float:
        nonlocal seen
        hidden = tidu.tanh(x @ w1)
        hidden.retain_grad()
        hidden.register_hook(lambda g: g * 1.0)
        out = tidu.zeros(16, 1)
        out[:8] = (hidden @ w2)[:8]
        out[8:] = (hidden @ w2)[8:]
        loss = Square.apply(out - target).mean()
        (slope,) = tidu.autograd.grad(loss, w2, create_graph=True)
        (loss + 1e-3 * (slope * slope).sum()).backward()
        with tidu.no_grad():
            for w in (w1, w2):
                assert w.grad is not None
                w -= 0.05 * w.grad
                w.grad = None
        seen = loss.item()
        return seen

    return step


def resident() -> float:
    """Memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100_000)
    steps = parser.parse_args().steps
    gc.disable()
    step = make_step()
    for _ in range(WARMUP):
        step()
    programs.wait()
    start, sizes, objects = time.perf_counter(), [], []
    for part in range(10):
        for _ in range(steps // 10):
            loss = step()
        objects.append(len(gc.get_objects()))
        sizes.append(resident())
        elapsed = time.perf_counter() - start
        print(
            f"{(part + 1) * (steps // 10):>8,} steps  {elapsed:6.1f} s  {sizes[-1]:7.2f} MB  "
            f"loss {loss:.5f}"
        )
    growth = sizes[-1] - sizes[0]
    more = objects[-1] - objects[0]
    print(f"growth after the first tenth: {growth:.2f} MB (limit: {LIMIT})")
    print(f"objects after the first tenth: {more} more (limit: {MOST_OBJECTS})")
    return int(growth > LIMIT or more > MOST_OBJECTS)


if __name__ == "__main__":
    raise SystemExit(main())
