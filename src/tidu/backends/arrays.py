"""Where the elements of NumPy arrays are, asked for many arrays at once.

NumPy's own ways to ask (`ctypes.data`, `__array_interface__`) cost about a microsecond each, and a
training step has hundreds of arrays. A native function reads the same fields of the array objects;
their places in memory are part of NumPy's binary interface, and are checked before they are used.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from tidu.compiler import cache, llvm

# Bytes from the start of an array object to the pointer to its elements, and to its flags.
_DATA, _FLAGS = 16, 64
_C_CONTIGUOUS = 1

_TEXT = f"""
; Put the address of the elements of each array into the table. Returns how many arrays came before
; the first that is not in row-major order, which is all of them if there is none.
define i64 @tidu_addresses(ptr %arrays, ptr %table, i64 %count) nounwind {{
entry:
  %some = icmp sgt i64 %count, 0
  br i1 %some, label %loop, label %done

loop:
  %i = phi i64 [0, %entry], [%next, %plain]
  %array.at = getelementptr ptr, ptr %arrays, i64 %i
  %array = load ptr, ptr %array.at
  %data.at = getelementptr i8, ptr %array, i64 {_DATA}
  %data = load i64, ptr %data.at
  %flags.at = getelementptr i8, ptr %array, i64 {_FLAGS}
  %flags = load i32, ptr %flags.at
  %contiguous = and i32 %flags, {_C_CONTIGUOUS}
  %strided = icmp eq i32 %contiguous, 0
  br i1 %strided, label %done, label %plain

plain:
  %slot = getelementptr i64, ptr %table, i64 %i
  store i64 %data, ptr %slot
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %loop, label %done

done:
  %result = phi i64 [0, %entry], [%i, %loop], [%count, %plain]
  ret i64 %result
}}
"""


class Addresses:
    """Fills a part of a table, `count` slots from the address `table` on."""

    def __init__(self, table: int, count: int) -> None:
        self._ids = (ctypes.c_int64 * count)()
        self._table = ctypes.c_void_p(table)
        self._count = ctypes.c_int64(count)
        self._function = _function()

    def fill(self, arrays: list[Any]) -> None:
        """Arrays that are not in row-major order are replaced by copies, in the list itself."""
        self._ids[:] = list(map(id, arrays))
        while True:
            place = self._function(self._ids, self._table, self._count)
            if place == len(arrays):
                return
            arrays[place] = array = np.ascontiguousarray(arrays[place])
            self._ids[place] = id(array)


class _Asked:
    """The same without native code, where array objects look different."""

    def __call__(self, ids: Any, table: Any, count: Any) -> int:
        slots = (ctypes.c_int64 * count.value).from_address(table.value)
        for place, number in enumerate(ids):
            array = ctypes.cast(number, ctypes.py_object).value
            if not array.flags.c_contiguous:
                return place
            slots[place] = array.ctypes.data
        return int(count.value)


_found: Any = None


def _function() -> Any:
    global _found
    if _found is None:
        address = llvm.load([cache.object_code(_TEXT)], ["tidu_addresses"])["tidu_addresses"]
        prototype = ctypes.PYFUNCTYPE(
            ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64
        )
        _found = prototype(address) if _layout_is_known() else _Asked()
    return _found


def _layout_is_known() -> bool:
    samples: Sequence[Any] = (np.zeros((2, 3)), np.zeros((4, 3), np.int8).T, np.zeros(()))
    return all(
        ctypes.c_int64.from_address(id(a) + _DATA).value == a.ctypes.data
        and bool(ctypes.c_int32.from_address(id(a) + _FLAGS).value & _C_CONTIGUOUS)
        == a.flags.c_contiguous
        for a in samples
    )
