"""Arrays as pictures: arranged as height, width and channels, and packed as PNG."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np

_KINDS = {1: 0, 3: 2, 4: 6}  # PNG's numbers for gray, color, and color with transparency


def arranged(array: Any, dataformats: str) -> Any:
    """Bytes in the order "HWC". Floats count from 0 to 1, integers from 0 to 255.

    ValueError where the letters do not fit the array.
    """
    letters = dataformats.upper()
    if len(letters) != array.ndim or not set("HW") <= set(letters) <= set("NHWC"):
        raise ValueError(
            f"an image of shape {list(array.shape)} cannot be arranged as {dataformats!r}"
        )
    if "C" not in letters:
        array, letters = array[..., None], f"{letters}C"
    if "N" not in letters:
        array, letters = array[None], f"N{letters}"
    array = array.transpose([letters.index(letter) for letter in "NHWC"])
    return _beside_each_other(_as_bytes(array))


def _as_bytes(array: Any) -> Any:
    if array.dtype == np.uint8:
        return array
    scale = 255.0 if array.dtype.kind == "f" else 1.0
    return (array.astype(np.float64) * scale).clip(0, 255).astype(np.uint8)


def _beside_each_other(images: Any) -> Any:
    """Several images (N, H, W, C) as one, in rows of at most eight."""
    count, height, width, channels = images.shape
    columns = min(8, count)
    rows = -(-count // columns)
    sheet = np.zeros((rows * columns, height, width, channels), np.uint8)
    sheet[:count] = images
    sheet = sheet.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return sheet.reshape(rows * height, columns * width, channels)


def png(pixels: Any) -> bytes:
    """Pixels (H, W, C), with 1, 3 or 4 channels, as the contents of a PNG file."""
    height, width, channels = pixels.shape
    if channels not in _KINDS:
        raise ValueError(f"an image has 1, 3 or 4 channels, not {channels}")
    rows = np.zeros((height, 1 + width * channels), np.uint8)  # each begins with its filter: none
    rows[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, _KINDS[channels], 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)
