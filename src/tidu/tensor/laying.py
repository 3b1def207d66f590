"""Where the elements of a tensor lie in memory, as users see it: by rows, or with other strides."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from tidu.base.dtypes import dtype
from tidu.base.shapes import Shape
from tidu.base.strides import Strides, contiguous_strides
from tidu.ir.op import Spec
from tidu.tensor.history import Chain
from tidu.tensor.storage import InferenceStorage, StridedStorage

if TYPE_CHECKING:
    from tidu.tensor.tensor import Tensor


@lru_cache(4096)
def seen_through(
    shape: Shape, d: dtype, strides: Strides | None, chain: Chain
) -> tuple[Shape, Strides, int]:
    """Shape, strides and offset of what a chain of movements shows of memory of this shape, in
    which the elements lie by rows unless there are `strides`.
    """
    strides, offset = strides or contiguous_strides(shape), 0
    for op, attrs in chain:
        assert op.view is not None
        laid_out = op.view.layout(shape, strides, offset, *attrs)
        assert laid_out is not None, "a view has strides"
        strides, offset = laid_out
        shape = op.infer(op, (Spec(shape, d),), attrs)[1]
    return shape, strides, offset


def lay(tensor: Tensor, strides: Strides | None) -> Tensor:
    """Have a tensor, which nothing else shares its memory with, lie there with these strides (None:
    by rows).
    """
    storage = tensor._storage
    if storage.strides == strides:
        return tensor
    if storage.inference:
        tensor._storage = InferenceStorage(storage.value, strides)
    else:
        tensor._storage = made = StridedStorage.__new__(
            StridedStorage
        )  # as `StridedStorage(...)`, but quicker
        made.value, made.strides = storage.value, strides
        made.version = made.edits = 0
    return tensor
