"""``torch.testing``: assertions on tensors, and on nested sequences and mappings of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.dtypes import dtype
from tidu.base.source import warn
from tidu.tensor import Tensor, as_tensor

__all__ = ["assert_allclose", "assert_close"]

_TOLERANCES = {  # dtype: (relative, absolute)
    dtypes.float16: (1e-3, 1e-5),
    dtypes.bfloat16: (1.6e-2, 1e-5),
    dtypes.float32: (1.3e-6, 1e-5),
    dtypes.float64: (1e-7, 1e-7),
}
_FORMER_TOLERANCES = {
    dtypes.float16: (1e-3, 1e-3),
    dtypes.float32: (1e-4, 1e-5),
    dtypes.float64: (1e-5, 1e-8),
}
Path = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Comparison:
    """How close two things have to be, and what else has to be the same."""

    rtol: float | None
    atol: float | None
    equal_nan: bool
    check_dtype: bool
    check_stride: bool
    allow_subclasses: bool
    msg: str | Callable[[str], str] | None

    def fail(self, message: str, path: Path, kind: type[Exception] = AssertionError) -> Exception:
        """The error to raise for what stands at `path` in nested containers."""
        if path:
            where = "".join(f"[{key!r}]" for key in path)
            message = f"{message}\n\nThe failure occurred for item {where}"
        if callable(self.msg):
            message = self.msg(message)
        return kind(self.msg if isinstance(self.msg, str) else message)

    def tolerances(self, *kinds: dtype) -> tuple[float, float]:
        """Relative and absolute tolerance: as given, or the loosest of the dtypes."""
        if self.rtol is not None and self.atol is not None:
            return self.rtol, self.atol
        return _loosest(_TOLERANCES, kinds)


def _loosest(
    tolerances: Mapping[dtype, tuple[float, float]], kinds: Iterable[dtype]
) -> tuple[float, float]:
    usual = [tolerances.get(kind, (0.0, 0.0)) for kind in kinds]
    return max(rtol for rtol, _ in usual), max(atol for _, atol in usual)


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """AssertionError unless |actual - expected| <= atol + rtol · |expected| everywhere, and shapes
    and dtypes are the same.

    actual, expected   tensors, numbers, what `as_tensor` takes, and nested sequences and mappings
    rtol, atol         both or neither; by default they follow from the dtypes
    equal_nan          whether two NaN count as close
    msg                replaces the message, or is called with it and gives another

    >>> assert_close(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0 + 1e-6]))
    """
    if (rtol is None) != (atol is None):
        missing = "rtol" if rtol is None else "atol"
        raise ValueError(
            f"Both 'rtol' and 'atol' must be either specified or omitted, but got no {missing}."
        )
    how = _Comparison(rtol, atol, equal_nan, check_dtype, check_stride, allow_subclasses, msg)
    for a, b, path in list(_pairs(actual, expected, (), how)):
        _compare(a, b, path, how)


def assert_allclose(
    actual: Any,
    expected: Any,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = True,
    msg: str = "",
) -> None:
    """`assert_close` of former times: dtypes may differ, and NaN are equal."""
    warn(
        "`torch.testing.assert_allclose()` is deprecated since 1.12 and will be removed in a "
        "future release. Please use `torch.testing.assert_close()` instead.",
        FutureWarning,
    )
    if not isinstance(actual, Tensor):
        actual = as_tensor(actual)
    if not isinstance(expected, Tensor):
        expected = as_tensor(expected, dtype=actual.dtype)
    if rtol is None and atol is None:
        rtol, atol = _loosest(_FORMER_TOLERANCES, (actual.dtype, expected.dtype))
    assert_close(
        actual,
        expected,
        rtol=rtol,
        atol=atol,
        equal_nan=equal_nan,
        check_dtype=False,
        msg=msg or None,
    )


def _is_sequence(x: Any) -> bool:
    return isinstance(x, Sequence) and not isinstance(x, (str, Tensor))


def _pairs(
    actual: Any, expected: Any, path: Path, how: _Comparison
) -> Iterator[tuple[Any, Any, Path]]:
    """What stands at the same place of both, with that place."""
    if _is_sequence(actual) and _is_sequence(expected):
        if len(actual) != len(expected):
            lengths = f"{len(actual)} != {len(expected)}"
            raise how.fail(f"The length of the sequences mismatch: {lengths}", path)
        for place, (a, b) in enumerate(zip(actual, expected, strict=True)):
            yield from _pairs(a, b, (*path, place), how)
    elif isinstance(actual, Mapping) and isinstance(expected, Mapping):
        keys, wanted = set(actual), set(expected)
        if keys != wanted:
            raise how.fail(
                "The keys of the mappings do not match:\n"
                f"Missing keys in the actual mapping: {sorted(wanted - keys)}\n"
                f"Additional keys in the actual mapping: {sorted(keys - wanted)}",
                path,
            )
        for key in sorted(keys, key=str):
            yield from _pairs(actual[key], expected[key], (*path, key), how)
    else:
        yield actual, expected, path


def _compare(actual: Any, expected: Any, path: Path, how: _Comparison) -> None:
    both = actual, expected
    if actual is None or expected is None:
        if actual is not expected:
            raise how.fail(f"None mismatch: {actual} is not {expected}", path)
    elif all(isinstance(x, (bool, np.bool_)) for x in both):
        if bool(actual) is not bool(expected):
            raise how.fail(f"Booleans mismatch: {actual} is not {expected}", path)
    elif all(isinstance(x, (int, float, np.number)) for x in both):
        _compare_numbers(actual, expected, path, how)
    else:
        _compare_tensors(*_as_tensors(actual, expected, path, how), path, how)


def _compare_numbers(actual: Any, expected: Any, path: Path, how: _Comparison) -> None:
    a, b = (x.item() if isinstance(x, np.number) else x for x in (actual, expected))
    if how.check_dtype and type(a) is not type(b):
        raise how.fail(f"The (d)types do not match: {type(a)} != {type(b)}.", path)
    if a == b or (how.equal_nan and math.isnan(a) and math.isnan(b)):
        return
    kinds = (dtypes.float64 if isinstance(x, float) else dtypes.int64 for x in (a, b))
    rtol, atol = how.tolerances(*kinds)
    difference = abs(a - b)
    if math.isfinite(difference) and difference <= atol + rtol * abs(b):
        return
    relative = math.inf if b == 0 else difference / abs(b)
    found = f"Expected {b} but got {a}."
    raise how.fail(_mismatch("Scalars", found, (difference, relative), (atol, rtol)), path)


def _as_tensors(actual: Any, expected: Any, path: Path, how: _Comparison) -> tuple[Tensor, Tensor]:
    related = isinstance(actual, type(expected)) or isinstance(expected, type(actual))
    if related and (how.allow_subclasses or type(actual) is type(expected)):
        try:
            return as_tensor(actual), as_tensor(expected)
        except (TypeError, ValueError, RuntimeError):
            pass
    raise how.fail(
        "No comparison pair was able to handle inputs of type "
        f"{type(actual)} and {type(expected)}.",
        path,
        TypeError,
    )


def _compare_tensors(actual: Tensor, expected: Tensor, path: Path, how: _Comparison) -> None:
    attributes: list[tuple[str, Any, Any]] = [("shape", actual.shape, expected.shape)]
    if how.check_stride:
        attributes.append(("stride()", actual.stride(), expected.stride()))
    if how.check_dtype:
        attributes.append(("dtype", actual.dtype, expected.dtype))
    for name, a, b in attributes:
        if a != b:
            raise how.fail(f"The values for attribute '{name}' do not match: {a} != {b}.", path)
    rtol, atol = how.tolerances(actual.dtype, expected.dtype)
    common = dtypes.promote_types(actual.dtype, expected.dtype)
    matches = _matches(actual.to(common), expected.to(common), rtol, atol, how.equal_nan)
    if matches.all():
        return
    # Differences are worked out in the dtype itself, as they are shown with all digits.
    exact = common if common.is_floating_point else dtypes.int64
    a, b = (x.detach().to(exact).numpy() for x in (actual, expected))
    raise how.fail(_describe(a, b, matches, (atol, rtol)), path)


def _matches(a: Tensor, b: Tensor, rtol: float, atol: float, equal_nan: bool) -> Any:
    close = a.detach().isclose(b.detach(), rtol=rtol, atol=atol, equal_nan=equal_nan)
    return close.numpy()


def _describe(a: Any, b: Any, matches: Any, allowed: tuple[float, float]) -> str:
    """How many elements differ, and where they differ most."""
    with np.errstate(all="ignore"):
        absolute = np.where(matches, 0, np.abs(a - b))
        quotient = np.float32 if absolute.dtype == np.int64 else absolute.dtype
        relative = np.where(matches, 0, (absolute / np.abs(b)).astype(quotient))
    if not matches.shape:
        found = f"Expected {b.item()} but got {a.item()}."
        return _mismatch("Scalars", found, (absolute.item(), relative.item()), allowed)
    count = matches.size - int(matches.sum())
    greatest = [_greatest(x) for x in (absolute, relative)]
    return _mismatch(
        "Tensor-likes",
        f"Mismatched elements: {count} / {matches.size} ({count / matches.size:.1%})",
        (greatest[0][0], greatest[1][0]),
        allowed,
        [f" at index {place}" for _, place in greatest],
    )


def _greatest(differences: Any) -> tuple[Any, tuple[int, ...]]:
    """The greatest number, or the first NaN, and its place."""
    place = tuple(int(i) for i in np.unravel_index(np.argmax(differences), differences.shape))
    return differences[place].item(), place


def _mismatch(
    what: str,
    found: str,
    differences: tuple[float, float],
    allowed: tuple[float, float],
    places: Sequence[str] = ("", ""),
) -> str:
    equality = not any(allowed)
    word = "equal" if equality else "close"
    greatest = places[0] != ""
    lines = [f"{what} are not {word}!", "", found]
    for name, difference, limit, place in zip(
        ("absolute", "relative"), differences, allowed, places, strict=True
    ):
        title = f"Greatest {name}" if greatest else name.capitalize()
        bound = "" if equality else f" (up to {limit} allowed)"
        lines.append(f"{title} difference: {difference}{place}{bound}")
    return "\n".join(lines)
