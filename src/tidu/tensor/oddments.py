"""Lesser-known functions and methods:
element-wise Python, raw buffers, aliases, and names of the past.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tidu.ir.op import function
from tidu.ops.elementwise import positive
from tidu.ops.linear_algebra.matrices import transposed
from tidu.ops.moving import sections
from tidu.ops.reductions.norms import matrix_norm, vector_norm
from tidu.tensor import creation, from_data, random
from tidu.tensor.tensor import Tensor, from_array


@function("torch.adjoint Tensor.adjoint")
def adjoint(input: Any) -> Any:
    """The transpose of matrices: there are no complex numbers to conjugate."""
    if len(input.shape) < 2:
        raise RuntimeError(
            "tensor.adjoint() is only supported on matrices or batches of matrices. Got "
            f"{len(input.shape)}-D tensor."
        )
    return transposed(input)


@function("torch.cond")
def cond(
    pred: Any,
    true_fn: Callable[..., Any],
    false_fn: Callable[..., Any],
    operands: Sequence[Any] = (),
) -> Any:
    """true_fn(*operands) if `pred`, a bool or a tensor of one element, holds, else false_fn(...).

    >>> torch.cond(torch.tensor(True), lambda x: x + 1, lambda x: x - 1, (torch.ones(1),))
    tensor([2.])
    """
    return (true_fn if pred else false_fn)(*operands)


@function("torch.frobenius_norm")
def frobenius_norm(input: Any, dim: Any = (), keepdim: bool = False) -> Any:
    """The 2-norm over `dim`."""
    return vector_norm(input, 2, dim or None, keepdim)


@function("torch.nuclear_norm")
def nuclear_norm(input: Any, dim: Any = (-2, -1), keepdim: bool = False) -> Any:
    """The sum of the singular values."""
    return matrix_norm(input, "nuc", dim, keepdim)


@function("torch.norm_except_dim")
def norm_except_dim(v: Any, pow: int = 2, dim: int = 0) -> Any:
    """The norm of each slice along `dim` (of all elements for -1), with sizes of 1 elsewhere."""
    if dim == -1:
        return vector_norm(v, pow)
    others = tuple(i for i in range(len(v.shape)) if i != dim)
    return vector_norm(v, pow, others, True) if others else v.abs()


@function("torch.unsafe_split_with_sizes Tensor.unsafe_split_with_sizes")
def unsafe_split_with_sizes(
    input: Any, split_sizes: Sequence[int], dim: int = 0
) -> tuple[Any, ...]:
    """`split_with_sizes` whose parts do not know of each other on the tape."""
    parts = sections.split_with_sizes(input, split_sizes, dim)
    return tuple(positive.named("UnsafeSplitWithSizesBackward0", x) for x in parts)


@function("Tensor.apply_")
def apply_(self: Any, callable: Callable[[Any], Any]) -> Any:
    """Every element replaced by what a Python function makes of it, in place."""
    flat = [callable(x) for x in self.reshape(-1).tolist()]
    return self.copy_(from_data.tensor(flat, dtype=self.dtype).reshape(tuple(self.shape)))


def _mapped(self: Any, callable: Callable[..., Any], others: Sequence[Any]) -> Any:
    rows = [x.expand(tuple(self.shape)).reshape(-1).tolist() for x in (self, *others)]
    flat = [callable(*xs) for xs in zip(*rows, strict=True)]
    return self.copy_(from_data.tensor(flat, dtype=self.dtype).reshape(tuple(self.shape)))


@function("Tensor.map_")
def map_(self: Any, tensor: Any, callable: Callable[[Any, Any], Any]) -> Any:
    """Every element replaced by callable(element, that of `tensor`), in place."""
    return _mapped(self, callable, (tensor,))


@function("Tensor.map2_")
def map2_(self: Any, x: Any, y: Any, callable: Callable[[Any, Any, Any], Any]) -> Any:
    """Every element replaced by callable(element, that of `x`, that of `y`), in place."""
    return _mapped(self, callable, (x, y))


@function("torch.frombuffer")
def frombuffer(
    buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """A vector of the numbers in a bytes-like object, copied."""
    size = memoryview(buffer).nbytes
    if size == 0:
        raise ValueError(f"both buffer length ({size}) and count ({count}) must not be 0")
    if not 0 <= offset < size:
        raise ValueError(
            f"offset ({offset} bytes) must be non-negative and no greater than buffer length "
            f"({size} bytes) minus 1"
        )
    if count < 0 and (size - offset) % dtype.itemsize:
        raise ValueError(
            f"buffer length ({size - offset} bytes) after offset ({offset} bytes) must be a "
            f"multiple of element size ({dtype.itemsize})"
        )
    if count > 0 and offset + count * dtype.itemsize > size:
        raise ValueError(
            f"requested buffer length ({count} * {dtype.itemsize} bytes) after offset ({offset} "
            f"bytes) must not be greater than actual buffer length ({size} bytes)"
        )
    array = np.frombuffer(buffer, dtype.numpy, count, offset).copy()
    return from_data.finish(from_array(array, dtype), requires_grad)


@function("Tensor.set_")
def set_(self: Any, source: Any = None) -> Any:
    """The memory of another tensor, or none."""
    self.data = creation.empty(0, dtype=self.dtype) if source is None else source.detach()
    return self


@function("Tensor.to_dense")
def to_dense(self: Any, dtype: Any = None, *, masked_grad: bool | None = None) -> Any:
    """The tensor itself: all tensors are dense."""
    return self if dtype is None else self.to(dtype)


@function("torch.detach")
def detach(input: Any) -> Any:
    """`Tensor.detach`."""
    return input.detach()


@function("torch.detach_")
def detach_(input: Any) -> Any:
    """`Tensor.detach_`."""
    return input.detach_()


@function("torch.zero_")
def zero_(input: Any) -> Any:
    """`Tensor.zero_`."""
    return input.zero_()


@function("torch.get_device")
def get_device(input: Any) -> int:
    """The number of the device: -1, which stands for the CPU."""
    return int(input.get_device())


@function("torch.as_strided_")
def as_strided_(input: Any, size: Any, stride: Any, storage_offset: int | None = None) -> Any:
    """`Tensor.as_strided_`."""
    return input.as_strided_(size, stride, storage_offset)


@function("Tensor.multinomial")
def multinomial(
    self: Any, num_samples: int, replacement: bool = False, *, generator: Any = None
) -> Any:
    """`torch.multinomial`."""
    return random.multinomial(self, num_samples, replacement, generator=generator)


@function("Tensor.bernoulli")
def bernoulli(self: Any, p: Any = None, *, generator: Any = None) -> Any:
    """`torch.bernoulli`."""
    if p is None:
        return random.bernoulli(self, generator=generator)
    if isinstance(p, Tensor):
        return self.detach().clone().bernoulli_(p, generator=generator)
    return random.bernoulli(self.detach(), p, generator=generator)


@function("Tensor.conj_physical_ torch.conj_physical_")
def conj_physical_(self: Any) -> Any:
    """The tensor itself, as its elements are real."""
    return self


def _removed(name: str, successor: str) -> None:
    on_tensor = "" if name == "matrix_rank" else f" Tensor.{name}"

    @function(f"torch.{name}{on_tensor}", doc=f"RuntimeError: it was replaced by {successor}.")
    def call(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            f"{name}: This function was deprecated since version 1.9 and is now removed. Please use"
            f" {successor} instead."
        )


for _name, _successor in (
    ("symeig", "torch.linalg.eigh"),
    ("solve", "torch.linalg.solve"),
    ("lstsq", "torch.linalg.lstsq"),
    ("matrix_rank", "torch.linalg.matrix_rank"),
):
    _removed(_name, _successor)


def _no_imaginary_part(self: Any) -> Any:
    raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")


_KINDS: dict[str, Any] = {
    "mH": property(lambda self: self.mT),
    "imag": property(_no_imaginary_part),
    "is_cpu": True,
}
_ABSENT = "is_sparse_csr is_nested is_mkldnn is_xla is_xpu is_ipu is_mtia is_vulkan"
for _name, _kind in {**_KINDS, **dict.fromkeys(_ABSENT.split(), False)}.items():
    setattr(Tensor, _name, _kind)
