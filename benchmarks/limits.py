"""Counts what a step must do at the least: operations of its products, bytes of its state.

    python benchmarks/limits.py [mlp ...] [--workloads PATH] [--json]

The step runs under PyTorch, which shows every operation it does with its shapes.

*Operations* are those of matrix products and convolutions, forward and backward: twice the
multiplications of each. Everything else (exp and tanh, norms, updates) is not counted.

*Bytes* are counted as if all else were fused into the products and everything passed memory once:
- what was there before the step and is read by it: parameters, optimizer state, data, once;
- what the step leaves behind: new parameters and state, gradients, statistics, once;
- what a product reads and the step itself has made: twice (written, and read again).

The limit of a workload is the longer of operations / peak and bytes / bandwidth, as `machine.py`
measures them; bandwidth is that of a working set of so many bytes, which may fit into a cache. It
leaves out calls, dependencies between small operations and transcendental functions, so the small
workloads stay far from it.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import WORKLOADS, load, print_table, short
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten


def matrices(a: torch.Tensor, b: torch.Tensor) -> int:
    """(..., m, k) × (..., k, n): 2·m·k·n for each matrix."""
    return 2 * a.numel() * b.shape[-1]


def convolution(outputs: torch.Tensor, weight: torch.Tensor) -> int:
    """Each output adds one product for each input channel of its group and each tap."""
    return 2 * outputs.numel() * math.prod(weight.shape[1:])


def convolution_forward(result: torch.Tensor, arguments: Sequence[Any]) -> int:
    x, weight, transposed = arguments[0], arguments[1], arguments[6]
    return convolution(x if transposed else result, weight)


def convolution_backward(result: Any, arguments: Sequence[Any]) -> int:
    """As much as forward for the gradient of the input, and again for that of the weight."""
    cotangent, x, weight, transposed, wanted = *arguments[:3], arguments[7], arguments[10]
    return convolution(x if transposed else cotangent, weight) * sum(wanted[:2])


PRODUCTS: dict[Any, Callable[[Any, Sequence[Any]], int]] = {
    aten.mm.default: lambda _, arguments: matrices(*arguments[:2]),
    aten.bmm.default: lambda _, arguments: matrices(*arguments[:2]),
    aten.addmm.default: lambda _, arguments: matrices(*arguments[1:3]),
    aten.baddbmm.default: lambda _, arguments: matrices(*arguments[1:3]),
    aten.convolution.default: convolution_forward,
    aten.convolution_backward.default: convolution_backward,
}


def tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def storages(found: Iterable[torch.Tensor]) -> dict[int, int]:
    """Address and bytes of the memory behind tensors; views share it."""
    memory = (tensor.untyped_storage() for tensor in found)
    return {storage.data_ptr(): storage.nbytes() for storage in memory if storage.nbytes()}


class Watch(TorchDispatchMode):
    """Adds up operations, and keeps what was read alive, so that addresses stay unique."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0
        self.read: list[torch.Tensor] = []
        self.operands: list[torch.Tensor] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        read = tensors((args, kwargs))
        if function in PRODUCTS:
            self.operations += PRODUCTS[function](result, args)
            self.operands += read
        if not function.is_view:
            self.read += read
        return result


def living() -> list[torch.Tensor]:
    gc.collect()
    return [x for x in gc.get_objects() if issubclass(type(x), torch.Tensor)]


def count(step: Callable[[], torch.Tensor]) -> dict[str, float]:
    """Operations and bytes of a step that has been run before (so that its state exists)."""
    before = living()
    versions = [tensor._version for tensor in before]
    resident = storages(before)
    # Plain kernels, so that what LSTM and attention do inside comes into sight.
    plain = (torch.backends.mkldnn.flags(enabled=False), sdpa_kernel(SDPBackend.MATH))
    with plain[0], plain[1], Watch() as watch:
        loss = step()
    read = {at: size for at, size in storages(watch.read).items() if at in resident}
    operands = storages(watch.operands)
    watch.read, watch.operands = [], []
    written = [tensor for tensor, version in zip(before, versions) if tensor._version != version]
    after = {at: size for at, size in storages(living()).items() if at not in resident}
    left = storages([*written, loss]) | after
    made = {at: size for at, size in operands.items() if at not in resident | left}
    return {
        "operations": watch.operations,
        "read": sum(read.values()),
        "left": sum(left.values()),
        "made": sum(made.values()),
        "bytes": sum(read.values()) + sum(left.values()) + 2 * sum(made.values()),
    }


def count_workload(build: Callable[[Any, Any], Any]) -> dict[str, float]:
    torch.manual_seed(0)
    step = build(torch, np.random.default_rng(0))
    step().item()
    return count(step)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--workloads", type=Path, default=WORKLOADS)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    args = parser.parse_args()
    warnings.simplefilter("ignore", FutureWarning)  # of torch's own modules when they are listed
    table = load(args.workloads).ALL
    counts = {name: count_workload(table[name]) for name in args.names or table}
    if args.json:
        print(json.dumps(counts))
        return
    columns = ("operations", "read", "left", "made", "bytes")
    rows = [[name, *(short(row[key], 1e6) for key in columns)] for name, row in counts.items()]
    print_table(["workload", "operations (M)", *(f"{key} (MB)" for key in columns[1:])], rows)


if __name__ == "__main__":
    main()
