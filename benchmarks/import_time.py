"""How long `import tidu` takes, beyond starting Python: the best of several fresh processes.

    python benchmarks/import_time.py [--rounds 10]

Prints milliseconds; the goal is below 250. Exit status 1 if it is missed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

GOAL = 0.25  # seconds


def seconds(statement: str) -> float:
    """The wall time of a fresh Python process that runs `statement`."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    best = {
        statement: min(seconds(statement) for _ in range(rounds))
        for statement in ("pass", "import numpy", "import tidu")
    }
    start = best.pop("pass")
    print(f"starting Python  {start * 1e3:6.0f} ms")
    for statement, total in best.items():
        print(f"{statement:<15}  {(total - start) * 1e3:6.0f} ms")
    return int(best["import tidu"] - start > GOAL)


if __name__ == "__main__":
    sys.exit(main())
