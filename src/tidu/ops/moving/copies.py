"""What PyTorch names ..._copy: the views, with memory of their own."""

from __future__ import annotations

from typing import Any

from tidu.base.shapes import wrap_dim
from tidu.ir.op import function
from tidu.ops.elementwise import positive
from tidu.ops.moving import sections, shaping
from tidu.ops.moving.movement import slice_along


def _copying(name: str, view: Any, grad_name: str) -> None:
    """torch.<name>_copy: as the view, but memory of its own."""

    @function(f"torch.{name}_copy", doc=f"`{name}`, copied.")
    def copied(*args: Any, **kwargs: Any) -> Any:
        made = view(*args, **kwargs)
        if isinstance(made, tuple):
            return tuple(positive.named(grad_name, x) for x in made)
        return positive.named(grad_name, made)


for _name, _view, _grad in (
    ("alias", positive, "Alias"),
    ("detach", lambda input: input.detach(), "Detach"),
    ("diagonal", sections.diagonal, "Diagonal"),
    ("expand", shaping.expand_to, "Expand"),
    ("permute", shaping.permute_to, "Permute"),
    ("select", sections.select, "Select"),
    ("split", sections.split, "Split"),
    ("split_with_sizes", sections.split_with_sizes, "SplitWithSizes"),
    ("t", shaping.t, "T"),
    ("transpose", shaping.transpose, "Transpose"),
    ("unbind", sections.unbind, "Unbind"),
    ("unsqueeze", shaping.unsqueeze, "Unsqueeze"),
    ("view", shaping.view, "View"),
    ("unfold", lambda input, dimension, size, step: input.unfold(dimension, size, step), "Unfold"),
):
    _copying(_name, _view, f"{_grad}Backward0_copy")


@function("torch.squeeze_copy")
def squeeze_copy(input: Any, dim: Any = None) -> Any:
    """`squeeze`, copied."""
    kind = 0 if dim is None else 1 if isinstance(dim, int) else 2
    return positive.named(f"SqueezeBackward{kind}_copy", shaping.squeeze(input, dim))


@function("torch.slice_copy")
def slice_copy(
    input: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Any:
    """A copy of the slice start:end:step along `dim`."""
    d = wrap_dim(dim, len(input.shape))
    first, last, step = slice(start, end, step).indices(input.shape[d])
    part = slice_along(input, d, first, max(first, last), step)
    return positive.named("SliceBackward0_copy", part)


@function("torch.narrow_copy Tensor.narrow_copy")
def narrow_copy(input: Any, dim: int, start: int, length: int) -> Any:
    """`narrow`, copied."""
    return positive.named("NarrowCopyBackward0", sections.narrow(input, dim, start, length))
