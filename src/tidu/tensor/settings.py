"""Settings: the default device, how exact products of matrices are, and the least numbers."""

from __future__ import annotations

from typing import Any

from tidu.backends import threads
from tidu.base import devices, dtypes
from tidu.base.devices import CPU, device
from tidu.base.source import warn
from tidu.execute import realize
from tidu.tensor.conversion import dtype_of_type

__all__ = [
    "get_default_device",
    "get_float32_matmul_precision",
    "get_num_interop_threads",
    "set_default_device",
    "set_default_tensor_type",
    "set_float32_matmul_precision",
    "set_flush_denormal",
    "set_num_interop_threads",
]

_PRECISIONS = ("highest", "high", "medium")
_chosen = {"matmul": "highest"}


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` was last given, "highest" at first."""
    return _chosen["matmul"]


def set_float32_matmul_precision(precision: str) -> None:
    """How far products of float32 matrices may be rounded: "highest", "high" or "medium".

    A limit, not an order: here they are computed in float32 whatever is allowed.
    """
    if precision not in _PRECISIONS:
        warn(
            f"{precision} is not one of 'highest', 'high', or 'medium'; the current "
            "setFloat32MatmulPrecision call has no effect.",
        )
        return
    _chosen["matmul"] = precision


def get_num_interop_threads() -> int:
    """1: calls are not run beside each other, but shared among the threads of `get_num_threads`."""
    return 1


def set_num_interop_threads(num: int, /) -> None:
    """A limit, which is kept: see `get_num_interop_threads`."""
    if num < 1:
        raise RuntimeError("set_num_interop_threads: expects a positive number")


def set_flush_denormal(mode: bool, /) -> bool:
    """Whether this thread takes numbers too small to be normal (below 1.2e-38 in float32, 2.2e-308
    in float64 and in Python's own floats) for zero, with a sign, as operands and as results.

    Processors take up to a hundred times as long for such numbers, which vanishing gradients are
    full of. What a thread starts runs as it has said, on however many workers; other threads that
    are there already go on as they are. Returns False, and does nothing, where the processor
    cannot do it. As in PyTorch, a RuntimeError is raised for what is not a bool.

        tidu.set_flush_denormal(True)
        tidu.tensor(1e-30) * 1e-10  # 0, not 1e-40
    """
    if not isinstance(mode, bool):
        raise RuntimeError(f"flush_denormal expects a bool, but got {type(mode).__name__}")
    if not threads.can_flush_denormal():
        return False
    realize()  # what was asked for before
    threads.flush_denormal(mode)
    return True


def get_default_device() -> device:
    """Where tensors are made: the CPU."""
    return CPU


def set_default_device(device: Any) -> None:
    """Make tensors on `device` from here on: "cpu" or None, an error for all others."""
    if device is not None:
        devices.check(device)


def set_default_tensor_type(t: Any) -> None:
    """`set_default_dtype` of former times: takes a type such as torch.DoubleTensor, or its name."""
    dtypes.set_default_dtype(dtype_of_type(t))
