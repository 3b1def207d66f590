"""A module that several processes train together, of which there is one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tidu.base import devices
from tidu.base.processes import ProcessGroup, world
from tidu.nn.module import Module

_NOT_TRAINED = (
    "DistributedDataParallel is not needed when a module doesn't have any parameter that requires "
    "a gradient."
)


class DistributedDataParallel(Module):
    """``DistributedDataParallel(module)`` calls `module`, which is its attribute `module`: the mean
    of the gradients of one process is what they are.

    `torch.distributed.init_process_group` has to be called before; ValueError otherwise.
    RuntimeError for a module that has nothing to train. Names in the state dict begin with
    "module.". Follows torch.nn.parallel.DistributedDataParallel.

    >>> torch.distributed.init_process_group("gloo", rank=0, world_size=1)
    >>> replica = torch.nn.parallel.DistributedDataParallel(model)
    >>> loss = replica(x).sum(); loss.backward()
    >>> torch.distributed.destroy_process_group()
    """

    def __init__(
        self,
        module: Module,
        device_ids: Any = None,
        output_device: Any = None,
        dim: int = 0,
        broadcast_buffers: bool = True,
        init_sync: bool = True,
        process_group: ProcessGroup | None = None,
        bucket_cap_mb: float | None = None,
        find_unused_parameters: bool = False,
        check_reduction: bool = False,
        gradient_as_bucket_view: bool = False,
        static_graph: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        self.process_group = process_group or world()
        if not any(parameter.requires_grad for parameter in module.parameters()):
            raise RuntimeError(_NOT_TRAINED)
        self.module = module
        self.device = devices.CPU
        self.device_ids = None
        self.output_device = None
        self.dim = dim
        self.broadcast_buffers = broadcast_buffers
        self.find_unused_parameters = find_unused_parameters
        self.gradient_as_bucket_view = gradient_as_bucket_view
        self.static_graph = static_graph
        self.require_backward_grad_sync = True

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """What the module makes of the inputs."""
        return self.module(*inputs, **kwargs)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """A block whose backward passes only add to the gradients of this process."""
        before = self.require_backward_grad_sync
        self.require_backward_grad_sync = False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before

    @contextmanager
    def join(
        self,
        divide_by_initial_world_size: bool = True,
        enable: bool = True,
        throw_on_early_termination: bool = False,
    ) -> Iterator[None]:
        """A block in which the processes may have different numbers of batches."""
        yield

    def register_comm_hook(self, state: Any, hook: Any) -> None:
        """NotImplementedError: there are no gradients on their way to be changed by a hook."""
        raise NotImplementedError(
            "DistributedDataParallel.register_comm_hook(): one process sends no gradients, so the "
            "hook would never be called; change them with Tensor.register_hook"
        )

    def _set_static_graph(self) -> None:
        self.static_graph = True
