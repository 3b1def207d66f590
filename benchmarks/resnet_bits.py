"""Whether a small ResNet has PyTorch's losses, bit for bit, step after step.

    python benchmarks/resnet_bits.py [STEPS]

Training it is chaotic in float32: one unit in the last place of one logit in a hundred changes the
loss of step 20 by a percent. So losses agree only if every operation, forward and backward, has the
bits of PyTorch with two threads. Prints both losses of each step, and ends with 1 if any differ.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import numpy as np
from workloads import ALL


def losses(module: str, steps: int) -> list[float]:
    library: Any = importlib.import_module(module)
    library.set_num_threads(2)
    library.manual_seed(0)
    step = ALL["resnet"](library, np.random.default_rng(0))
    return [step().item() for _ in range(steps)]


def main() -> int:
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    both = list(zip(losses("torch", steps), losses("tidu", steps), strict=True))
    for number, (wanted, found) in enumerate(both, 1):
        print(f"{number:4} {wanted!r:24} {found!r:24} {'' if wanted == found else 'differs'}")
    return int(any(wanted != found for wanted, found in both))


if __name__ == "__main__":
    sys.exit(main())
