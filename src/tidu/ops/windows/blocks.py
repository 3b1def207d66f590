"""Sliding windows as columns and back: torch.nn.functional.unfold and fold."""

from __future__ import annotations

from math import prod
from typing import Any

from tidu.base.shapes import Shape
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ops.moving.movement import permute, reshape
from tidu.ops.windows.sliding import (
    count_windows,
    fold_windows,
    negated,
    padded_sizes,
    per_dimension,
    windows,
    zero_pad,
)


def _check_blocks(
    operation: str, kernel: Shape, dilation: Shape, padding: Shape, stride: Shape
) -> None:
    for name, short, numbers, least in (
        ("kernel size", "kernel", kernel, 1), ("dilation", "dilation", dilation, 1),
        ("padding", "pad", padding, 0), ("stride", "stride", stride, 1),
    ):  # fmt: skip
        if min(numbers) < least:
            raise RuntimeError(
                f"{name} should be {'greater than zero' if least else 'non-negative'}, but got"
                f" {short}_height: {numbers[0]} {short}_width: {numbers[1]} ({operation})"
            )


def _blocks(sizes: Shape, kernel: Shape, dilation: Shape, padding: Shape, stride: Shape) -> Shape:
    whole = padded_sizes(sizes, tuple((p, p) for p in padding))
    return count_windows(whole, kernel, stride, dilation)


def _im2col_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,), (kernel, dilation, padding, stride) = inputs, attrs
    _check_blocks("unfold", kernel, dilation, padding, stride)
    shape = x.shape
    if len(shape) not in (3, 4) or 0 in shape[-3:]:
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero"
            f" dimensions for input, but got: {list(shape)} (unfold takes (N, C, H, W) or (C,"
            " H, W))"
        )
    blocks = _blocks(shape[-2:], kernel, dilation, padding, stride)
    if min(blocks) < 1:
        raise RuntimeError(
            f"Given input with spatial size {shape[-2:]}, kernel_size={kernel},"
            f" dilation={dilation}, padding={padding}, calculated shape of the array of sliding"
            f" blocks as {blocks}, but its components must be at least one. Use a smaller kernel or"
            " more padding."
        )
    return inputs, (*shape[:-3], shape[-3] * prod(kernel), prod(blocks)), x.dtype


def _blocks_last(lead: int) -> Shape:
    """From (…, C, rows, columns, kh, kw) to (…, C, kh, kw, rows, columns), and back."""
    return (*range(lead), lead, lead + 3, lead + 4, lead + 1, lead + 2)


def _im2col(x: Any, kernel: Shape, dilation: Shape, padding: Shape, stride: Shape) -> Any:
    found = windows(zero_pad(x, tuple((p, p) for p in padding)), kernel, stride, dilation)
    lead, shape = len(x.shape) - 3, found.shape
    columns = (*shape[:lead], shape[lead] * prod(kernel), shape[lead + 1] * shape[lead + 2])
    return reshape(permute(found, _blocks_last(lead)), columns)


