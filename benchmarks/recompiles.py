"""Ten thousand steps in which everything changes that must not cause compiling again.

    python benchmarks/recompiles.py [--steps 10000]

An MLP with dropout, Adam (whose bias correction changes with every step) and a cosine schedule for
the learning rate; 1,000 samples in batches of 96, so that each epoch ends with one of 40. Prints
`tidu.compiler.stats()` after 1, 2, 5, 10, 20, 50, ... steps. Exit status 1 if more than one program
for each of the two batch sizes is compiled after the second step.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator

import tidu
from tidu import nn

SAMPLES, BATCH, FEATURES, CLASSES = 1_000, 96, 32, 10
SIZES = {BATCH, SAMPLES % BATCH}
SHOWN = {digit * 10**power for digit in (1, 2, 5) for power in range(7)}


def batches() -> Iterator[tuple[tidu.Tensor, tidu.Tensor]]:
    x, y = tidu.randn(SAMPLES, FEATURES), tidu.randint(CLASSES, (SAMPLES,))
    data = tidu.utils.data.TensorDataset(x, y)
    loader = tidu.utils.data.DataLoader(data, batch_size=BATCH, shuffle=True)
    while True:
        yield from loader


def losses(steps: int) -> Iterator[float]:
    """Train, and tell the loss of each step."""
    tidu.manual_seed(0)
    wide = (nn.Linear(FEATURES, 128), nn.ReLU(), nn.Dropout(0.3))
    model = nn.Sequential(*wide, nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, CLASSES))
    optimizer = tidu.optim.Adam(model.parameters(), lr=1e-3)
    schedule = tidu.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    criterion = nn.CrossEntropyLoss()
    for _, (x, y) in zip(range(steps), batches()):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        schedule.step()
        yield loss.item()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=10_000)
    steps = parser.parse_args().steps
    start, early = time.perf_counter(), 0
    for step, loss in enumerate(losses(steps), 1):
        if step == 2:
            early = tidu.compiler.stats()["programs"]
        if step in SHOWN or step == steps:
            elapsed = time.perf_counter() - start
            print(f"step {step:>6}  {elapsed:7.2f} s  loss {loss:.4f}  {tidu.compiler.stats()}")
    late = tidu.compiler.stats()["programs"] - early
    print(f"programs compiled after step 2: {late} (at most {len(SIZES)}, one for each batch size)")
    return int(late > len(SIZES))


if __name__ == "__main__":
    sys.exit(main())
