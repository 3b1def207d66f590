"""OpenBLAS, as native code calls it: single-threaded, with 64-bit integers."""

from __future__ import annotations

import ctypes
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from tidu.base.dtypes import dtype, float32, float64

_PACKAGE = "scipy_openblas64"
_LETTERS = {float32: "s", float64: "d"}


class BlasAddresses(NamedTuple):
    """Where the functions for one dtype are."""

    gemm: int
    gemv: int


def _library_path() -> Path:
    """The library in its package, which is found and not imported: that would take 50 ms."""
    found = find_spec(_PACKAGE)
    folders = found.submodule_search_locations if found is not None else None
    for folder in folders or ():
        for path in sorted(Path(folder, "lib").glob("*scipy_openblas*")):
            if path.suffix in (".so", ".dylib", ".dll"):
                return path
    raise ImportError(f"OpenBLAS is not installed whole: pip install --force-reinstall {_PACKAGE}")


@cache
def _library() -> Any:
    """Our own threads do the work; a second set of threads below them would fight for the cores."""
    library = ctypes.CDLL(str(_library_path()))
    library.scipy_openblas_set_num_threads64_(1)
    return library


@cache
def blas_address(kind: dtype) -> BlasAddresses:
    """The addresses of cblas_?gemm and cblas_?gemv for float32 or float64."""
    library, letter = _library(), _LETTERS[kind]
    names = [f"scipy_cblas_{letter}{name}64_" for name in BlasAddresses._fields]
    return BlasAddresses(
        *(ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0 for name in names)
    )
