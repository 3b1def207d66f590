"""Padding with a constant, with reflections, with the border repeated, or as on a circle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tidu.base import dtypes
from tidu.base.shapes import Shape
from tidu.base.strides import strides_of_images
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ops.moving.joining import cat_
from tidu.ops.moving.movement import expand, flip, place, slice_along, slice_write
from tidu.ops.reductions.reduce import sum_
from tidu.ops.rules import class_name, promote
from tidu.ops.sources import full
from tidu.ops.windows.sliding import Pads, crop, inner_ranges, negated, zero_pad


def _constant_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x, value), (pads,) = inputs, attrs
    lead = len(x.shape) - len(pads)
    sizes = []
    for i, (n, (low, high)) in enumerate(zip(x.shape[lead:], pads, strict=True)):
        if n + low + high < 0 or -low > n or -high > n:
            raise RuntimeError(
                f"The input size {n}, plus negative padding {low} and {high}, resulted in a"
                f" negative output size, which is invalid. Check dimension {lead + i} of your input"
                f" {list(x.shape)}."
            )
        sizes.append(n + low + high)
    return (x, promote((value,), x.dtype)[0][0]), (*x.shape[:lead], *sizes), x.dtype


def _constant_numpy(x: Any, value: Any, pads: Pads) -> Any:
    lead = x.ndim - len(pads)
    inner, outer = [slice(None)] * lead, [slice(None)] * lead
    sizes = list(x.shape[:lead])
    for n, (low, high) in zip(x.shape[lead:], pads, strict=True):
        inner.append(slice(max(-low, 0), n - max(-high, 0)))
        sizes.append(n + low + high)
        outer.append(slice(max(low, 0), sizes[-1] - max(high, 0)))
    result = np.full(sizes, value, x.dtype)
    result[tuple(outer)] = x[tuple(inner)]
    return result


def _constant(x: Any, value: Any, pads: Pads) -> Any:
    x, pads = crop(x, pads)
    if not any(p for pair in pads for p in pair):
        return x
    shape, ranges = inner_ranges(tuple(x.shape), pads)
    return slice_write(full(value, shape, x.dtype), x, ranges)


def _flat(pads: Pads) -> list[int]:
    """Pads as PyTorch lists them: from the last dimension to the first."""
    return [p for pair in reversed(pads) for p in pair]


constant_pad: Op = define(
    "constant_pad",
    inputs="input value",
    attrs="pads",
    kind="composite",
    strides=strides_of_images,
    infer=_constant_infer,
    numpy=_constant_numpy,
    decompose=_constant,
    vjp=(lambda g, out, x, value, pads: zero_pad(g, negated(pads)), None),
    grad_name="ConstantPadNdBackward0",
    samples=lambda: [
        Sample((Array((2, 3)), 0.0, ((1, 2),))),
        Sample((Array((2, 3, 4)), 1.5, ((0, 1), (-1, 2)))),
        Sample((Array((3, 4)), 0.5, ((-1, 0), (-1, -2)))),
        Sample((Array((0, 2)), 0.0, ((1, 1),))),
        Sample((Array(()), 0.0, ())),
    ],
    reference=lambda torch, x, value, pads: torch.constant_pad_nd(x, _flat(pads), value),
)


def _pairs(operation: str, pad: Sequence[int], rank: int) -> Pads:
    """PyTorch's flat list of pads, last dimension first, as pairs for the last dimensions."""
    pads = [int(p) for p in pad]
    if len(pads) % 2:
        raise RuntimeError(
            f"Padding length must be divisible by 2, but got {pads}: {operation} takes two numbers"
            " a dimension, starting from the last"
        )
    if len(pads) > 2 * rank:
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got "
            f"padding length {len(pads)} and input of dimension {rank}"
        )
    return tuple(reversed(list(zip(pads[::2], pads[1::2], strict=True))))


@function("torch.constant_pad_nd")
def constant_pad_nd(input: Any, pad: Sequence[int], value: Any = 0) -> Any:
    """`input` with `value` around it.

    `pad` lists how much goes before and after each dimension, from the last one on; negative
    numbers take elements away.

    >>> torch.constant_pad_nd(torch.ones(2), (1, 2), 5.)
    tensor([5., 1., 1., 5., 5.])
    """
    return constant_pad(input, value, _pairs("constant_pad_nd", pad, len(input.shape)))


class Piece(NamedTuple):
    """A part of the padded dimension: `size` elements of the source from `start` on.

    They stand as they are, reversed, or (only the first of them) repeated.
    """

    start: int
    size: int
    how: str = "copied"

    @property
    def read(self) -> int:
        """How many elements of the source it is made of."""
        return 1 if self.how == "repeated" else self.size


