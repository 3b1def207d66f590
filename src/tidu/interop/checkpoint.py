"""`save`, in the format of PyTorch; `loading` reads it. Each side reads what the other wrote.

A checkpoint is a zip archive. ``data.pkl`` is a pickle of the object in which every tensor stands
as a call of ``torch._utils._rebuild_tensor_v2`` on a storage with offset, sizes and strides;
``data/0``, ``data/1``, ... are the bytes of the storages. The names in the pickle are PyTorch's;
they are translated on the way in and out.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict
from typing import IO, Any

import numpy as np

from tidu.base import devices, dtypes
from tidu.base.dtypes import dtype
from tidu.base.shapes import Size
from tidu.execute import buffer_of
from tidu.interop.files import replacing
from tidu.interop.names import STORAGE_NAMES
from tidu.nn.parameter import Parameter
from tidu.tensor import Tensor

_ALIGNMENT = 64


class _Name:
    """Something that is written as one of PyTorch's global names."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def __call__(self) -> None:
        """Pickle wants what is called on loading to be callable."""


_NAMES: dict[Any, _Name] = {d: _Name("torch", d.name) for d in dtypes.ALL}
_NAMES[Tensor] = _Name("torch", "Tensor")
_NAMES[Parameter] = _Name("torch.nn.parameter", "Parameter")
_STORAGE_TYPES = {d: _Name("torch", name) for d, name in STORAGE_NAMES.items()}
_SIZE, _DEVICE = _Name("torch", "Size"), _Name("torch", "device")
_TENSOR, _PARAMETER = (
    _Name("torch._utils", "_rebuild_tensor_v2"),
    _Name("torch._utils", "_rebuild_parameter"),
)


class _StoredNumbers:
    """The memory of one or more tensors, written to a place of its own."""

    def __init__(self, storage: Any) -> None:
        self.storage = storage
        self.value = storage.in_order()


_PurePickler: Any = pickle._Pickler


class _Pickler(_PurePickler):  # type: ignore[misc]
    """Writes PyTorch's names, and puts the numbers of tensors aside in `stored`."""

    dispatch = dict(_PurePickler.dispatch)

    def __init__(self, file: IO[bytes], protocol: int) -> None:
        super().__init__(file, protocol=protocol)
        self.stored: dict[int, tuple[str, _StoredNumbers]] = {}

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if isinstance(obj, (dtype, type)) and obj in _NAMES:
            obj = _NAMES[obj]
        super().save(obj, save_persistent_id)

    def _save_name(self, name: _Name) -> None:
        self.write(pickle.GLOBAL + f"{name.module}\n{name.name}\n".encode())
        self.memoize(name)

    dispatch[_Name] = _save_name

    def persistent_id(self, obj: Any) -> Any:
        if not isinstance(obj, _StoredNumbers):
            return None
        key, kept = self.stored.setdefault(id(obj.storage), (str(len(self.stored)), obj))
        return ("storage", _STORAGE_TYPES[kept.value.dtype], key, "cpu", kept.value.numel())

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, Tensor):
            return _reduce_tensor(obj)
        if isinstance(obj, Size):
            return _SIZE, (tuple(obj),)
        if isinstance(obj, devices.device):
            return _DEVICE, (obj.type,) if obj.index is None else (obj.type, obj.index)
        return NotImplemented


def _reduce_tensor(t: Tensor) -> Any:
    if isinstance(t, Parameter):
        return _PARAMETER, (t.detach(), t.requires_grad, OrderedDict())
    strides, offset = t._strides()
    stored = _StoredNumbers(t._storage)
    return _TENSOR, (stored, offset, tuple(t.shape), tuple(strides), t.requires_grad, OrderedDict())


def save(
    obj: Any,
    f: Any,
    pickle_module: Any = pickle,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
) -> None:
    """Write `obj`, anything that can be pickled with tensors inside,
    to a path or an open binary file.

    PyTorch reads the file, and `load` reads PyTorch's. Tensors that share memory share it in the
    file. A file that exists is replaced only when everything has been written. Raises RuntimeError
    if the folder does not exist.

    >>> torch.save(model.state_dict(), "model.pt")
    """
    pickled = io.BytesIO()
    pickler = _Pickler(pickled, pickle_protocol)
    pickler.dump(obj)
    records = [(f"data/{key}", _bytes_of(stored)) for key, stored in pickler.stored.values()]
    if hasattr(f, "write"):
        _write_archive(f, "archive", pickled.getvalue(), records)
        return
    stem = os.path.splitext(os.path.basename(os.fspath(f)))[0] or "archive"
    with replacing(f) as file:
        _write_archive(file, stem, pickled.getvalue(), records)


def _bytes_of(stored: _StoredNumbers) -> Any:
    return np.ascontiguousarray(buffer_of(stored.value)).reshape(-1).view(np.uint8).data


def _write_archive(
    file: IO[bytes], folder: str, pickled: bytes, records: list[tuple[str, Any]]
) -> None:
    head = [
        ("data.pkl", pickled),
        (".format_version", b"1"),
        (".storage_alignment", str(_ALIGNMENT).encode()),
    ]
    head.append(("byteorder", sys.byteorder.encode()))
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, content in [*head, *records, ("version", b"3\n")]:
            info = zipfile.ZipInfo(f"{folder}/{name}")
            # The bytes of each record start at a multiple of 64, so that the file can be mapped
            # into memory.
            taken = file.tell() + 30 + len(info.filename.encode()) + 4
            is_long = len(content) >= zipfile.ZIP64_LIMIT
            taken += 20 if is_long else 0  # for sizes beyond 32 bits
            padding = -taken % _ALIGNMENT
            info.extra = struct.pack("<2sH", b"FB", padding) + b"Z" * padding
            with archive.open(info, "w", force_zip64=is_long) as record:
                record.write(content)
