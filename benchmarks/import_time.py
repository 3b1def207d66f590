"""How long `import tidu` takes, beyond starting Python: the best of several fresh processes.

    python benchmarks/import_time.py [--rounds 10]

Prints milliseconds; the goal is below 250. Exit status 1 if it is missed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time

GOAL = 0.25  # seconds


def best_seconds(statement: str, rounds: int, bytecode: str) -> float:
    """The least wall time of a fresh Python process that runs `statement`.

    The folder `bytecode` holds what Python has compiled: written in a first run that does not
    count, as it is when a package is installed.
    """
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True, env=environment)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as bytecode:
        best = {
            statement: best_seconds(statement, rounds, bytecode)
            for statement in ("pass", "import numpy", "import tidu")
        }
    start = best.pop("pass")
    print(f"starting Python  {start * 1e3:6.0f} ms")
    for statement, total in best.items():
        print(f"{statement:<15}  {(total - start) * 1e3:6.0f} ms")
    return int(best["import tidu"] - start > GOAL)


if __name__ == "__main__":
    sys.exit(main())