def pieces(mode: str, n: int, low: int, high: int) -> list[Piece]:
    """What a dimension of n elements consists of after padding; empty pieces are left out."""
    start, stop = min(max(-low, 0), n), max(n - max(-high, 0), 0)
    middle = Piece(start, max(stop - start, 0))
    if mode == "reflect":
        end = Piece(n - 1 - max(high, 0), max(high, 0), "reversed")
        found = [Piece(1, max(low, 0), "reversed"), middle, end]
    elif mode == "replicate":
        before, after = max(min(low, n + low + high), 0), max(min(high, n + low + high), 0)
        found = [Piece(0, before, "repeated"), middle, Piece(n - 1, after, "repeated")]
    else:
        found = [Piece(stop - max(low, 0), max(low, 0)), middle, Piece(start, max(high, 0))]
    return [piece for piece in found if piece.size]


def _pad_dim(x: Any, dim: int, parts: list[Piece]) -> Any:
    made = []
    for start, size, how in parts:
        part = slice_along(x, dim, start, start + (1 if how == "repeated" else size))
        if how == "reversed":
            part = flip(part, (dim,))
        elif how == "repeated":
            part = expand(part, tuple(size if i == dim else m for i, m in enumerate(part.shape)))
        made.append(part)
    if not made:
        return slice_along(x, dim, 0, 0)
    return cat_(tuple(made), dim) if len(made) > 1 else made[0]


def _unpad_dim(g: Any, dim: int, n: int, parts: list[Piece]) -> Any:
    """The adjoint of `_pad_dim`: every part back to where it came from, added up."""
    shape = tuple(n if i == dim else m for i, m in enumerate(g.shape))
    total, offset = None, 0
    for piece in parts:
        part = slice_along(g, dim, offset, offset + piece.size)
        offset += piece.size
        if piece.how == "reversed":
            part = flip(part, (dim,))
        elif piece.how == "repeated":
            part = sum_(part, (dim,), True)
        ranges = tuple(
            (piece.start, piece.start + piece.read, 1) if i == dim else (0, m, 1)
            for i, m in enumerate(shape)
        )
        part = place(part, shape, ranges)
        total = part if total is None else total + part
    return full(0.0, shape, g.dtype) if total is None else total


def _pad_edges(x: Any, mode: str, pads: Pads) -> Any:
    lead = len(x.shape) - len(pads)
    for i, (low, high) in enumerate(pads):
        if low or high:
            x = _pad_dim(x, lead + i, pieces(mode, x.shape[lead + i], low, high))
    return x


def _pad_edges_adjoint(g: Any, sizes: Shape, mode: str, pads: Pads) -> Any:
    lead = len(g.shape) - len(pads)
    for i, (low, high) in reversed(list(enumerate(pads))):
        if low or high:
            g = _unpad_dim(g, lead + i, sizes[i], pieces(mode, sizes[i], low, high))
    return g


def _edges_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,), (_, pads) = inputs, attrs
    lead = len(x.shape) - len(pads)
    sizes = (n + low + high for n, (low, high) in zip(x.shape[lead:], pads, strict=True))
    return inputs, (*x.shape[:lead], *sizes), x.dtype


def _adjoint_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (g,), (sizes, _, _) = inputs, attrs
    return inputs, (*g.shape[: len(g.shape) - len(sizes)], *sizes), g.dtype


_EDGE_SAMPLES = (
    ((2, 3, 4), "reflect", ((2, 3),)),
    ((1, 2, 3, 4), "reflect", ((1, 2), (0, 3))),
    ((2, 1, 4), "reflect", ((-1, 2),)),
    ((2, 3, 4), "replicate", ((2, 5),)),
    ((1, 2, 2, 3), "replicate", ((1, 0), (-2, 3))),
    ((2, 3, 4), "circular", ((1, 4),)),
    ((1, 2, 3, 2), "circular", ((1, -1), (0, 2))),
    ((0, 3, 4), "replicate", ((1, 1),)),
)


def _torch_unpad(torch: Any, g: Any, sizes: Any, mode: str, pads: Pads) -> Any:
    with torch.enable_grad():
        shape = (*g.shape[: g.dim() - len(sizes)], *sizes)
        x = torch.zeros(shape, dtype=g.dtype, requires_grad=True)
        padded = torch.nn.functional.pad(x, _flat(pads), mode)
        return torch.autograd.grad(padded, x, g, create_graph=True)[0]


