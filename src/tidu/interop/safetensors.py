"""The safetensors format: a header in JSON, then the bytes of the tensors.

Nothing in such a file can run.

The format is described at https://huggingface.co/docs/safetensors.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.interop.files import replacing
from tidu.tensor import Tensor, from_array

_LONGEST_HEADER = 100_000_000
_CODES = {
    "F64": dtypes.float64,
    "F32": dtypes.float32,
    "F16": dtypes.float16,
    "BF16": dtypes.bfloat16,
    "I64": dtypes.int64,
    "I32": dtypes.int32,
    "I16": dtypes.int16,
    "I8": dtypes.int8,
    "U8": dtypes.uint8,
    "BOOL": dtypes.bool_,
}
_NAMES = {d: code for code, d in _CODES.items()}


def save_file(
    tensors: Mapping[str, Tensor], filename: Any, metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors under their names; `metadata` is a mapping of strings to strings.

    A file that exists is replaced only when everything has been written. Raises ValueError for what
    is no tensor.

    >>> save_file(model.state_dict(), "model.safetensors")
    """
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": dict(metadata)}
    arrays = []
    position = 0
    for name, t in tensors.items():
        if not isinstance(t, Tensor):
            raise ValueError(
                f"save_file: '{name}' is of type {type(t).__name__}, but only tensors can be "
                f"written"
            )
        array = np.ascontiguousarray(t.detach()._array()).reshape(-1).view(np.uint8)
        header[name] = {
            "dtype": _NAMES[t.dtype],
            "shape": list(t.shape),
            "data_offsets": [position, position + array.size],
        }
        position += array.size
        arrays.append(array)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the numbers start at a multiple of 8
    with replacing(filename) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in arrays:
            file.write(array.data)


def _header(file: Any, filename: Any) -> tuple[dict[str, Any], int]:
    """The header and where the numbers start."""
    start = file.read(8)
    size = struct.unpack("<Q", start)[0] if len(start) == 8 else _LONGEST_HEADER + 1
    if size > _LONGEST_HEADER:
        raise ValueError(f"load_file: {os.fspath(filename)} is not a safetensors file")
    try:
        header = json.loads(file.read(size))
    except ValueError as error:
        raise ValueError(
            f"load_file: {os.fspath(filename)} is not a safetensors file: {error}"
        ) from error
    return header, 8 + size


def load_metadata(filename: Any) -> dict[str, str]:
    """The metadata of a file: a mapping of strings to strings."""
    with open(filename, "rb") as file:
        return dict(_header(file, filename)[0].get("__metadata__", {}))


def load_file(filename: Any, device: Any = "cpu") -> dict[str, Tensor]:
    """The tensors of a file by name.

    Raises ValueError for a file that is damaged or of another kind.
    """
    with open(filename, "rb") as file:
        header, start = _header(file, filename)
        header.pop("__metadata__", None)
        return {name: _read(file, start, name, entry) for name, entry in header.items()}


def _read(file: Any, start: int, name: str, entry: dict[str, Any]) -> Tensor:
    d = _CODES.get(entry["dtype"])
    if d is None:
        raise ValueError(
            f"load_file: '{name}' is of dtype {entry['dtype']}, which tensors do not have here"
        )
    shape, (first, last) = tuple(entry["shape"]), entry["data_offsets"]
    count = prod(shape)
    file.seek(start + first)
    content = file.read(last - first)
    if len(content) != count * d.itemsize:
        raise ValueError(
            f"load_file: '{name}' of shape {list(shape)} needs {count * d.itemsize} bytes, but "
            f"there are {len(content)}"
        )
    array = np.frombuffer(content, d.numpy).reshape(shape)
    return from_array(array.copy() if sys.byteorder == "little" else array.byteswap(), d)
