"""`torch.cuda` for scripts that ask before they use it: there is no CUDA device.

What only asks (`is_available`, `device_count`, amounts of memory) or has nothing to do (seeds,
`empty_cache`) answers as PyTorch does without a GPU; what needs a device raises AssertionError.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NoReturn, final

from tidu.base.deferred import on_demand

__getattr__, __dir__ = on_demand(__name__, "amp", device="contexts", device_of="contexts")

_initialized = False
default_generators: tuple[Any, ...] = ()


def is_available() -> bool:
    """False: the usual ``'cuda' if torch.cuda.is_available() else 'cpu'`` chooses the CPU.

    >>> "cuda" if torch.cuda.is_available() else "cpu"
    'cpu'
    """
    return False


def is_initialized() -> bool:
    """False."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """False."""
    return False


def device_count() -> int:
    """0."""
    return 0


def manual_seed(seed: int) -> None:
    """Nothing to seed; `torch.manual_seed` seeds the CPU's generator."""


def manual_seed_all(seed: int) -> None:
    """Nothing to seed."""


def empty_cache() -> None:
    """Nothing to free."""


def memory_allocated(device: Any = None) -> int:
    """0 bytes."""
    return 0


def max_memory_allocated(device: Any = None) -> int:
    """0 bytes."""
    return 0


def memory_reserved(device: Any = None) -> int:
    """0 bytes."""
    return 0


def max_memory_reserved(device: Any = None) -> int:
    """0 bytes."""
    return 0


def memory_cached(device: Any = None) -> int:
    """0 bytes: the older name of `memory_reserved`."""
    return 0


def max_memory_cached(device: Any = None) -> int:
    """0 bytes: the older name of `max_memory_reserved`."""
    return 0


def memory_stats(device: Any = None) -> dict[str, Any]:
    """Nothing: no memory is in use."""
    return OrderedDict()


def get_arch_list() -> list[str]:
    """No architectures."""
    return []


def is_tf32_supported() -> bool:
    """False."""
    return False


def seed() -> None:
    """Nothing to seed."""


def set_rng_state_all(new_states: Any) -> None:
    """No device, no states."""
    for _ in new_states:
        _refuse("set_rng_state")


def get_rng_state_all() -> list[Any]:
    """No device, no states."""
    return []


class _TensorType(type):
    """No tensor is an instance of a CUDA type, and none can be made."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return False

    def __call__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(
            f"type torch.cuda.{cls.__name__} not available. Torch not compiled with CUDA enabled: "
            f"torch.{cls.__name__} is on the CPU."
        )


for _name in (
    *("BFloat16Tensor", "BoolTensor", "ByteTensor", "CharTensor", "DoubleTensor", "FloatTensor"),
    *("HalfTensor", "IntTensor", "LongTensor", "ShortTensor"),
):
    globals()[_name] = _TensorType(_name, (), {"__module__": "torch.cuda"})


def _refuse(name: str) -> NoReturn:
    raise AssertionError(
        f"torch.cuda.{name}() needs a CUDA device, and tidu runs on the CPU only. Ask "
        "torch.cuda.is_available() first."
    )


class OutOfMemoryError(RuntimeError):
    """What a program may catch; without a device nothing raises it."""


class _NoDevice:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError(
            f"Tried to instantiate dummy base class {type(self).__name__}: there is no CUDA "
            "device. Ask torch.cuda.is_available() first."
        )


@final
class Event(_NoDevice):
    """RuntimeError: there is no device whose work an event could mark."""


@final
class Stream(_NoDevice):
    """RuntimeError: there is no device to queue work on."""


def stream(stream: None) -> AbstractContextManager[None]:
    """A context without effect: there is no stream but None."""
    return nullcontext()


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """Nothing: no memory is in use."""
    return ""


def current_stream(device: Any = None) -> Any:
    """AssertionError."""
    _refuse("current_stream")


def init() -> None:
    """AssertionError, as for everything below: there is no device."""
    _refuse("init")


def synchronize(device: Any = None) -> None:
    """AssertionError."""
    _refuse("synchronize")


def set_device(device: Any) -> None:
    """AssertionError."""
    _refuse("set_device")


def current_device() -> int:
    """AssertionError."""
    _refuse("current_device")


def get_device_name(device: Any = None) -> str:
    """AssertionError."""
    _refuse("get_device_name")


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """AssertionError."""
    _refuse("get_device_capability")


def get_device_properties(device: Any = None) -> Any:
    """AssertionError."""
    _refuse("get_device_properties")


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """AssertionError."""
    _refuse("mem_get_info")


def default_stream(device: Any = None) -> Any:
    """AssertionError."""
    _refuse("default_stream")


def get_rng_state(device: Any = "cuda") -> Any:
    """AssertionError."""
    _refuse("get_rng_state")


def set_rng_state(new_state: Any, device: Any = "cuda") -> None:
    """AssertionError."""
    _refuse("set_rng_state")


def ipc_collect() -> None:
    """AssertionError."""
    _refuse("ipc_collect")


def set_sync_debug_mode(debug_mode: Any) -> None:
    """AssertionError."""
    _refuse("set_sync_debug_mode")


def get_sync_debug_mode() -> int:
    """AssertionError."""
    _refuse("get_sync_debug_mode")


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """AssertionError."""
    _refuse("set_per_process_memory_fraction")


def can_device_access_peer(device: Any, peer_device: Any) -> bool:
    """AssertionError."""
    _refuse("can_device_access_peer")


def reset_max_memory_allocated(device: Any = None) -> None:
    """AssertionError: the older name of `reset_peak_memory_stats`."""
    _refuse("reset_max_memory_allocated")


def reset_max_memory_cached(device: Any = None) -> None:
    """AssertionError: the older name of `reset_peak_memory_stats`."""
    _refuse("reset_max_memory_cached")


def reset_peak_memory_stats(device: Any = None) -> None:
    """AssertionError."""
    _refuse("reset_peak_memory_stats")
