"""The losses of the first steps of a workload, under a module and in a precision of choice.

    python benchmarks/trajectory.py torch mlp --steps 20 --double

Prints one JSON object. With --record it also writes what a port of the workload needs to start from
the same point: the parameters, in the order in which the optimizer has them, and the data drawn.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from harness import WORKLOADS, Draws, load


def parameters(T: Any) -> list[Any]:
    """What the living optimizers update, in the order in which they were made."""
    gc.collect()  # which leaves the oldest first
    optimizers = [x for x in gc.get_objects() if issubclass(type(x), T.optim.Optimizer)]
    return [p for optimizer in optimizers for g in optimizer.param_groups for p in g["params"]]


def build(T: Any, workload: Any, double: bool, nudge: int | None = None) -> tuple[Any, Draws]:
    """The step of a workload and what it drew.

    In float64 it begins where it does in float32: layers draw other numbers for another precision,
    so it is built in both, and takes the parameters over.
    """
    T.manual_seed(0)
    draws = Draws(0, nudge=nudge)
    step = workload(T, draws)
    if double:
        values = [p.detach().numpy().copy() for p in parameters(T)]
        del step  # and the optimizers with it, so that only the new ones are found below
        T.set_default_dtype(T.float64)
        draws = Draws(0, double=True)
        step = workload(T, draws)
        for p, value in zip(parameters(T), values):
            p.data.copy_(T.from_numpy(value))
    return step, draws


def record(path: Path, T: Any, draws: Draws) -> None:
    arrays = {f"parameter{i}": p.detach().numpy() for i, p in enumerate(parameters(T))}
    arrays |= {f"draw{i}": array for i, array in enumerate(draws.drawn)}
    np.savez(path, **arrays)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("module")
    parser.add_argument("name")
    parser.add_argument("--workloads", type=Path, default=WORKLOADS)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--double", action="store_true", help="compute in float64")
    parser.add_argument("--nudge", type=int, metavar="SEED", help="draws are off by one rounding")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--without-onednn", action="store_true", help="(torch only)")
    parser.add_argument("--without-dropout", action="store_true", help="F.dropout passes through")
    parser.add_argument("--record", type=Path, metavar="FILE.npz")
    args = parser.parse_args()

    T = importlib.import_module(args.module)
    if args.threads:
        T.set_num_threads(args.threads)
    if args.without_onednn:
        T.backends.mkldnn.enabled = False
    if args.without_dropout:
        T.nn.functional.dropout = lambda x, *_, **__: x
    step, draws = build(T, load(args.workloads).ALL[args.name], args.double, args.nudge)
    if args.record:
        record(args.record, T, draws)
    print(json.dumps({"losses": [float(step().item()) for _ in range(args.steps)]}))


if __name__ == "__main__":
    main()
