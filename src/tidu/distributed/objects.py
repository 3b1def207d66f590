"""What the processes of a group do with Python objects: for one process, keep or copy them."""

from __future__ import annotations

import pickle
from typing import Any

from tidu.base.processes import ProcessGroup, world


def _received(x: Any) -> Any:
    """What comes out at the other side: an equal object, but another one."""
    return pickle.loads(pickle.dumps(x))


def all_gather_object(object_list: list[Any], obj: Any, group: ProcessGroup | None = None) -> None:
    """The objects of all processes, as entries of `object_list`.

    >>> torch.distributed.init_process_group("gloo", rank=0, world_size=1)
    >>> metrics = [None]
    >>> torch.distributed.all_gather_object(metrics, {"loss": 0.5}); metrics
    [{'loss': 0.5}]
    >>> torch.distributed.destroy_process_group()
    """
    world()
    object_list[0] = _received(obj)


def gather_object(
    obj: Any,
    object_gather_list: list[Any] | None = None,
    dst: int | None = None,
    group: ProcessGroup | None = None,
    group_dst: int | None = None,
) -> None:
    """`all_gather_object`, of which only `dst` gets the list. ValueError without one there."""
    if not object_gather_list:
        raise ValueError("Argument ``object_gather_list`` must be specified on destination rank.")
    all_gather_object(object_gather_list, obj, group)


def broadcast_object_list(
    object_list: list[Any],
    src: int | None = None,
    group: ProcessGroup | None = None,
    device: Any = None,
    group_src: int | None = None,
) -> None:
    """What `src` has in its list, for all processes."""
    world()


def scatter_object_list(
    scatter_object_output_list: list[Any],
    scatter_object_input_list: list[Any] | None = None,
    src: int | None = None,
    group: ProcessGroup | None = None,
    group_src: int | None = None,
) -> None:
    """Entry i of the list of `src` becomes the first entry of process i's output list."""
    world()
    if not isinstance(scatter_object_output_list, list) or not scatter_object_output_list:
        raise ValueError(
            "Expected argument scatter_object_output_list to be a list of size at least 1."
        )
    if not scatter_object_input_list:
        raise ValueError("Argument ``scatter_list`` must be specified on source rank.")
    scatter_object_output_list[0] = _received(scatter_object_input_list[0])
