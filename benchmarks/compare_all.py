"""Every workload under every framework, and how far each is from what the machine could do.

    python benchmarks/compare_all.py [mlp ...] [--jax-python PATH] > table.md

Each measurement is a process of its own, with empty compiler caches (`measure.py` says what it
measures); the frameworks take turns, --rounds times, and the round with the fastest step counts:
noise only ever adds time. JAX runs hand-written ports, which --check compares with PyTorch first,
in float64. The limit is arithmetic over measured rates (`limits.py`, `machine.py`); how far a step
is from it is shown where the limit is a microsecond or more, since below that it says nothing.
Progress goes to stderr, tables in markdown to stdout. Exit status 1 if something failed.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import machine
from harness import HERE, WORKLOADS, load, print_table, run_child, short

Row = dict[str, Any]
Results = dict[str, dict[str, Row]]  # workload → system → row

DRIFT = 1e-6  # of a port from PyTorch in 20 steps in float64
MEANINGFUL = 1e-6  # seconds: a limit below this says nothing


@dataclasses.dataclass(frozen=True)
class System:
    module: str
    compile: bool = False


SYSTEMS = {
    "PyTorch": System("torch"),
    "torch.compile": System("torch", compile=True),
    "JAX": System("jax_ports"),
    "tidu": System("tidu"),
    "tidu.compile": System("tidu", compile=True),
}
RATIOS = (("tidu", "PyTorch"), ("tidu.compile", "PyTorch"), ("tidu.compile", "JAX"))


def record(name: str, args: argparse.Namespace, path: Path, *options: str) -> Row:
    """Let PyTorch write down where a port starts; the losses that follow, for as many as asked."""
    command = [args.torch_python, HERE / "trajectory.py", "torch", name, "--record", path]
    return run_child([*command, "--workloads", args.workloads, *options])


def drift(name: str, args: argparse.Namespace) -> float:
    """The largest difference of a loss between JAX and PyTorch, in parts of the largest loss."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "record.npz"
        torch = record(name, args, path, "--double", "--without-dropout")
        jax = run_child([args.jax_python, HERE / "jax_ports.py", name, path, "--without-dropout"])
    for row in (torch, jax):
        if "error" in row:
            raise SystemExit(f"{name}: {row['error']}")
    largest = max(map(abs, torch["losses"]))
    return max(abs(a - b) for a, b in zip(jax["losses"], torch["losses"])) / largest


def measure(name: str, system: System, args: argparse.Namespace) -> Row:
    """One process; what a compiler keeps on disk goes to a folder that is new, and removed."""
    python = {"torch": args.torch_python, "jax_ports": args.jax_python}
    command = [python.get(system.module, sys.executable), HERE / "measure.py", system.module, name]
    command += ["--seconds", str(args.seconds), "--warmup", str(args.warmup)]
    command += ["--workloads", args.workloads, *["--compile"] * system.compile]
    with tempfile.TemporaryDirectory() as folder:
        if system.module == "jax_ports":
            path = Path(folder) / "record.npz"
            record(name, args, path, "--steps", "0")
            command += ["--record", path]
        caches = {"TIDU_CACHE_DIR": folder, "TORCHINDUCTOR_CACHE_DIR": folder}
        return run_child(command, args.timeout, caches)


def measure_all(
    names: Sequence[str], wanted: Callable[[str, str], bool], args: argparse.Namespace
) -> Results:
    results: Results = {name: {} for name in names}
    for name in names:
        for _ in range(args.rounds):
            for label in args.systems:
                best = results[name].get(label, {})
                if "error" in best or not wanted(name, label):
                    continue
                row = measure(name, SYSTEMS[label], args)
                told = row.get("error") or f"{row['median'] * 1e6:.1f} µs"
                print(f"{name} {label}: {told}", file=sys.stderr, flush=True)
                if "error" in row or row["median"] < best.get("median", math.inf):
                    results[name][label] = row
    return results


def limit(count: Row, rates: Row) -> tuple[float, float]:
    """Seconds for the operations and for the bytes of a step."""
    return (
        count["operations"] / rates["operations"],
        count["bytes"] / machine.bandwidth(rates["bytes"], count["bytes"]),
    )


def ratio(rows: dict[str, Row], above: str, below: str) -> float | None:
    try:
        return float(rows[above]["median"] / rows[below]["median"])
    except KeyError:  # not measured, or failed
        return None


def quotient(rows: dict[str, Row], label: str, seconds: float) -> float | None:
    median = rows.get(label, {}).get("median")
    return median / seconds if median and seconds >= MEANINGFUL else None


def geometric_mean(numbers: Sequence[float | None]) -> float | None:
    present = [math.log(number) for number in numbers if number]
    return math.exp(statistics.fmean(present)) if present else None


