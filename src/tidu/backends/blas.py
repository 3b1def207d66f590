"""OpenBLAS, as native code calls it: single-threaded, with 64-bit integers; and NumPy's own."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tidu.base.dtypes import dtype, float32, float64

_PACKAGE = "scipy_openblas64"
_LETTERS = {float32: "s", float64: "d"}


class BlasAddresses(NamedTuple):
    """Where the functions for one dtype are."""

    gemm: int
    gemv: int


def _in_folders(folders: Iterable[Path]) -> Path | None:
    """The library, if one of these folders has it."""
    for folder in folders:
        for path in sorted(folder.glob("*scipy_openblas*")):
            if path.suffix in (".so", ".dylib", ".dll"):
                return path
    return None


def _library_path() -> Path:
    """The library in its package, which is found and not imported: that would take 50 ms."""
    found = find_spec(_PACKAGE)
    folders = found.submodule_search_locations if found is not None else None
    path = _in_folders(Path(folder, "lib") for folder in folders or ())
    if path is not None:
        return path
    raise ImportError(f"OpenBLAS is not installed whole: pip install --force-reinstall {_PACKAGE}")


@cache
def _library() -> Any:
    """Our own threads do the work; a second set of threads below them would fight for the cores."""
    library = ctypes.CDLL(str(_library_path()))
    library.scipy_openblas_set_num_threads64_(1)
    return library


@cache
def _library_of_numpy() -> Any:
    """The one that NumPy's wheels bring along, None if this NumPy has something else."""
    package = Path(np.__file__).parent
    path = _in_folders((package.with_name("numpy.libs"), package / ".dylibs"))
    library = None if path is None else ctypes.CDLL(str(path))
    return library if hasattr(library, "scipy_openblas_set_num_threads64_") else None


def threads_of_numpy() -> int:
    """On how many threads NumPy's products run; 0 if that is not known."""
    library = _library_of_numpy()
    return 0 if library is None else int(library.scipy_openblas_get_num_threads64_())


def set_threads_of_numpy(count: int) -> int:
    """Have NumPy's products run on so many threads. On how many they did before; 0, and nothing
    happens, if that is not known.
    """
    before = threads_of_numpy()
    if before:
        _library_of_numpy().scipy_openblas_set_num_threads64_(count)
    return before


@cache
def blas_address(kind: dtype) -> BlasAddresses:
    """The addresses of cblas_?gemm and cblas_?gemv for float32 or float64."""
    library, letter = _library(), _LETTERS[kind]
    names = [f"scipy_cblas_{letter}{name}64_" for name in BlasAddresses._fields]
    return BlasAddresses(
        *(ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0 for name in names)
    )
