"""How a tensor prints: the text of PyTorch's `repr(tensor)`, made from a NumPy array.

Only the elements that appear are looked at, so printing a large tensor costs as much as printing
its corners.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

DTYPE_PREFIX = "torch."
_COMPLEX_DEFAULTS = {"float32": "complex64", "float64": "complex128"}


_PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}
# What `set_printoptions` sets: digits after the point; from how many elements on a tensor is
# summarized, with how many elements at each end of a dimension; characters in a line; whether
# numbers are written as 1e2, None for where their sizes suggest it.
_options = SimpleNamespace(**_PROFILES["default"], sci_mode=None)


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Change how tensors print; follows `torch.set_printoptions`.

    `profile` ("default", "short" or "full") goes first, then the single options. `sci_mode` returns
    to None, the automatic choice, in every call that does not give it.

    >>> set_printoptions(precision=2)
    >>> format_tensor(np.array([1.12345]), "float64", default_float="float64")
    'tensor([1.12])'
    >>> set_printoptions(profile="default")
    """
    chosen = dict(_PROFILES.get(profile or "", {}))
    single = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    chosen.update((name, value) for name, value in single.items() if value is not None)
    for name, value in chosen.items():
        setattr(_options, name, value)
    _options.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The options in force, as keyword arguments of `set_printoptions`."""
    return dict(vars(_options))


@contextmanager
def printoptions(**changes: Any) -> Iterator[None]:
    """Options for a while: `with printoptions(precision=2): print(x)`."""
    before = get_printoptions()
    set_printoptions(**changes)
    try:
        yield
    finally:
        set_printoptions(**before)


def format_tensor(
    array: Array,
    dtype_name: str,
    *,
    default_float: str = "float32",
    requires_grad: bool = False,
    grad_fn: str | None = None,
    kind: str = "tensor",
    name: str = "tensor",
) -> str:
    """The text of a tensor with these elements; with kind "parameter" that of an `nn.Parameter`.
    It begins with `name`, that of the class where it is one of the user's.

    The dtype is named unless the digits tell it; `grad_fn` is the name of the function's class.

    >>> format_tensor(np.array([1, 2], np.int32), "int32")
    'tensor([1, 2], dtype=torch.int32)'
    """
    prefix = f"{name}("
    suffixes = []
    if array.size == 0:
        body = "[]"
        named = dtype_name != default_float  # there is no digit to tell int64 and bool apart
        if array.ndim != 1:
            suffixes.append(f"size={array.shape}")
    else:
        body = _format_elements(array, len(prefix))
        obvious = (
            default_float,
            _COMPLEX_DEFAULTS.get(default_float, "complex64"),
            "int64",
            "bool",
        )
        named = dtype_name not in obvious
        if not _options.edgeitems:
            suffixes.append(f"size={array.shape}")
    if named:
        suffixes.append(f"dtype={DTYPE_PREFIX}{dtype_name}")
    if grad_fn is not None:
        suffixes.append(f"grad_fn=<{grad_fn}>")
    elif requires_grad:
        suffixes.append("requires_grad=True")
    text = _append_suffixes(prefix + body, suffixes, len(prefix)) + ")"
    return "Parameter containing:\n" + text if kind == "parameter" else text


def _append_suffixes(text: str, suffixes: list[str], indent: int) -> str:
    column = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if column + len(suffix) + 2 > _options.linewidth:
            text += ",\n" + " " * indent + suffix
            column = indent + len(suffix)
        else:
            text += ", " + suffix
            column += len(suffix) + 2
    return text


def _format_elements(array: Array, indent: int) -> str:
    summarized = array.size > _options.threshold
    if summarized and array.ndim and not _options.edgeitems:
        return "[...]"
    texts, width = _element_texts(_corners(array) if summarized else array)
    if array.ndim == 0:
        return texts[0]

    edge = _options.edgeitems if summarized else max(array.shape)
    row_indent = indent + array.ndim - 1
    per_line = max(1, (_options.linewidth - row_indent) // (width + 2))
    length = array.shape[-1]
    cut = length > 2 * edge
    shown = 2 * edge if cut else length
    line_break = ",\n" + " " * (row_indent + 1)
    parts = []
    for start in range(0, len(texts), shown):
        row = texts[start : start + shown]
        if cut:
            row.insert(edge, " ...")
        lines = [", ".join(row[i : i + per_line]) for i in range(0, len(row), per_line)]
        parts.append("[" + line_break.join(lines) + "]")

    for axis in range(array.ndim - 2, -1, -1):  # put brackets around, from the inside out
        length = array.shape[axis]
        cut = length > 2 * edge
        shown = 2 * edge if cut else length
        separator = "," + "\n" * (array.ndim - 1 - axis) + " " * (indent + axis + 1)
        groups = [parts[start : start + shown] for start in range(0, len(parts), shown)]
        if cut:
            for group in groups:
                group.insert(edge, "...")
        parts = ["[" + separator.join(group) + "]" for group in groups]
    return parts[0]


def _corners(array: Array) -> Array:
    """The elements that a summary shows: both ends of every dimension that is long enough."""
    edge = _options.edgeitems
    kept = [
        np.r_[:edge, length - edge : length] if length > 2 * edge else np.arange(length)
        for length in array.shape
    ]
    corners: Array = array[np.ix_(*kept)]
    return corners


def _element_texts(array: Array) -> tuple[list[str], int]:
    """The text of every element, and the width that a column needs."""
    if array.dtype.kind == "c":
        real, real_width = _element_texts(array.real)
        imaginary, imaginary_width = _element_texts(array.imag)
        return [_complex_text(*parts) for parts in zip(real, imaginary)], (
            real_width + imaginary_width + 1
        )
    if array.dtype.kind in "biu":
        texts = list(map(str, array.ravel().tolist()))
        width = max(map(len, texts))
    else:
        texts, width = _real_texts(array.ravel().astype(np.float64, copy=False))
    return [text.rjust(width) for text in texts], width


def _complex_text(real: str, imaginary: str) -> str:
    imaginary = imaginary.lstrip() + "j"
    return real + imaginary if imaginary[0] in "+-" else real + "+" + imaginary


def _real_texts(values: Array) -> tuple[list[str], int]:
    """The texts of float64 values, and the width of those that are neither zero nor nan nor inf.

    One layout for all: with exponents where the range asks for it, whole numbers as `1.`, else with
    a fixed number of digits.
    """
    ordinary = np.isfinite(values) & (values != 0.0)
    chosen = values if ordinary.all() else values[ordinary]
    if not chosen.size:
        return [_whole_text(value) for value in values.tolist()], 1
    scientific = _options.sci_mode
    if scientific is None:
        magnitudes = np.abs(chosen)
        smallest, largest = float(magnitudes.min()), float(magnitudes.max())
        scientific = largest / smallest > 1000.0 or largest > 1e8 or smallest < 1e-4
    if scientific:
        texts = list(map(f"{{:.{_options.precision}e}}".format, values.tolist()))
    elif (chosen == np.ceil(chosen)).all():
        texts = [_whole_text(value) for value in values.tolist()]
    else:
        texts = list(map(f"{{:.{_options.precision}f}}".format, values.tolist()))
    if chosen is values:
        return texts, max(map(len, texts))
    return texts, max(len(text) for text, usual in zip(texts, ordinary.tolist()) if usual)


def _whole_text(value: float) -> str:
    return f"{value:.0f}." if math.isfinite(value) else f"{value:.0f}"
