"""Programs whose regions have many structures, each of which comes a few times.

    python benchmarks/lengths.py [generation ...] [--rounds 6]

Each runs under PyTorch and under tidu, in processes of their own and with an empty cache. What is
printed is milliseconds for one step, round after round, as structures come to be known; and how
many programs were compiled in the end, of how many structures.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from harness import print_table, run_child, short

# A round: it takes so many steps.
Round = Callable[[], int]
PROGRAMS: dict[str, Callable[[Any, np.random.Generator], Round]] = {}


def program(build: Callable[[Any, np.random.Generator], Round]) -> Any:
    PROGRAMS[build.__name__] = build
    return build


@program
def generation(T: Any, rng: np.random.Generator) -> Round:
    """A Transformer of two layers writes 100 words, and reads at most the last 64."""
    nn = T.nn
    words, places = nn.Embedding(65, 64), nn.Embedding(64, 64)
    layer = nn.TransformerEncoderLayer(64, 4, 256, dropout=0.0, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).train()
    head = nn.Linear(64, 65)

    def round_() -> int:
        text = T.zeros(1, 1, dtype=T.long)
        with T.no_grad():
            for _ in range(100):
                seen = text[:, -64:]
                hidden = encoder(words(seen) + places(T.arange(seen.shape[1])))
                chances = head(hidden[:, -1]).softmax(-1)
                text = T.cat((text, T.multinomial(chances, 1)), 1)
        return 100

    return round_


@program
def sentences(T: Any, rng: np.random.Generator) -> Round:
    """A GRU learns from sentences of 3 to 60 words, one at a time."""
    nn = T.nn
    words, recurrent, head = nn.Embedding(200, 64), nn.GRU(64, 64), nn.Linear(64, 5)
    parameters = [p for part in (words, recurrent, head) for p in part.parameters()]
    optimizer = T.optim.Adam(parameters, lr=1e-3)
    lengths = rng.integers(3, 60, 60)
    data = [T.from_numpy(rng.integers(0, 200, n)) for n in lengths]
    labels = [T.from_numpy(rng.integers(0, 5, 1)) for _ in lengths]

    def round_() -> int:
        for x, y in zip(data, labels, strict=True):
            optimizer.zero_grad()
            hidden, _ = recurrent(words(x).unsqueeze(1))
            loss = nn.functional.cross_entropy(head(hidden[-1]), y)
            loss.backward()
            optimizer.step()
            loss.item()
        return len(data)

    return round_


@program
def images(T: Any, rng: np.random.Generator) -> Round:
    """A small convolutional network is asked about images of all sizes."""
    nn = T.nn
    model = nn.Sequential(
        *(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 10)),
    )
    sizes = rng.integers(20, 60, (60, 2))
    data = [
        T.from_numpy(rng.standard_normal((1, 3, 2 * int(h), 2 * int(w)), dtype=np.float32))
        for h, w in sizes
    ]

    def round_() -> int:
        with T.no_grad():
            for x in data:
                model(x).softmax(-1).argmax().item()
        return len(data)

    return round_


@program
def slices(T: Any, rng: np.random.Generator) -> Round:
    """An MLP learns from parts of its data, cut out by where they begin."""
    nn = T.nn
    model = nn.Sequential(
        nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3)
    )
    optimizer = T.optim.Adam(model.parameters(), lr=1e-3)
    x = T.from_numpy(rng.standard_normal((6400, 20), dtype=np.float32))
    y = T.from_numpy(rng.integers(0, 3, 6400))

    def round_() -> int:
        for start in range(0, len(x), 64):
            optimizer.zero_grad()
            part = slice(start, start + 64)
            loss = nn.functional.cross_entropy(model(x[part]), y[part])
            loss.backward()
            optimizer.step()
        loss.item()
        return len(x) // 64

    return round_


def observe(name: str, module: str, rounds: int) -> dict[str, Any]:
    """Milliseconds for a step in each round."""
    T = importlib.import_module(module)
    T.manual_seed(0)
    run = PROGRAMS[name](T, np.random.default_rng(0))
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        steps = run()
        times.append((time.perf_counter() - start) / steps)
    tiers = T.compiler.stats()["tiers"] if module == "tidu" else {}
    return {"times": times, "tiers": tiers}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--observe", metavar="MODULE", help="run one program in this process")
    args = parser.parse_args()
    if args.observe:
        print(json.dumps(observe(args.names[0], args.observe, args.rounds)))
        return 0

    rows, failures = [], 0
    for name in args.names or PROGRAMS:
        for module in ("torch", "tidu"):
            command = [sys.executable, __file__, name, "--rounds", str(args.rounds)]
            with tempfile.TemporaryDirectory() as folder:
                found = run_child(
                    [*command, "--observe", module], environment={"TIDU_CACHE_DIR": folder}
                )
            failures += "error" in found
            times = [short(t, 1e-3) for t in found.get("times", ())]
            tiers = found.get("tiers") or {}
            compiled = f"{tiers['compiled']} of {sum(tiers.values())}" if tiers else "–"
            rows.append([name, module, found.get("error") or " ".join(times), compiled])
    print_table(["program", "under", "ms a step, by rounds", "compiled"], rows)
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
