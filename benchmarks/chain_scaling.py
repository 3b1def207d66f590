"""A chain of n operations, forward and backward: time for each, and memory, at four lengths.

    python benchmarks/chain_scaling.py [--lengths 1000 10000 100000 1000000]

The processor time of this thread for one operation should not depend on the length of the chain
(what is compiled beside it is not counted). What remains of it is memory: a chain of 1,000 fits
into the caches, one of 1,000,000 does not, and Python's cycle collector walks over it. Exit
status 1 if the slowest length takes twice as long as the fastest, which would mean that something
is not linear.
The chain is also dropped once without a backward pass.
"""

from __future__ import annotations

import argparse
import resource
import time

import tidu

GOAL, LIMIT = 1.3, 2.0


def chain(x: tidu.Tensor, length: int) -> tidu.Tensor:
    y = x
    for _ in range(length):
        y = y * 1.0000001
    return y.sum()


def seconds(length: int) -> float:
    """Forward, backward, and reading loss and gradient, for a chain of `length` operations."""
    x = tidu.ones(4, requires_grad=True)
    start = time.thread_time()
    loss = chain(x, length)
    loss.backward()
    loss.item()
    assert x.grad is not None
    x.grad.tolist()
    del loss  # taking the graph down belongs to it
    return time.thread_time() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--lengths", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000]
    )
    lengths = parser.parse_args().lengths
    seconds(1_000)  # the first pass through any code is slower
    per_operation = []
    for length in lengths:
        rounds = max(1, min(20, 400_000 // length))
        best = min(seconds(length) for _ in range(rounds))
        start = time.thread_time()
        chain(tidu.ones(4, requires_grad=True), length)  # dropped without a backward pass
        dropped = time.thread_time() - start
        per_operation.append(best / length)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{length:>9,} operations  {best / length * 1e6:6.2f} µs each  ({best:7.3f} s)   "
            f"forward and drop {dropped / length * 1e6:6.2f} µs each   peak memory {peak:7.0f} MB"
        )
    spread = max(per_operation) / min(per_operation)
    print(f"slowest / fastest: {spread:.2f} (goal: {GOAL}, limit: {LIMIT})")
    return int(spread > LIMIT)


if __name__ == "__main__":
    raise SystemExit(main())
