"""How soon a fresh process trains, and how soon it does so with compiled programs.

    python benchmarks/cold_start.py [mlp ...] [--seconds 12]

Each workload runs in two processes one after the other: the first with an empty TIDU_CACHE_DIR, the
second with what the first left there. Times are counted from the beginning of the first step.
*compiled* is when `tidu.compiler.stats()` last changed, looked at after each step, so also when the
compiler, which works in the background, was done; *compiling* is the time it says to have spent.
*found* are the programs that were on disk whole.
Exit status 1 if a goal was missed: the first step within a second; compiled within 5 seconds with
an empty folder, and half a second with a warm one.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from harness import WORKLOADS, load, print_table, run_child, short

import tidu

FIRST, EMPTY, WARM = 1.0, 5.0, 0.5  # seconds


def progress() -> dict[str, float]:
    """Those of the compiler's counters that stand still once it is done."""
    stats = tidu.compiler.stats()
    return {key: stats[key] for key in ("programs", "kernels", "compile_seconds")}


def observe(name: str, workloads: Path, seconds: float) -> dict[str, Any]:
    """Train for some seconds and watch the compiler's counters."""
    tidu.manual_seed(0)
    step = load(workloads).ALL[name](tidu, np.random.default_rng(0))
    ends, seen, compiled = [0.0], progress(), 0.0
    start = time.perf_counter()
    while ends[-1] < seconds:
        step().item()
        ends.append(time.perf_counter() - start)
        if (now := progress()) != seen:
            seen, compiled = now, ends[-1]
    hits = {key: tidu.compiler.stats()[key] for key in ("plan_hits", "cache_hits")}
    times = {"first": ends[1], "compiled": compiled, "last": ends[-1] - ends[-2]}
    return {**times, **seen, **hits}


def describe(name: str, cache: str, row: dict[str, Any]) -> list[str]:
    if "error" in row:
        return [name, cache, row["error"], *[""] * 7]
    times = [short(row[key], 1e-3) for key in ("first", "compiled", "last")]
    counts = [str(row[key]) for key in ("programs", "plan_hits", "kernels", "cache_hits")]
    return [name, cache, *times, short(row["compile_seconds"], 1e-3), *counts]


def missed(row: dict[str, Any], limit: float) -> bool:
    return "error" in row or row["first"] > FIRST or row["compiled"] > limit


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--workloads", type=Path, default=WORKLOADS)
    parser.add_argument(
        "--seconds", type=float, default=12.0, help="how long to watch each process"
    )
    parser.add_argument("--observe", action="store_true", help="watch one workload in this process")
    args = parser.parse_args()
    if args.observe:
        print(json.dumps(observe(args.names[0], args.workloads, args.seconds)))
        return 0

    rows, failures = [], []
    for name in args.names or load(args.workloads).ALL:
        command = [sys.executable, __file__, name, "--observe", "--seconds", str(args.seconds)]
        command += ["--workloads", args.workloads]
        with tempfile.TemporaryDirectory() as folder:
            for cache, limit in (("empty", EMPTY), ("warm", WARM)):
                row = run_child(command, environment={"TIDU_CACHE_DIR": folder})
                rows.append(describe(name, cache, row))
                failures += [f"{name} ({cache})"] * missed(row, limit)
    header = ["workload", "cache", "first ms", "compiled ms", "last step ms", "compiling ms"]
    print_table([*header, "programs", "found", "kernels", "modules found"], rows)
    print(f"\nmissed: {', '.join(failures) or 'none'}")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
