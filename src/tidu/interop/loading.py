"""`load`: reads checkpoints in the format of PyTorch (see `checkpoint`) and in its older ones."""

from __future__ import annotations

import io
import os
import pickle
import struct
import sys
import zipfile
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from tidu.base import devices
from tidu.base.dtypes import dtype
from tidu.base.strides import is_dense, strides_like
from tidu.interop.names import StorageType, find_any, find_harmless
from tidu.nn.parameter import Parameter
from tidu.tensor import Tensor, from_array
from tidu.tensor.laying import lay

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


class _Loaded:
    """A storage of the file: its numbers, and the tensors that were made of it."""

    def __init__(self, numbers: np.ndarray[Any, Any], d: dtype) -> None:
        self.numbers, self.dtype = numbers, d
        self.memory: Tensor | None = None

    def tensor(self, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
        """A tensor over these numbers.

        All of one storage share their memory, as they did when saved.
        """
        last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
        if (
            offset < 0
            or any(s < 0 for s in stride)
            or (0 not in size and last >= self.numbers.size)
        ):
            raise RuntimeError(
                f"load: a tensor of size {list(size)} with strides {list(stride)} at offset "
                f"{offset} reaches beyond its storage of {self.numbers.size} elements; the file is "
                "damaged"
            )
        size, stride = tuple(size), tuple(stride)
        is_whole = offset == 0 and prod(size) == self.numbers.size
        is_plain = is_whole and is_dense(size, stride)
        if self.memory is None:
            self.memory = self._whole(size, stride) if is_plain else self._whole((-1,), (1,))
        if is_plain and (self.memory.shape, self.memory.stride()) == (size, stride):
            return self.memory.detach()
        return self.memory.as_strided(size, stride, offset).detach()  # type: ignore[no-any-return]

    def _whole(self, size: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
        """A tensor of all the numbers, which come in the order of its strides."""
        order = sorted(range(len(size)), key=lambda d: (-stride[d], size[d]))
        numbers = self.numbers.reshape([size[d] for d in order]).transpose(np.argsort(order))
        return lay(from_array(numbers.copy(order="C"), self.dtype), strides_like(size, stride))


def _rebuild_tensor(storage: Any, offset: int, size: Any, stride: Any) -> Tensor:
    if not isinstance(storage, _Loaded):
        raise pickle.UnpicklingError("load: a tensor without a storage; the file is damaged")
    return storage.tensor(offset, size, stride)


def _rebuild_tensor_v2(
    storage: Any,
    offset: int,
    size: Any,
    stride: Any,
    requires_grad: bool,
    hooks: Any,
    metadata: Any = None,
) -> Tensor:
    return _rebuild_tensor(storage, offset, size, stride).requires_grad_(requires_grad)


def _rebuild_parameter(data: Tensor, requires_grad: bool, hooks: Any) -> Parameter:
    return Parameter(data, requires_grad)


def _rebuild_parameter_with_state(
    data: Tensor, requires_grad: bool, hooks: Any, state: Any
) -> Parameter:
    made = Parameter(data, requires_grad)
    if isinstance(state, dict):
        made.__dict__.update({name: x for name, x in state.items() if not name.startswith("_")})
    return made


_REBUILD: dict[tuple[str, str], Callable[..., Any]] = {
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _rebuild_parameter_with_state,
}


class _Unpickler(pickle.Unpickler):
    """Reads PyTorch's names as ours, and asks `read_storage` for the numbers."""

    def __init__(
        self,
        file: Any,
        weights_only: bool,
        read_storage: Callable[[dtype, str, int], _Loaded],
        encoding: str,
    ) -> None:
        super().__init__(file, encoding=encoding)
        self.find = find_harmless if weights_only else find_any
        self.read_storage = read_storage

    def find_class(self, module: str, name: str) -> Any:
        rebuild = _REBUILD.get((module, name))
        return self.find(module, name) if rebuild is None else rebuild

    def persistent_load(self, saved_id: Any) -> Any:
        kind = saved_id[0].decode() if isinstance(saved_id[0], bytes) else saved_id[0]
        if kind == "module":  # the source of a class, in very old files
            return saved_id[1]
        if kind != "storage" or not isinstance(saved_id[1], StorageType):
            raise pickle.UnpicklingError(f"load: cannot read a {kind} of type {saved_id[1]!r}")
        return self.read_storage(saved_id[1].dtype, str(saved_id[2]), int(saved_id[4]))


def load(
    f: Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Read what `save` or PyTorch wrote, from a path or an open binary file.

    With `weights_only` (the default) only tensors, numbers, strings and plain containers are made,
    so that a file from anywhere can be opened; raises pickle.UnpicklingError for anything else.
    ``weights_only=False`` makes whatever objects the file holds, and runs code on its behalf.
    Everything is loaded to the CPU, whatever device it was saved from; `map_location` may say so.
    Raises FileNotFoundError, RuntimeError for a file that is damaged, and UnpicklingError or (where
    it is too short) EOFError for one that is no checkpoint.

    >>> torch.save(model.state_dict(), "model.pt")
    >>> model.load_state_dict(torch.load("model.pt"))
    <All keys matched successfully>
    """
    _check_location(map_location)
    weights_only = True if weights_only is None else weights_only
    encoding = pickle_load_args.pop("encoding", "utf-8")
    if hasattr(f, "read"):
        return _load_from(f, "the file", weights_only, encoding)
    with open(f, "rb") as file:
        return _load_from(file, os.fspath(f), weights_only, encoding)


def _check_location(map_location: Any) -> None:
    places = map_location.values() if isinstance(map_location, dict) else [map_location]
    for place in places:
        if not isinstance(place, (str, devices.device)):
            continue
        if devices.device(place).type == "cuda":
            raise RuntimeError(
                "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() "
                "is False: load with map_location='cpu', where tidu runs; 'cuda' was asked for"
            )
        devices.check(place)


def _load_from(file: Any, name: str, weights_only: bool, encoding: str) -> Any:
    start = file.tell()
    is_zip = file.read(4) == b"PK\x03\x04"
    file.seek(start)
    if not is_zip:
        return _load_legacy(file, name, weights_only, encoding)
    if start:
        file = io.BytesIO(file.read())
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        raise RuntimeError(
            f"load: {name} is not a whole checkpoint ({error}); it was probably cut off while it "
            f"was written or copied"
        ) from error
    with archive:
        return _load_archive(archive, name, weights_only, encoding)


def _load_archive(archive: zipfile.ZipFile, name: str, weights_only: bool, encoding: str) -> Any:
    names = archive.namelist()
    pickled = next((n for n in names if n.endswith("/data.pkl") or n == "data.pkl"), None)
    if pickled is None:
        raise RuntimeError(
            f"load: {name} is a zip archive, but not a checkpoint: there is no data.pkl in it"
        )
    folder = pickled.removesuffix("data.pkl")
    order = "little"
    if f"{folder}byteorder" in names:
        order = archive.read(f"{folder}byteorder").decode()
    storages: dict[str, _Loaded] = {}

    def read_storage(d: dtype, key: str, count: int) -> _Loaded:
        if key not in storages:
            try:
                content = archive.read(f"{folder}data/{key}")
            except (KeyError, zipfile.BadZipFile) as error:
                raise RuntimeError(f"load: {name} is damaged: {error}") from error
            storages[key] = _Loaded(_numbers(content, d, count, order, name), d)
        return storages[key]

    return _Unpickler(
        io.BytesIO(archive.read(pickled)), weights_only, read_storage, encoding
    ).load()


def _numbers(content: bytes, d: dtype, count: int, order: str, name: str) -> np.ndarray[Any, Any]:
    if len(content) < count * d.itemsize:
        raise RuntimeError(
            f"load: {name} is damaged: a storage of {count} elements of {d} has only "
            f"{len(content)} bytes"
        )
    numbers = np.frombuffer(content, d.numpy, count)
    return numbers if order == sys.byteorder or d.itemsize == 1 else numbers.byteswap()


def _load_legacy(file: Any, name: str, weights_only: bool, encoding: str) -> Any:
    """The format before the zip archives:
    pickles one after the other, then the bytes of the storages.
    """
    try:
        magic = _Unpickler(file, True, _no_storage, encoding).load()
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        KeyError,
        IndexError,
        AttributeError,
    ) as error:
        if weights_only and "Weights only" in str(error):
            raise
        kind = EOFError if isinstance(error, EOFError) else pickle.UnpicklingError
        raise kind(f"load: {name} is not a checkpoint that torch.save wrote ({error})") from error
    if magic != _LEGACY_MAGIC:
        raise RuntimeError(
            f"load: {name} is not a checkpoint that torch.save wrote: it starts with {magic!r}"
        )
    for _ in range(2):  # the version of the protocol, and facts about the machine
        _Unpickler(file, True, _no_storage, encoding).load()
    wanted: dict[str, tuple[dtype, int, _Loaded]] = {}

    def promise_storage(d: dtype, key: str, count: int) -> _Loaded:
        if key not in wanted:
            wanted[key] = (d, count, _Loaded(np.empty(count, d.numpy), d))
        return wanted[key][2]

    # The numbers come after the object that is made of them, so it is read twice.
    start = file.tell()
    _Unpickler(file, weights_only, promise_storage, encoding).load()
    keys = _Unpickler(file, True, _no_storage, encoding).load()
    for key in keys:
        (count,) = struct.unpack("<q", file.read(8))
        d, _, _ = wanted[str(key)]
        numbers = _numbers(file.read(count * d.itemsize), d, count, "little", name)
        wanted[str(key)] = (d, count, _Loaded(numbers, d))
    end = file.tell()
    file.seek(start)
    result = _Unpickler(file, weights_only, promise_storage, encoding).load()
    file.seek(end)
    return result


def _no_storage(d: dtype, key: str, count: int) -> _Loaded:
    raise pickle.UnpicklingError("load: a storage where none can be; the file is damaged")
