"""The processes that work together. So far that is one: this process, once it has said so."""

from __future__ import annotations


class ProcessGroup:
    """The processes of a collective operation, of which this one is number `rank` of `size`."""

    def __init__(self, backend: str, name: str) -> None:
        self.backend = backend
        self.group_name = name

    def rank(self) -> int:
        """The number of this process in the group."""
        return 0

    def size(self) -> int:
        """How many processes there are."""
        return 1

    def name(self) -> str:
        """The name of the backend."""
        return self.backend


class World:
    """The group of all processes, between `init_process_group` and `destroy_process_group`."""

    group: ProcessGroup | None = None
    subgroups = 0  # how many groups were made of it


def world() -> ProcessGroup:
    """The group of all processes; ValueError where there is none yet, worded as in PyTorch."""
    if World.group is None:
        raise ValueError(
            "Default process group has not been initialized, please make sure to call "
            "init_process_group."
        )
    return World.group