def print_steps(results: Results, limits: dict[str, float], systems: Sequence[str]) -> None:
    ours = [label for label in systems if SYSTEMS[label].module == "tidu"]
    pairs = [pair for pair in RATIOS if set(pair) <= set(systems)]
    header = ["workload", *systems, "limit", *(f"{label} × limit" for label in ours)]
    header += [f"{above} / {below}" for above, below in pairs]
    rows = []
    for name, row in results.items():
        times = [short(row.get(label, {}).get("median"), 1e-6) for label in systems]
        distances = [short(quotient(row, label, limits[name])) for label in ours]
        ratios = [short(ratio(row, *pair)) for pair in pairs]
        rows.append([name, *times, short(limits[name], 1e-6), *distances, *ratios])
    means = [geometric_mean([ratio(row, *pair) for row in results.values()]) for pair in pairs]
    blanks = [""] * (len(header) - len(pairs) - 1)
    rows.append(["geometric mean", *blanks, *(short(mean) for mean in means)])
    print("\n## One step, in microseconds\n")
    print_table(header, rows)


def print_columns(
    title: str, results: Results, systems: Sequence[str], show: Callable[[Row], str]
) -> None:
    """A table of one cell for each workload and system."""
    print(f"\n## {title}\n")
    rows = [
        [name, *(show(row[label]) if "median" in row.get(label, {}) else "–" for label in systems)]
        for name, row in results.items()
    ]
    print_table(["workload", *systems], rows)


def print_limits(counts: dict[str, Row], rates: Row) -> None:
    header = ["workload", "operations (M)", "read (MB)", "left (MB)", "made (MB)", "bytes (MB)"]
    header += ["operations µs", "bytes µs"]
    rows = []
    for name, count in counts.items():
        keys = ("operations", "read", "left", "made", "bytes")
        amounts = [short(count[key], 1e6) for key in keys]
        rows.append([name, *amounts, *(short(seconds, 1e-6) for seconds in limit(count, rates))])
    print("\n## Where the limit comes from\n")
    print_table(header, rows)


def print_conditions(results: Results, systems: Sequence[str], rates: Row) -> None:
    processor = next(
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )
    print(f"{processor}, {rates['cores']} cores: {rates['operations'] / 1e9:.0f} GFLOP/s;", end=" ")
    sizes = (f"{rate / 1e9:.0f} ({int(size) >> 20} MiB)" for size, rate in rates["bytes"].items())
    print(f"GB/s by working set: {', '.join(sizes)}.")
    for label in systems:
        versions = {
            row[label]["version"] for row in results.values() if "version" in row.get(label, {})
        }
        print(f"{label}: {', '.join(sorted(versions)) or 'not measured'}.")


def print_failures(results: Results) -> int:
    failures = [
        f"- {name}, {label}: {row['error']}"
        for name, rows in results.items()
        for label, row in rows.items()
        if "error" in row
    ]
    if failures:
        print("\n## Failures\n", *failures, sep="\n")
    return len(failures)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="workloads; all of the file if none is named")
    parser.add_argument("--workloads", type=Path, default=WORKLOADS)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--torch-python", default=sys.executable)
    parser.add_argument("--jax-python", default=sys.executable, help="a Python that has JAX")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5, help="of steps that are timed")
    parser.add_argument("--warmup", type=float, default=4.0, help="seconds of steps before those")
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds for one measurement")
    parser.add_argument("--check", action="store_true", help="compare the ports with PyTorch first")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    workloads = load(args.workloads)
    names = args.names or list(workloads.ALL)
    ports = run_child([args.jax_python, HERE / "jax_ports.py", "list"]).get("ports", [])
    if args.check:
        for name in (name for name in names if name in ports):
            found = drift(name, args)
            print(f"{name}: JAX drifts by {found:.1e} from PyTorch", file=sys.stderr)
            assert found <= DRIFT, f"the port of {name} computes something else"

    def wanted(name: str, label: str) -> bool:
        system = SYSTEMS[label]
        portable = system.module != "jax_ports" or name in ports
        return portable and not (system.compile and name in workloads.READS)

    rates = run_child([sys.executable, HERE / "machine.py"])
    command = [args.torch_python, HERE / "limits.py", *names, "--json"]
    counts = run_child([*command, "--workloads", args.workloads])
    for row in (rates, counts):
        if "error" in row:
            raise SystemExit(row["error"])
    results = measure_all(names, wanted, args)

    print_conditions(results, args.systems, rates)
    limits = {name: max(limit(counts[name], rates)) for name in names}
    print_steps(results, limits, args.systems)
    print_columns(
        "First step / until the steps have settled, in milliseconds",
        results,
        args.systems,
        lambda row: f"{short(row['first'], 1e-3)} / {short(row['settled'], 1e-3)}",
    )
    print_columns(
        "Peak memory in MiB / page faults in a steady step",
        results,
        args.systems,
        lambda row: f"{row['peak']:.0f} / {short(row['faults'])}",
    )
    print_limits(counts, rates)
    return 1 if print_failures(results) else 0


if __name__ == "__main__":
    sys.exit(main())
