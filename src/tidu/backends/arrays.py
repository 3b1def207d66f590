"""Where the elements of NumPy arrays are, asked for many arrays at once.

NumPy's own ways to ask (`ctypes.data`, `__array_interface__`) cost about a microsecond each, and a
training step has hundreds of arrays. A native function reads the same fields of the array objects
in a list; their places in memory are part of the binary interfaces of NumPy and Python, and are
checked before they are used.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from tidu.compiler import cache, llvm

# Bytes from the start of an object to its type; from that of an array to the pointer to its
# elements, and to its flags.
_TYPE, _DATA, _FLAGS = 8, 16, 64
_C_CONTIGUOUS = 1
# Bytes from the start of a list object to the pointer to its entries.
_ENTRIES = 24
_NDARRAY = id(np.ndarray)

_TEXT = f"""
; Put the address of the elements of each array in a list into the table. Returns how many arrays
; came before the first that is not in row-major order, or is not of the type of arrays; which is
; all of them if there is none.
define i64 @tidu_addresses(ptr %list, ptr %table, i64 %count, ptr %ndarray) nounwind {{
entry:
  %entries.at = getelementptr i8, ptr %list, i64 {_ENTRIES}
  %arrays = load ptr, ptr %entries.at
  %some = icmp sgt i64 %count, 0
  br i1 %some, label %loop, label %done

loop:
  %i = phi i64 [0, %entry], [%next, %plain]
  %array.at = getelementptr ptr, ptr %arrays, i64 %i
  %array = load ptr, ptr %array.at
  %type.at = getelementptr i8, ptr %array, i64 {_TYPE}
  %type = load ptr, ptr %type.at
  %known = icmp eq ptr %type, %ndarray
  br i1 %known, label %array.known, label %done

array.known:
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
  %result = phi i64 [0, %entry], [%i, %loop], [%i, %array.known], [%count, %plain]
  ret i64 %result
}}
"""


class Addresses:
    """Fills the slots of a table from the address `table` on."""

    def __init__(self, table: int) -> None:
        self._table = ctypes.c_void_p(table)
        self._function = _function()

    def fill(self, arrays: list[Any], count: int) -> None:
        """The slots of the first `count` arrays. Those that are not in row-major order, or not
        plain arrays, are replaced by copies, in the list itself.
        """
        while True:
            place = self._function(id(arrays), self._table, count, _NDARRAY)
            if place == count:
                return
            arrays[place] = np.ascontiguousarray(arrays[place])


class _Asked:
    """The same without native code, where objects look different."""

    def __call__(self, arrays: int, table: Any, count: int, ndarray: int) -> int:
        slots = (ctypes.c_int64 * count).from_address(table.value)
        every: list[Any] = ctypes.cast(arrays, ctypes.py_object).value
        for place, array in enumerate(every[:count]):
            if id(type(array)) != ndarray or not array.flags.c_contiguous:
                return place
            slots[place] = array.__array_interface__["data"][0]
        return count


_found: Any = None


def _function() -> Any:
    global _found
    if _found is None:
        address = llvm.load([cache.object_code(_TEXT)], ["tidu_addresses"])["tidu_addresses"]
        prototype = ctypes.PYFUNCTYPE(
            ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p
        )
        _found = prototype(address) if _layout_is_known() else _Asked()
    return _found


def _layout_is_known() -> bool:
    if list.__basicsize__ != _ENTRIES + 16:  # where the entries are, and for how many there is room
        return False
    samples: list[Any] = [np.zeros((2, 3)), np.zeros((4, 3), np.int8).T, np.zeros(())]
    entries = ctypes.c_int64.from_address(id(samples) + _ENTRIES).value
    found = (ctypes.c_int64 * len(samples)).from_address(entries)
    return list(found) == list(map(id, samples)) and all(
        ctypes.c_int64.from_address(id(a) + _TYPE).value == _NDARRAY
        and ctypes.c_int64.from_address(id(a) + _DATA).value == a.ctypes.data
        and bool(ctypes.c_int32.from_address(id(a) + _FLAGS).value & _C_CONTIGUOUS)
        == a.flags.c_contiguous
        for a in samples
    )
