"""The world of processes, which has one member, and groups of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tidu.base.processes import ProcessGroup, World, world

_KNOWN = ("gloo", "nccl", "ucc", "mpi", "xccl", "fake", "undefined")


class Backend(str):
    """The name of a backend, in small letters. Only "gloo" can be had."""

    UNDEFINED = "undefined"
    GLOO = "gloo"
    NCCL = "nccl"
    UCC = "ucc"
    MPI = "mpi"
    XCCL = "xccl"

    def __new__(cls, name: str) -> Backend:
        return super().__new__(cls, name.lower())


class _Members(type):
    @property
    def WORLD(cls) -> ProcessGroup | None:
        """The group of all processes, None without one."""
        return World.group


class group(metaclass=_Members):  # noqa: N801 (PyTorch's name)
    """`group.WORLD` is the group of all processes."""


class GroupMember(metaclass=_Members):
    """`GroupMember.WORLD` is the group of all processes."""

    NON_GROUP_MEMBER = -100


def is_available() -> bool:
    """True: a process can be told that it is alone."""
    return True


def is_initialized() -> bool:
    """Whether `init_process_group` was called."""
    return World.group is not None


def is_gloo_available() -> bool:
    """True: one process needs nothing to talk to itself."""
    return True


def _unavailable(name: str) -> Any:
    def available() -> bool:
        return False

    available.__name__ = f"is_{name}_available"
    available.__doc__ = f"""False: there is no backend "{name}"."""
    return available


is_nccl_available = _unavailable("nccl")
is_mpi_available = _unavailable("mpi")
is_ucc_available = _unavailable("ucc")
is_xccl_available = _unavailable("xccl")


def is_backend_available(backend: str) -> bool:
    """Whether groups of that backend can be made."""
    return backend.lower() == "gloo"


def is_torchelastic_launched() -> bool:
    """Whether `torchrun` or the like has started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def init_process_group(
    backend: str | None = None,
    init_method: str | None = None,
    timeout: Any = None,
    world_size: int = -1,
    rank: int = -1,
    store: Any = None,
    group_name: str = "",
    pg_options: Any = None,
    device_id: Any = None,
) -> None:
    """Make this process the only member of the world.

    Size and rank are given, or with `init_method` "env://" (the default) they are RANK and
    WORLD_SIZE of the environment. Raises ValueError where they are not to be found or it is the
    second call, RuntimeError for backends other than "gloo", NotImplementedError for more than one
    process. Follows torch.distributed.init_process_group.

    >>> torch.distributed.init_process_group("gloo", rank=0, world_size=1)
    >>> torch.distributed.get_world_size()
    1
    >>> torch.distributed.destroy_process_group()
    """
    if World.group is not None:
        raise ValueError("trying to initialize the default process group twice!")
    name = _available_backend(backend)
    if init_method is not None and store is not None:
        raise AssertionError("Cannot specify both init_method and store.")
    if rank < 0 or world_size < 1:
        rank, world_size = _rendezvous(init_method, store, rank, world_size)
    if world_size != 1:
        raise NotImplementedError(
            f"torch.distributed.init_process_group(): tidu has no collectives between processes "
            f"yet, and was asked for {world_size}. Start the program as one process "
            "(WORLD_SIZE=1, or world_size=1)"
        )
    if rank != 0:
        raise ValueError(f"rank {rank} is not in a world of {world_size}")
    World.group = ProcessGroup(name, group_name or "0")


def _available_backend(backend: str | None) -> str:
    """ "cpu:gloo,cuda:nccl" and None mean what there is for the CPU."""
    name = "gloo" if backend is None else str(backend).lower()
    if ":" in name:
        name = dict(part.split(":", 1) for part in name.split(",")).get("cpu", name)
    if name not in _KNOWN:
        raise AssertionError(f"Unknown backend type {backend}")
    if name != "gloo":
        raise RuntimeError(
            f"Distributed package doesn't have {name.upper()} built in: use the backend 'gloo'"
        )
    return name


