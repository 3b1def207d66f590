"""What this machine can do: float32 operations and bytes in a second, on all cores.

    python benchmarks/machine.py

*Operations*: OpenBLAS multiplies 1024×1024 matrices, one product on each core at a time.
*Bytes*: each core adds two arrays of its own into a third (as in STREAM: two reads, one write),
over and over, for several sizes of all arrays together, since what fits into the caches is faster.
Each figure is the best of several rounds; a machine that is busy with something else shows less.
Prints one JSON object.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import scipy_openblas64

SIZES = tuple(2**20 * 4**i for i in range(5))  # 1 MiB to 256 MiB
ORDER, ROW_MAJOR, PLAIN = 1024, 101, 111  # the last two are CBLAS's words
CORES = len(os.sched_getaffinity(0))


def best_rate(work: Sequence[Callable[[], object]], amount: float, rounds: int) -> float:
    """Units of work in a second, `amount` for a call; each thread repeats a call of its own.

    All begin together, and the clock stops when the last is done.
    """
    repeats = max(2, int(0.05 / seconds_of(work[0])))
    best = 0.0
    for _ in range(rounds):
        barrier = threading.Barrier(len(work) + 1)

        def run(call: Callable[[], object], barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            for _ in range(repeats):
                call()

        threads = [threading.Thread(target=run, args=(call,)) for call in work]
        for thread in threads:
            thread.start()
        barrier.wait()
        begin = time.perf_counter()
        for thread in threads:
            thread.join()
        best = max(best, amount * repeats * len(work) / (time.perf_counter() - begin))
    return best


def seconds_of(call: Callable[[], object]) -> float:
    call()
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def operations_per_second(rounds: int = 7) -> float:
    library = Path(scipy_openblas64.get_lib_dir()) / f"lib{scipy_openblas64.get_library()}.so"
    blas = ctypes.CDLL(str(library))
    blas.scipy_openblas_set_num_threads64_(1)
    whole, number, address = ctypes.c_int64, ctypes.c_float, ctypes.c_void_p
    gemm = blas.scipy_cblas_sgemm64_
    gemm.argtypes = [
        *(ctypes.c_int, ctypes.c_int, ctypes.c_int, whole, whole, whole, number),
        *(address, whole, address, whole, number, address, whole),
    ]

    def product() -> Callable[[], object]:
        a, b, c = (np.ones((ORDER, ORDER), np.float32) for _ in range(3))
        n = ORDER

        def call() -> None:
            head = (ROW_MAJOR, PLAIN, PLAIN, n, n, n, 1.0)
            gemm(*head, a.ctypes.data, n, b.ctypes.data, n, 0.0, c.ctypes.data, n)

        return call

    return best_rate([product() for _ in range(CORES)], 2 * ORDER**3, rounds)


def bytes_per_second(size: int, rounds: int = 5) -> float:
    """When all arrays together have `size` bytes."""
    length = size // (3 * 4 * CORES)

    def addition() -> Callable[[], object]:
        a, b, c = (np.ones(length, np.float32) for _ in range(3))
        return lambda: np.add(a, b, out=c)

    return best_rate([addition() for _ in range(CORES)], 12 * length, rounds)


def bandwidth(measured: Mapping[str, float], size: float) -> float:
    """Bytes in a second for a working set of `size` bytes: the best for any that is no smaller."""
    fitting = [rate for at, rate in measured.items() if int(at) >= size]
    return max(fitting) if fitting else measured[str(SIZES[-1])]


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    rates = {str(size): bytes_per_second(size) for size in SIZES}
    row = {"cores": CORES, "operations": operations_per_second(), "bytes": rates}
    print(json.dumps(row))


if __name__ == "__main__":
    main()