def _col2im_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,), (sizes, kernel, dilation, padding, stride) = inputs, attrs
    _check_blocks("fold", kernel, dilation, padding, stride)
    shape = x.shape
    if len(shape) not in (2, 3) or 0 in shape[-2:]:
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and"
            f" non-zero dimensions for input, but got: {list(shape)} (fold takes (N, C · kernel"
            " elements, blocks), or the same without N)"
        )
    if shape[-2] % prod(kernel):
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size,"
            f" but got input.size(1)={shape[-2]} and kernel_size={kernel}."
        )
    blocks = _blocks(sizes, kernel, dilation, padding, stride)
    if prod(blocks) != shape[-1] or min(blocks) < 1:
        raise RuntimeError(
            f"Given output_size={sizes}, kernel_size={kernel}, dilation={dilation},"
            f" padding={padding}, stride={stride}, expected size of input's dimension 2 to match"
            f" the calculated number of sliding blocks {blocks[0]} * {blocks[1]} = {prod(blocks)},"
            f" but got input.size(2)={shape[-1]}."
        )
    return inputs, (*shape[:-2], shape[-2] // prod(kernel), *sizes), x.dtype


def _col2im(
    x: Any, sizes: Shape, kernel: Shape, dilation: Shape, padding: Shape, stride: Shape
) -> Any:
    lead = len(x.shape) - 2
    pads = tuple((p, p) for p in padding)
    blocks = _blocks(sizes, kernel, dilation, padding, stride)
    taps = reshape(x, (*x.shape[:lead], x.shape[lead] // prod(kernel), *kernel, *blocks))
    image = fold_windows(
        permute(taps, _blocks_last(lead)), padded_sizes(sizes, pads), stride, dilation
    )
    return zero_pad(image, negated(pads))


im2col: Op = define(
    "im2col",
    attrs="kernel dilation padding stride",
    kind="composite",
    infer=_im2col_infer,
    decompose=_im2col,
    vjp=(lambda g, out, x, *attrs: col2im(g, x.shape[len(x.shape) - 2 :], *attrs),),
    grad_name="Im2ColBackward0",
    samples=lambda: [
        Sample((Array((2, 2, 4, 5)), (2, 3), (1, 1), (0, 0), (1, 1))),
        Sample((Array((2, 5, 4)), (2, 2), (2, 1), (1, 2), (2, 1))),
        Sample((Array((0, 1, 3, 3)), (2, 2), (1, 1), (0, 0), (1, 1))),
    ],
    dtypes="number",
    reference="nn.functional.unfold",
)
col2im: Op = define(
    "col2im",
    attrs="sizes kernel dilation padding stride",
    kind="composite",
    infer=_col2im_infer,
    decompose=_col2im,
    vjp=(lambda g, out, x, sizes, *attrs: im2col(g, *attrs),),
    grad_name="Col2ImBackward0",
    samples=lambda: [
        Sample((Array((2, 12, 9)), (4, 5), (2, 3), (1, 1), (0, 0), (1, 1))),
        Sample((Array((8, 21)), (5, 4), (2, 2), (2, 1), (1, 2), (2, 1))),
        Sample((Array((0, 4, 4)), (3, 3), (2, 2), (1, 1), (0, 0), (1, 1))),
    ],
    dtypes="number",
    reference="nn.functional.fold",
)


@function("torch.nn.functional.unfold")
def unfold(
    input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Any:
    """Sliding blocks of images as columns.

    (N, C, H, W) gives (N, C · kernel height · kernel width, blocks).

    Zeros pad the image. An input (C, H, W) gives a result without N. Follows
    torch.nn.functional.unfold (im2col).

    >>> torch.nn.functional.unfold(torch.ones(1, 3, 4, 4), 2).shape
    torch.Size([1, 12, 9])
    """
    numbers = {
        "kernel_size": kernel_size,
        "dilation": dilation,
        "padding": padding,
        "stride": stride,
    }
    return im2col(
        input, *(per_dimension("unfold", name, value, 2) for name, value in numbers.items())
    )


@function("torch.nn.functional.fold")
def fold(
    input: Any,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Any:
    """Columns of blocks added up to images, the adjoint of `unfold`.

    (N, C · kh · kw, blocks) gives (N, C, H, W).

    An input without N gives a result without it. Follows torch.nn.functional.fold (col2im).

    >>> torch.nn.functional.fold(torch.ones(1, 12, 9), (4, 4), 2).shape
    torch.Size([1, 3, 4, 4])
    """
    numbers = {
        "output_size": output_size, "kernel_size": kernel_size, "dilation": dilation,
        "padding": padding, "stride": stride,
    }  # fmt: skip
    return col2im(
        input, *(per_dimension("fold", name, value, 2) for name, value in numbers.items())
    )
