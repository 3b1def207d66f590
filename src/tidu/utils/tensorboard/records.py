"""The files that TensorBoard reads: records with checksums, each an event in protocol-buffer form.

https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/summary.proto has the
numbers of the fields.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5
_STRING_TYPE = 7  # DT_STRING


def _table() -> tuple[int, ...]:
    """For each byte what it adds to a CRC-32C, whose polynomial is 0x1EDC6F41, bits reversed."""
    entries = []
    for entry in range(256):
        for _ in range(8):
            entry = entry >> 1 ^ (0x82F63B78 if entry & 1 else 0)
        entries.append(entry)
    return tuple(entries)


_TABLE = _table()


def crc32c(data: bytes) -> int:
    """The Castagnoli checksum.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _masked(data: bytes) -> bytes:
    """The checksum as records have it: turned by 15 bits, and something added."""
    crc = crc32c(data)
    return struct.pack("<I", (crc >> 15 | crc << 17) + 0xA282EAD8 & 0xFFFFFFFF)


def record(data: bytes) -> bytes:
    """A record of a file: length and contents, each followed by its checksum."""
    length = struct.pack("<Q", len(data))
    return length + _masked(length) + data + _masked(data)


def _number(value: int) -> bytes:
    value &= 0xFFFFFFFFFFFFFFFF
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])


def _integer(field: int, value: int) -> bytes:
    return _number(field << 3 | _VARINT) + _number(value)


def _double(field: int, value: float) -> bytes:
    return _number(field << 3 | _DOUBLE) + struct.pack("<d", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _number(field << 3 | _BYTES) + _number(len(value)) + value


def _doubles(field: int, values: Sequence[float]) -> bytes:
    return _bytes(field, struct.pack(f"<{len(values)}d", *values))


def header(time: float) -> bytes:
    """The first event of a file."""
    return _double(1, time) + _bytes(3, b"brain.Event:2")


def event(time: float, step: int, value: bytes) -> bytes:
    """One value of a summary, at a step."""
    return _double(1, time) + _integer(2, step) + _bytes(5, _bytes(1, value))


def scalar(tag: str, value: float) -> bytes:
    """A point of a curve, in single precision."""
    return _bytes(1, tag.encode()) + _number(2 << 3 | _FLOAT) + struct.pack("<f", value)


def histogram(
    tag: str,
    extremes: tuple[float, float],
    sums: tuple[float, float, float],
    limits: Sequence[float],
    counts: Sequence[float],
) -> bytes:
    """How often values lie up to each limit. `sums` are those of x⁰, x¹ and x²."""
    numbers = (*extremes, *sums)
    fields = [_double(field, number) for field, number in enumerate(numbers, 1)]
    return _bytes(1, tag.encode()) + _bytes(
        5, b"".join([*fields, _doubles(6, limits), _doubles(7, counts)])
    )


def image(tag: str, height: int, width: int, channels: int, png: bytes) -> bytes:
    """A picture."""
    sizes = _integer(1, height) + _integer(2, width) + _integer(3, channels)
    return _bytes(1, tag.encode()) + _bytes(4, sizes + _bytes(4, png))


def text(tag: str, content: str) -> bytes:
    """A text, which is shown as Markdown."""
    one = _bytes(2, _bytes(2, _integer(1, 1)))  # a tensor of one string
    tensor = _integer(1, _STRING_TYPE) + one + _bytes(8, content.encode())
    plugin = _bytes(1, _bytes(1, b"text"))
    return _bytes(1, tag.encode()) + _bytes(8, tensor) + _bytes(9, plugin)