pad_edges: Op = define(
    "pad_edges",
    attrs="mode pads",
    kind="composite",
    strides=strides_of_images,
    infer=_edges_infer,
    decompose=_pad_edges,
    vjp=(
        lambda g, out, x, mode, pads: pad_edges_adjoint(
            g, tuple(x.shape[len(x.shape) - len(pads) :]), mode, pads
        ),
    ),
    joined=True,
    samples=lambda: [Sample((Array(shape), mode, pads)) for shape, mode, pads in _EDGE_SAMPLES],
    dtypes="number",
    reference=lambda torch, x, mode, pads: torch.nn.functional.pad(x, _flat(pads), mode),
)
pad_edges_adjoint: Op = define(
    "pad_edges_adjoint",
    attrs="sizes mode pads",
    kind="composite",
    infer=_adjoint_infer,
    decompose=_pad_edges_adjoint,
    vjp=(lambda g, out, x, sizes, mode, pads: pad_edges(g, mode, pads),),
    samples=lambda: [
        Sample((Array((2, 3, 9)), (4,), "reflect", ((2, 3),))),
        Sample((Array((1, 2, 3, 4)), (2, 3), "replicate", ((1, 0), (-2, 3)))),
        Sample((Array((2, 3, 9)), (4,), "circular", ((1, 4),))),
    ],
    dtypes="float",
    reference=_torch_unpad,
    tolerance=2.0,
)

_NODE_NAMES = {"reflect": "ReflectionPad{}DBackward0", "replicate": "ReplicationPad{}DBackward0"}


def _check_edges(x: Any, mode: str, pads: Pads) -> None:
    shape, n = tuple(x.shape), len(pads)
    if not 1 <= n <= 3 or len(shape) not in (n + 1, n + 2):
        raise NotImplementedError(
            f"Padding size {2 * n} is not supported for {len(shape)}D input tensor.\n"
            "Supported combinations for non-constant padding:\n"
            "  - 2D or 3D input: padding size = 2 (pads last dimension)\n"
            "  - 3D or 4D input: padding size = 4 (pads last 2 dimensions)\n"
            "  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)"
        )
    if x.dtype is dtypes.bool_ and mode != "circular":
        raise NotImplementedError(f"\"{mode} padding\" not implemented for '{class_name(x.dtype)}'")
    if mode != "circular" and 0 in shape[-n - 1 :]:
        raise RuntimeError(
            f"Expected {n + 1}D or {n + 2}D (batch mode) tensor with possibly 0 batch size and"
            f" other non-zero dimensions for input, but got: {list(shape)}"
        )
    for dim, (size, (low, high)) in enumerate(zip(shape[-n:], pads, strict=True), len(shape) - n):
        if mode == "reflect" and max(low, high) >= size:
            raise RuntimeError(
                "Padding size should be less than the corresponding input dimension, but got:"
                f" padding ({low}, {high}) at dimension {dim} of input {list(shape)}"
            )
        left = size + min(low, 0) + min(high, 0)
        if mode == "circular" and (max(low, high) > size or max(low, high) > max(left, 0)):
            raise RuntimeError(
                "Padding value causes wrapping around more than once: padding "
                f"({low}, {high}) at dimension {dim} of input {list(shape)}"
            )
    outs = [size + low + high for size, (low, high) in zip(shape[-n:], pads, strict=True)]
    if min(outs) < 0 or (mode != "circular" and max(outs) < 1):
        raise RuntimeError(
            f"input {list(shape)} is too small. Calculated output size: {outs} "
            f"({mode} padding {list(pads)} of the last dimensions)"
        )


@function("torch.nn.functional.pad")
def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """`input` made larger at its last dimensions.

    `pad` lists how much goes before and after the last one, the one before it, and so on. `mode`
    is "constant" (with `value`, any number of dimensions; negative numbers take elements away),
    "reflect" (mirrored without repeating the border), "replicate" (the border repeated) or
    "circular"; the last three pad all but the leading one or two dimensions. Raises RuntimeError
    where pads and sizes do not fit.

    >>> torch.nn.functional.pad(torch.tensor([[1., 2., 3.]]), (2, 1), mode="reflect")
    tensor([[3., 2., 1., 2., 3., 2.]])
    """
    pads = _pairs("pad", pad, len(input.shape))
    if mode == "constant":
        return constant_pad(input, 0 if value is None else value, pads)
    if value is not None and value != 0:
        raise RuntimeError(
            f'Padding mode "{mode}" doesn\'t take in value argument, but got {value}'
        )
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(
            f"Unrecognised padding mode {mode}: it is constant, reflect, replicate or circular"
        )
    _check_edges(input, mode, pads)
    return pad_edges.named(_NODE_NAMES.get(mode, "CopySlices").format(len(pads)), input, mode, pads)
