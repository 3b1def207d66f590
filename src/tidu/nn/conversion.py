"""Changing a module and all inside it: its mode, what needs gradients, dtype and place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from tidu.base import devices, dtypes
from tidu.base.changes import changes
from tidu.base.dtypes import dtype
from tidu.base.source import located
from tidu.nn.members import Members
from tidu.nn.parameter import is_lazy
from tidu.tensor import Tensor, empty_like
from tidu.tensor.conversion import dtype_of_type

Self = TypeVar("Self", bound="Convertible")


class Convertible(Members):
    """What is done to every module inside, and to the parameters and buffers of each."""

    training: bool

    def apply(self: Self, fn: Callable[[Any], None]) -> Self:
        """Call `fn` with every module inside, then with this one.

        >>> _ = model.apply(lambda m: print(type(m).__name__))
        Linear
        Tanh
        Linear
        Sequential
        """
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def train(self: Self, mode: bool = True) -> Self:
        """Training mode: dropout drops, batch normalization uses the batch.

        Set on every module inside.

        >>> model.train().training
        True
        """
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self: Self) -> Self:
        """Evaluation mode: the same as ``train(False)``.

        >>> model.eval().training
        False
        """
        return self.train(False)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Ask for the gradients of all parameters, or freeze them."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or fill them with zeros."""
        for parameter in self.parameters():
            gradient = parameter._grad
            if gradient is None:
                continue
            if set_to_none:
                parameter._grad = None
            else:
                if gradient.grad_fn is not None:
                    gradient.detach_()
                else:
                    gradient.requires_grad_(False)
                gradient.zero_()

    def _apply(self: Self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Put ``fn(x)`` in the place of every parameter, gradient and buffer x;
        the objects stay.
        """
        if recurse:
            for module in self.children():
                module._apply(fn)
        for parameter in self._parameters.values():
            if parameter is None:
                continue
            parameter.data = fn(parameter.data)
            if parameter._grad is not None:
                parameter._grad.data = fn(parameter._grad.data)
        changes.of(self)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def _convert(self: Self, d: dtype) -> Self:
        return self._apply(lambda t: t.to(d) if t.is_floating_point() else t)

    @located
    def to(self: Self, *args: Any, **kwargs: Any) -> Self:
        """Move and convert all parameters and buffers: ``to(device)``, ``to(dtype)``,
        ``to(tensor)``, ``to(memory_format=torch.channels_last)``.

        Only float tensors change their dtype, and only those of images and volumes, with 4 or 5
        dimensions, their memory format. Raises TypeError for a dtype that is not a float dtype.

        >>> nn.Linear(2, 3).to(torch.float64).weight.dtype
        torch.float64
        """
        wanted, place = kwargs.get("dtype"), kwargs.get("device")
        format = kwargs.get("memory_format")
        if format is not None:
            self._apply(lambda t: t.to(memory_format=format) if t.dim() in (4, 5) else t)
        for x in args:
            if isinstance(x, Tensor):
                wanted, place = x.dtype, x.device
            elif isinstance(x, dtype):
                wanted = x
            elif isinstance(x, (str, devices.device)):
                place = x
            elif isinstance(x, int):
                place = f"cuda:{x}"
        if place is not None:
            devices.check(place)
        if wanted is None:
            return self
        if not wanted.is_floating_point:
            raise TypeError(
                f"nn.Module.to only accepts floating point or complex dtypes, but got desired "
                f"dtype={wanted}"
            )
        return self._convert(wanted)

    def type(self: Self, dst_type: Any) -> Self:
        """Convert all parameters and buffers, those of integers too."""
        d = dst_type if isinstance(dst_type, dtype) else dtype_of_type(dst_type)
        return self._apply(lambda t: t.to(d))

    def float(self: Self) -> Self:
        """Convert all float parameters and buffers to float32."""
        return self._convert(dtypes.float32)

    def double(self: Self) -> Self:
        """Convert all float parameters and buffers to float64."""
        return self._convert(dtypes.float64)

    def half(self: Self) -> Self:
        """Convert all float parameters and buffers to float16."""
        return self._convert(dtypes.float16)

    def bfloat16(self: Self) -> Self:
        """Convert all float parameters and buffers to bfloat16."""
        return self._convert(dtypes.bfloat16)

    def cpu(self: Self) -> Self:
        """On the CPU, where everything is."""
        return self

    def cuda(self: Self, device: Any = None) -> Self:
        """RuntimeError: there is no CUDA device."""
        devices.check("cuda" if device is None or isinstance(device, int) else device)
        return self

    def to_empty(self: Self, *, device: Any, recurse: bool = True) -> Self:
        """Fresh memory for all parameters and buffers, its contents not specified."""
        devices.check(device)
        return self._apply(lambda t: t if is_lazy(t) else empty_like(t), recurse)

    def share_memory(self: Self) -> Self:
        """The module itself; warns that processes do not share tensors."""
        return self._apply(lambda t: t.share_memory_())

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Accepted, and nothing to do: what a module computes is compiled in any case.

        `torch.compile(function)` replays whole steps without their Python code.
        """
