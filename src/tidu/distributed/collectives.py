"""What the processes of a group do with tensors, and what is left of it for one process.

Reducing, broadcasting and waiting leave things as they are; gathering and scattering copy. With
`async_op` the result is a `Work` that is done already. ValueError without a world, and TypeError
for what is not a tensor (or a list of tensors), as in PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

from tidu.base.processes import ProcessGroup, world
from tidu.tensor import Tensor, no_grad


class ReduceOp(Enum):
    """How the tensors of the processes become one."""

    SUM = 0
    AVG = 1
    PRODUCT = 2
    MIN = 3
    MAX = 4
    BAND = 5
    BOR = 6
    BXOR = 7


reduce_op = ReduceOp


class Work:
    """An operation that was begun, and that is done: there was nobody to wait for."""

    def wait(self, timeout: Any = None) -> bool:
        """True at once."""
        return True

    def is_completed(self) -> bool:
        """True."""
        return True

    def is_success(self) -> bool:
        """True."""
        return True


def _done(async_op: bool) -> Work | None:
    return Work() if async_op else None


def _check_tensor(tensor: Any, name: str) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(
            f"Invalid function argument. Expected parameter `{name}` of type torch.Tensor\n"
            f"             but got {type(tensor)} instead."
        )


def _check_list(tensors: Any, name: str) -> None:
    if not isinstance(tensors, list) or not all(isinstance(x, Tensor) for x in tensors):
        raise TypeError(
            f"Invalid function argument. Expected parameter `{name}` of type List[torch.Tensor]\n"
            f"             but got {type(tensors)} instead."
        )


def _members(group: ProcessGroup | None) -> int:
    world()
    return 1 if group is None else group.size()


def _check_root(name: str, rank: int | None, group: ProcessGroup | None) -> None:
    if (rank or 0) not in range(_members(group)):
        raise RuntimeError(f"{name}: invalid root rank: {rank}")


def _check_length(name: str, tensors: Sequence[Tensor], group: ProcessGroup | None) -> None:
    count = _members(group)
    if len(tensors) != count:
        raise RuntimeError(
            f"{name}: invalid tensor list (expected length {count}, got {len(tensors)})"
        )


def _copy(target: Tensor, source: Tensor, name: str) -> None:
    if tuple(target.shape) != tuple(source.shape) and target.numel() != source.numel():
        raise RuntimeError(
            f"{name}: the output has shape {list(target.shape)}, but what it receives has "
            f"{list(source.shape)}"
        )
    with no_grad():
        target.copy_(source.reshape(tuple(target.shape)))


def all_reduce(
    tensor: Tensor,
    op: ReduceOp = ReduceOp.SUM,
    group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:
    """The sum (or what `op` says) over the processes, in place: `tensor` as it is.

    >>> torch.distributed.init_process_group("gloo", rank=0, world_size=1)
    >>> x = torch.tensor([1., 2.]); torch.distributed.all_reduce(x); x
    tensor([1., 2.])
    >>> torch.distributed.destroy_process_group()
    """
    _check_tensor(tensor, "tensor")
    _members(group)
    return _done(async_op)


def reduce(
    tensor: Tensor,
    dst: int | None = None,
    op: ReduceOp = ReduceOp.SUM,
    group: ProcessGroup | None = None,
    async_op: bool = False,
    group_dst: int | None = None,
) -> Work | None:
    """`all_reduce`, of which only `dst` gets the result."""
    _check_tensor(tensor, "tensor")
    _check_root("reduce", dst, group)
    return _done(async_op)


def broadcast(
    tensor: Tensor,
    src: int | None = None,
    group: ProcessGroup | None = None,
    async_op: bool = False,
    group_src: int | None = None,
) -> Work | None:
    """What `src` has in `tensor` for all processes. RuntimeError where `src` is no member."""
    _check_tensor(tensor, "tensor")
    _check_root("broadcast", src, group)
    return _done(async_op)


def barrier(
    group: ProcessGroup | None = None, async_op: bool = False, device_ids: Any = None
) -> Work | None:
    """Wait for all processes."""
    _members(group)
    return _done(async_op)


def monitored_barrier(
    group: ProcessGroup | None = None, timeout: Any = None, wait_all_ranks: bool = False
) -> None:
    """Wait for all processes."""
    _members(group)


def all_gather(
    tensor_list: list[Tensor],
    tensor: Tensor,
    group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:
    """The tensors of all processes, copied into those of `tensor_list`.

    RuntimeError where that has another length than the group has members.
    """
    _check_list(tensor_list, "tensor_list")
    _check_tensor(tensor, "tensor")
    _check_length("all_gather", tensor_list, group)
    _copy(tensor_list[0], tensor, "all_gather")
    return _done(async_op)


def all_gather_into_tensor(
    output_tensor: Tensor,
    input_tensor: Tensor,
    group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:
    """The tensors of all processes after one another in `output_tensor`."""
    _check_tensor(input_tensor, "input_tensor")
    _check_tensor(output_tensor, "output_tensor")
    _members(group)
    _copy(output_tensor, input_tensor, "all_gather_into_tensor")
    return _done(async_op)


def gather(
    tensor: Tensor,
    gather_list: list[Tensor] | None = None,
    dst: int | None = None,
    group: ProcessGroup | None = None,
    async_op: bool = False,
    group_dst: int | None = None,
) -> Work | None:
    """The tensors of all processes, copied into `gather_list` of the process `dst`.

    ValueError where that process gives no list.
    """
    _check_tensor(tensor, "tensor")
    _check_root("gather", dst, group)
    if not gather_list:
        raise ValueError("Argument ``gather_list`` must be specified on destination rank.")
    return all_gather(gather_list, tensor, group, async_op)


def scatter(
    tensor: Tensor,
    scatter_list: list[Tensor] | None = None,
    src: int | None = None,
    group: ProcessGroup | None = None,
    async_op: bool = False,
    group_src: int | None = None,
) -> Work | None:
    """Entry i of the `scatter_list` of `src`, for process i, copied into `tensor`.

    ValueError where that process gives no list.
    """
    _check_tensor(tensor, "tensor")
    _check_root("scatter", src, group)
    if not scatter_list:
        raise ValueError("Argument ``scatter_list`` must be specified on source rank.")
    return reduce_scatter(tensor, scatter_list, ReduceOp.SUM, group, async_op)


def reduce_scatter(
    output: Tensor,
    input_list: list[Tensor],
    op: ReduceOp = ReduceOp.SUM,
    group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:
    """The sum over the processes of entry i of their lists, for process i, in `output`."""
    _check_tensor(output, "output")
    _check_list(input_list, "input_list")
    _check_length("reduce_scatter", input_list, group)
    _copy(output, input_list[0], "reduce_scatter")
    return _done(async_op)


def reduce_scatter_tensor(
    output: Tensor,
    input: Tensor,
    op: ReduceOp = ReduceOp.SUM,
    group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:
    """The sum over the processes of part i of their `input`, for process i, in `output`."""
    return all_gather_into_tensor(output, input, group, async_op)


def all_to_all(
    output_tensor_list: list[Tensor],
    input_tensor_list: list[Tensor],
    group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:
    """Entry i of every process's list goes to process i."""
    _check_list(output_tensor_list, "output_tensor_list")
    _check_list(input_tensor_list, "input_tensor_list")
    _check_length("all_to_all", output_tensor_list, group)
    _check_length("all_to_all", input_tensor_list, group)
    _copy(output_tensor_list[0], input_tensor_list[0], "all_to_all")
    return _done(async_op)


def all_to_all_single(
    output: Tensor,
    input: Tensor,
    output_split_sizes: Sequence[int] | None = None,
    input_split_sizes: Sequence[int] | None = None,
    group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:
    """Part i of every process's `input` goes to process i."""
    return all_gather_into_tensor(output, input, group, async_op)


def _refuse_itself(kind: str) -> None:
    world()
    raise ValueError(
        f"Invalid {kind} rank: {kind} rank should not be the same as the rank of the current "
        "process."
    )


def send(tensor: Tensor, dst: int | None = None, *args: Any, **kwargs: Any) -> None:
    """ValueError: the only process there is cannot send to itself, as in PyTorch."""
    _refuse_itself("destination")


def recv(tensor: Tensor, src: int | None = None, *args: Any, **kwargs: Any) -> None:
    """ValueError: there is nobody to receive from."""
    _refuse_itself("source")


isend, irecv = send, recv
