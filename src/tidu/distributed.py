"""``torch.distributed`` for programs that ask whether they are one of several processes: they are
not.

What only asks answers as in a process that was started alone; what needs a process group raises
ValueError, as without `init_process_group`, which there is not yet.
"""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = [
    "all_gather", "all_reduce", "barrier", "broadcast", "destroy_process_group", "get_backend",
    "get_rank", "get_world_size", "init_process_group", "is_available", "is_gloo_available",
    "is_initialized", "is_mpi_available", "is_nccl_available", "is_torchelastic_launched", "reduce",
]  # fmt: skip


def is_available() -> bool:
    """False: there are no process groups."""
    return False


def is_initialized() -> bool:
    """False."""
    return False


def is_nccl_available() -> bool:
    """False."""
    return False


def is_gloo_available() -> bool:
    """False."""
    return False


def is_mpi_available() -> bool:
    """False."""
    return False


def is_torchelastic_launched() -> bool:
    """False: nothing has started several processes."""
    return False


def _refuse(name: str) -> NoReturn:
    raise ValueError(
        f"torch.distributed.{name}(): Default process group has not been initialized, and tidu "
        "works in one process only. Ask torch.distributed.is_available() first, or run the "
        "program as a single process."
    )


def init_process_group(*args: Any, **kwargs: Any) -> None:
    """ValueError, as for everything below: there are no process groups."""
    _refuse("init_process_group")


def destroy_process_group(group: Any = None) -> None:
    """ValueError."""
    _refuse("destroy_process_group")


def get_rank(group: Any = None) -> int:
    """ValueError."""
    _refuse("get_rank")


def get_world_size(group: Any = None) -> int:
    """ValueError."""
    _refuse("get_world_size")


def get_backend(group: Any = None) -> str:
    """ValueError."""
    _refuse("get_backend")


def barrier(*args: Any, **kwargs: Any) -> None:
    """ValueError."""
    _refuse("barrier")


def all_reduce(tensor: Any, *args: Any, **kwargs: Any) -> None:
    """ValueError."""
    _refuse("all_reduce")


def all_gather(tensor_list: Any, tensor: Any, *args: Any, **kwargs: Any) -> None:
    """ValueError."""
    _refuse("all_gather")


def broadcast(tensor: Any, *args: Any, **kwargs: Any) -> None:
    """ValueError."""
    _refuse("broadcast")


def reduce(tensor: Any, *args: Any, **kwargs: Any) -> None:
    """ValueError."""
    _refuse("reduce")