def _rendezvous(init_method: str | None, store: Any, rank: int, size: int) -> tuple[int, int]:
    """Rank and size as the query of the address says, or the environment."""
    address = urlsplit(init_method or "env://")
    scheme = address.scheme
    if scheme not in ("env", "tcp", "file"):
        raise RuntimeError(f"No rendezvous handler for {scheme}://")
    asked = parse_qs(address.query)
    found = {}
    for name, given, least in (("rank", rank, 0), ("world_size", size, 1)):
        if given >= least:
            found[name] = given
        elif name in asked:
            found[name] = int(asked[name][0])
        elif store is None and scheme == "env":
            found[name] = int(_environment(name.upper()))
        else:
            raise ValueError(
                f"Error initializing torch.distributed using {scheme}:// rendezvous: "
                f"{name.replace('_', ' ')} parameter missing"
            )
    return found["rank"], found["world_size"]


def _environment(name: str) -> str:
    if name not in os.environ:
        raise ValueError(
            "Error initializing torch.distributed using env:// rendezvous: "
            f"environment variable {name} expected, but not set"
        )
    return os.environ[name]


def destroy_process_group(group: ProcessGroup | None = None) -> None:
    """Forget a group, or with None the world. AssertionError where there is none."""
    if World.group is None:
        raise AssertionError("Process group cannot be None")
    if group is None or group is World.group:
        World.group = None


def get_rank(group: ProcessGroup | None = None) -> int:
    """The number of this process in `group` (the world): 0."""
    return (group or world()).rank()


def get_world_size(group: ProcessGroup | None = None) -> int:
    """How many processes `group` (the world) has: 1."""
    return (group or world()).size()


def get_node_local_rank(fallback_rank: int | None = None) -> int:
    """LOCAL_RANK of the environment, or `fallback_rank`; RuntimeError without either."""
    if "LOCAL_RANK" in os.environ:
        return int(os.environ["LOCAL_RANK"])
    if fallback_rank is not None:
        return int(fallback_rank)
    raise RuntimeError(
        "LOCAL_RANK is not in the environment. Consider passing fallback_rank to allow "
        "`get_node_local_rank` to work, assuming you are not running in a multi-device context and "
        "want the code to run locally instead."
    )


def get_backend(group: ProcessGroup | None = None) -> str:
    """The backend of `group` (the world)."""
    return (group or world()).backend


def get_default_backend_for_device(device: Any) -> str:
    """ "gloo": the backend for the CPU."""
    return "gloo"


def new_group(
    ranks: Sequence[int] | None = None,
    timeout: Any = None,
    backend: str | None = None,
    pg_options: Any = None,
    use_local_synchronization: bool = False,
    group_desc: str | None = None,
    device_id: Any = None,
) -> ProcessGroup:
    """A group of the processes `ranks`, which can only be [0]. ValueError for others."""
    whole = world()
    if ranks is not None and len(ranks) > whole.size():
        raise ValueError(
            "the new group's world size should be less or equal to the world size set by "
            "init_process_group"
        )
    if ranks is not None and list(ranks) != [0]:
        raise ValueError(
            "The new group's rank should be within the world_size set by init_process_group"
        )
    name = whole.backend if backend is None else _available_backend(backend)
    World.subgroups += 1
    return ProcessGroup(name, str(World.subgroups))


def get_process_group_ranks(group: ProcessGroup | None) -> list[int]:
    """The numbers that the members of `group` have in the world."""
    return list(range((group or world()).size()))


def get_global_rank(group: ProcessGroup, group_rank: int) -> int:
    """The number in the world of member `group_rank`. ValueError where there is no such."""
    return _member(group, group_rank)


def get_group_rank(group: ProcessGroup, global_rank: int) -> int:
    """The number in `group` of a process of the world. ValueError where it is no member."""
    return _member(group, global_rank)


def _member(group: ProcessGroup, rank: int) -> int:
    if group is World.group:
        return rank  # unchecked, as in PyTorch
    if rank not in range(group.size()):
        raise ValueError(f"Global rank {rank} is not part of group {group}")
    return rank
