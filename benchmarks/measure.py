"""Times one workload under one framework, in a process that does nothing else.

    python benchmarks/measure.py torch mlp [--compile] [--seconds 1.5] [--warmup 4]

Prints one JSON object, all times in seconds:

first    the first call of `step` and reading its loss, compilation included where it happens there
settled  from the beginning of the first step to the first nine steps after it that on average take
         at most 1.4 times as long as the steady step: when what compiles in the background, or
         again for the second step, has done so
median   of the steady steps, after --warmup seconds of steps that do not count
faults   page faults for each steady step: memory asked of the system (minor ones, no disk involved)
peak     resident memory of this process at its highest, in MiB; processes that a compiler starts
         (gcc, workers) are not in it
version  of the framework
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from harness import WORKLOADS, load

WINDOW, NEAR = 9, 1.4
MOST_STEPS = 20_000


def build(args: argparse.Namespace) -> Callable[[], Any]:
    """The step of the workload, in the framework asked for."""
    module = importlib.import_module(args.module)
    if args.record:
        return module.build(args.name, args.record)
    module.manual_seed(0)
    step = load(args.workloads).ALL[args.name](module, np.random.default_rng(0))
    return module.compile(step) if args.compile else step


def timed_steps(step: Callable[[], Any], seconds: float) -> list[tuple[float, float]]:
    """When each step began and ended; each reads its loss. At least one."""
    times: list[tuple[float, float]] = []
    stop = time.perf_counter() + seconds
    while not times or (times[-1][1] < stop and len(times) < MOST_STEPS):
        begin = time.perf_counter()
        step().item()
        times.append((begin, time.perf_counter()))
    return times


def settled(times: list[tuple[float, float]], steady: float) -> float:
    """When the steps became as fast as they will be, counted from the beginning of the first."""
    durations = [end - begin for begin, end in times]
    for i in range(1, len(times) - WINDOW):
        if statistics.fmean(durations[i : i + WINDOW]) <= NEAR * steady:
            return times[i][0] - times[0][0]
    return times[-1][1] - times[0][0]


def peak_resident() -> float:
    """In MiB, of this program alone (`ru_maxrss` would count the parent before it, too)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("module", help="torch, tidu or jax_ports")
    parser.add_argument("name")
    parser.add_argument("--workloads", type=Path, default=WORKLOADS)
    parser.add_argument("--record", type=Path, help="what a port starts from")
    parser.add_argument("--compile", action="store_true", help="wrap the step in module.compile")
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--warmup", type=float, default=4.0)
    args = parser.parse_args()

    step = build(args)
    warming = timed_steps(step, 0) + timed_steps(step, args.warmup)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    steady = timed_steps(step, args.seconds)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
    median = statistics.median(end - begin for begin, end in steady)
    row = {
        "first": warming[0][1] - warming[0][0],
        "settled": settled(warming + steady, median),
        "median": median,
        "faults": faults / len(steady),
        "peak": peak_resident(),
        "version": importlib.metadata.version("jax" if args.record else args.module),
    }
    print(json.dumps(row))


if __name__ == "__main__":
    main()
