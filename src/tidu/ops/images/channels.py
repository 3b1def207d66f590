"""Pixels for channels and back, and channels among groups."""

from __future__ import annotations

from typing import Any

from tidu.base.strides import strides_of_images
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ops.moving.movement import permute, reshape


def _check_image(operation: str, x: Any, factor: int, role: str) -> None:
    if len(x.shape) < 3:
        raise RuntimeError(
            f"{operation} expects input to have at least 3 dimensions, but got input with "
            f"{len(x.shape)} dimension(s): its shape {list(x.shape)} should be (…, C, H, W)"
        )
    if factor <= 0:
        raise RuntimeError(f"{operation} expects a positive {role}, but got {factor}")


def _shuffle_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,), (factor,) = inputs, attrs
    _check_image("pixel_shuffle", x, factor, "upscale_factor")
    *lead, c, h, w = x.shape
    if c % (factor * factor):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square"
            f" of upscale_factor, but input.size(-3)={c} is not divisible by {factor * factor}"
        )
    return inputs, (*lead, c // (factor * factor), h * factor, w * factor), x.dtype


def _shuffle(x: Any, factor: int) -> Any:
    *lead, c, h, w = x.shape
    n, channels = len(lead), c // (factor * factor)
    parts = reshape(x, (*lead, channels, factor, factor, h, w))
    woven = permute(
        parts, (*range(n), n, n + 3, n + 1, n + 4, n + 2)
    )  # (…, C, H, factor, W, factor)
    return reshape(woven, (*lead, channels, h * factor, w * factor))


def _unshuffle_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,), (factor,) = inputs, attrs
    _check_image("pixel_unshuffle", x, factor, "downscale_factor")
    *lead, c, h, w = x.shape
    for name, place, size in (("height", -2, h), ("width", -1, w)):
        if size % factor:
            raise RuntimeError(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but "
                f"input.size({place})={size} is not divisible by {factor}"
            )
    return inputs, (*lead, c * factor * factor, h // factor, w // factor), x.dtype


def _unshuffle(x: Any, factor: int) -> Any:
    *lead, c, h, w = x.shape
    n = len(lead)
    woven = reshape(x, (*lead, c, h // factor, factor, w // factor, factor))
    parts = permute(woven, (*range(n), n, n + 2, n + 4, n + 1, n + 3))
    return reshape(parts, (*lead, c * factor * factor, h // factor, w // factor))


pixel_shuffle_: Op = define(
    "pixel_shuffle",
    attrs="factor",
    kind="composite",
    strides=strides_of_images,
    infer=_shuffle_infer,
    decompose=_shuffle,
    vjp=(lambda g, out, x, factor: pixel_unshuffle_(g, factor),),
    samples=lambda: [
        Sample((Array((2, 8, 2, 3)), 2)),
        Sample((Array((9, 1, 2)), 3)),
        Sample((Array((1, 2, 4, 1, 1)), 2)),
        Sample((Array((0, 3, 2, 2)), 1)),
    ],
)
pixel_unshuffle_: Op = define(
    "pixel_unshuffle",
    attrs="factor",
    kind="composite",
    strides=strides_of_images,
    infer=_unshuffle_infer,
    decompose=_unshuffle,
    vjp=(lambda g, out, x, factor: pixel_shuffle_(g, factor),),
    samples=lambda: [
        Sample((Array((2, 2, 4, 6)), 2)),
        Sample((Array((1, 3, 6)), 3)),
        Sample((Array((0, 3, 2, 2)), 1)),
    ],
)


@function("torch.pixel_shuffle torch.nn.functional.pixel_shuffle")
def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """Channels as pixels: (…, C·r², H, W) gives (…, C, H·r, W·r), r being `upscale_factor`.

    W. Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
    Convolutional Neural Network", CVPR 2016.

    >>> torch.pixel_shuffle(torch.ones(1, 8, 2, 2), 2).shape
    torch.Size([1, 2, 4, 4])
    """
    return pixel_shuffle_(input, upscale_factor)


@function("torch.pixel_unshuffle torch.nn.functional.pixel_unshuffle")
def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """Pixels as channels, the inverse of `pixel_shuffle`: (…, C, H·r, W·r) gives (…, C·r², H, W).

    >>> torch.pixel_unshuffle(torch.ones(1, 2, 4, 4), 2).shape
    torch.Size([1, 8, 2, 2])
    """
    return pixel_unshuffle_(input, downscale_factor)


def _channels_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,), (groups,) = inputs, attrs
    if len(x.shape) < 3:
        raise RuntimeError(
            f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(x.shape)}"
        )
    if groups <= 0:
        raise RuntimeError(
            f"Number of groups to divide channels in must be positive. Value of groups:{groups}"
        )
    if x.shape[1] % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {x.shape[1]} channels and"
            f" {groups} groups."
        )
    return inputs, x.shape, x.dtype


def _shuffle_channels(x: Any, groups: int) -> Any:
    batch, channels, *rest = x.shape
    grouped = reshape(x, (batch, groups, channels // groups, *rest))
    order = (0, 2, 1, *range(3, len(grouped.shape)))
    return reshape(permute(grouped, order), tuple(x.shape))


channel_shuffle_: Op = define(
    "channel_shuffle",
    attrs="groups",
    kind="composite",
    strides=strides_of_images,
    infer=_channels_infer,
    decompose=_shuffle_channels,
    vjp=(lambda g, out, x, groups: channel_shuffle_(g, max(x.shape[1] // groups, 1)),),
    samples=lambda: [
        Sample((Array((2, 6, 2, 2)), 3)),
        Sample((Array((1, 4, 3)), 2)),
        Sample((Array((0, 4, 2)), 1)),
    ],
)


@function(
    "torch.channel_shuffle torch.native_channel_shuffle "
    "torch.nn.functional.channel_shuffle torch.nn.functional.native_channel_shuffle"
)
def channel_shuffle(input: Any, groups: int) -> Any:
    """Channels dealt out among groups: (N, C, …) read as (groups, C / groups) and transposed.

    X. Zhang et al., "ShuffleNet", CVPR 2018.

    >>> torch.channel_shuffle(torch.arange(4.).view(1, 4, 1), 2).flatten()
    tensor([0., 2., 1., 3.])
    """
    return channel_shuffle_(input, groups)
