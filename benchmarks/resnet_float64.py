"""What a comparison of losses of the residual network means, in float64 and in float32.

    python benchmarks/resnet_float64.py [--workload resnet] [--steps 20]

In float64 tidu and PyTorch must print the same eight digits at every step. In float32 the training
is chaotic: what differs in the last bit, with the number of threads, without oneDNN, or in the data
itself, has grown into percents after some steps. So PyTorch is compared with itself, too, and each
with the float64 trajectory; below its own spread a float32 comparison has no meaning. Exit status 1
if the float64 losses differ.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from harness import HERE, WORKLOADS, print_table, run_child

DIGITS = 8
TORCH32 = {
    "PyTorch, 2 threads": ("torch", "--threads", "2"),
    "PyTorch, 1 thread": ("torch", "--threads", "1"),
    "PyTorch, 2 threads, without oneDNN": ("torch", "--threads", "2", "--without-onednn"),
    "PyTorch, 1 thread, without oneDNN": ("torch", "--threads", "1", "--without-onednn"),
    "PyTorch, 2 threads, data off by a rounding": ("torch", "--threads", "2", "--nudge", "1"),
    "PyTorch, 2 threads, data off by another": ("torch", "--threads", "2", "--nudge", "2"),
}


def losses(args: argparse.Namespace, module: str, *options: str) -> list[float]:
    command = [sys.executable, HERE / "trajectory.py", module, args.workload, *options]
    row = run_child([*command, "--steps", str(args.steps), "--workloads", args.workloads])
    if "error" in row:
        raise SystemExit(f"{module} {' '.join(options)}: {row['error']}")
    return list(map(float, row["losses"]))


def spread(a: Sequence[float], b: Sequence[float]) -> float:
    """The largest relative difference of any step."""
    return max(abs(x - y) / abs(y) for x, y in zip(a, b))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workload", default="resnet")
    parser.add_argument("--workloads", type=Path, default=WORKLOADS)
    parser.add_argument("--steps", type=int, default=20)
    args = parser.parse_args()

    exact, ours = (losses(args, module, "--double") for module in ("torch", "tidu"))
    rows = [
        [str(i), f"{a:.{DIGITS}g}", f"{b:.{DIGITS}g}"]
        for i, (a, b) in enumerate(zip(exact, ours), 1)
    ]
    print_table(["step", "PyTorch, float64", "tidu, float64"], rows)
    differing = sum(row[1] != row[2] for row in rows)
    print(f"\nlargest difference in float64: {spread(ours, exact):.1e}\n")

    single = {label: losses(args, *how) for label, how in TORCH32.items()}
    single["tidu"] = losses(args, "tidu")
    default = single["PyTorch, 2 threads"]
    table = [
        [label, f"{found[-1]:.6f}", f"{spread(found, default):.1e}", f"{spread(found, exact):.1e}"]
        for label, found in single.items()
    ]
    header = ["float32", f"loss {args.steps}", "from PyTorch, 2 threads", "from float64"]
    print_table(header, table)
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main())
