"""The polynomials of `tidu.ir.mathematics`: fitted by Remez's exchange with 60 digits.

Each fit makes the greatest weighted error on an interval as small as possible, and is followed by
that error. Coefficients are printed rounded to the dtype, highest power first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from mpmath import mp, mpf

mp.dps = 60
Function = Callable[[Any], Any]


def remez(
    f: Function, weight: Function, low: Any, high: Any, degree: int, rounds: int = 12
) -> tuple[list[Any], Any]:
    """Coefficients, lowest power first, and the greatest weighted error."""
    low, high = mpf(low), mpf(high)
    count = degree + 2
    points = [
        (low + high) / 2 - (high - low) / 2 * mp.cos(mp.pi * (i + mpf(1) / 2) / count)
        for i in range(count)
    ]
    grid = [
        (low + high) / 2 - (high - low) / 2 * mp.cos(mp.pi * i / (24 * count))
        for i in range(24 * count + 1)
    ]
    values = [(x, f(x), weight(x)) for x in grid]
    coefficients: list[Any] = []
    worst = mpf(0)
    for _ in range(rounds):
        matrix, right = mp.matrix(count, count), mp.matrix(count, 1)
        for i, x in enumerate(points):
            for k in range(degree + 1):
                matrix[i, k] = x**k
            matrix[i, degree + 1] = (-1) ** i / weight(x)
            right[i] = f(x)
        solution = mp.lu_solve(matrix, right)
        coefficients = list(solution[: degree + 1])
        errors = [w * (y - mp.polyval(coefficients[::-1], x)) for x, y, w in values]
        worst = max(abs(e) for e in errors)
        points = _extremes(grid, errors, count)
        if worst < abs(solution[degree + 1]) * mpf("1.01"):
            break
    return coefficients, worst


def _extremes(grid: list[Any], errors: list[Any], count: int) -> list[Any]:
    """The greatest error of each run of one sign; the best `count` neighbors of them."""
    runs: list[tuple[Any, Any]] = []
    for x, e in zip(grid, errors, strict=True):
        if runs and mp.sign(runs[-1][1]) == mp.sign(e):
            if abs(e) > abs(runs[-1][1]):
                runs[-1] = (x, e)
        else:
            runs.append((x, e))
    while len(runs) > count:
        runs.pop(0 if abs(runs[0][1]) < abs(runs[-1][1]) else -1)
    assert len(runs) == count, f"{len(runs)} extremes, not {count}: fewer rounds, or another degree"
    return [x for x, _ in runs]


def _one(x: Any) -> Any:
    return mpf(1)


def _first(z: Any) -> Any:
    """The error counts as much as z, but a little at 0, too."""
    return z + mpf("1e-9")


def _second(z: Any) -> Any:
    return z * z + mpf("1e-9")


def _about_zero(r: Any) -> Any:
    return mp.sqrt(r * r + 0.001)


class Fit(NamedTuple):
    name: str
    f: Function
    weight: Function
    low: Any
    high: Any
    degrees: tuple[int, int]  # for float32 and float64
    doubled: int = 0  # how many of the lowest coefficients are given in two parts


def _series(f: Function, terms: list[Any], power: int) -> Function:
    """(f(x) - the terms) / x**power, by more digits near 0."""

    def rest(x: Any) -> Any:
        x = max(abs(x), mpf(10) ** -15) * (-1 if x < 0 else 1)
        with mp.extradps(60):
            return (f(x) - mp.polyval(terms[::-1], x)) / x**power

    return rest


def _of_square(f: Function, terms: list[Any], power: int) -> Function:
    """The same for x = √z."""
    rest = _series(f, terms, power)
    return lambda z: rest(mp.sqrt(z))


_CENTER = mpf(3)


def _scaled_erfc(q: Any) -> Any:
    """exp(y²) erfc(y) (y + c) as a function of q = (y - c)/(y + c)."""
    y = _CENTER * (1 + q) / (1 - q)
    return mp.exp(y * y) * mp.erfc(y) * (y + _CENTER)


def _relative(q: Any) -> Any:
    return 1 / _scaled_erfc(q)


def _erfc_end(y: float) -> Any:
    return (y - _CENTER) / (y + _CENTER)


_HALF_LOG_2 = mp.log(2) / 2
_QUARTER = (mp.pi / 4) ** 2

FITS = [
    # exp(r) = 1 + r + r² P(r)
    Fit(
        "EXP",
        _series(mp.exp, [1, 1], 2),
        _about_zero,
        -_HALF_LOG_2,
        _HALF_LOG_2,
        (4, 9),
    ),
    # 2**r = 1 + r (ln 2) + r² P(r)
    Fit(
        "EXP2",
        _series(lambda r: mp.power(2, r), [1, mp.log(2)], 2),
        _about_zero,
        -0.5,
        0.5,
        (4, 9),
    ),
    # log(1 + f) = f - f²/2 + f³ P(f)
    Fit(
        "LOG",
        _series(mp.log1p, [0, 1, -mpf(1) / 2], 3),
        lambda f: f * f + 0.003,
        mp.sqrt(0.5) - 1,
        mp.sqrt(2) - 1,
        (8, 0),
    ),
    # log((1 + s)/(1 - s)) = 2 s + s R(s²)
    Fit(
        "LOG_RATIO",
        _of_square(lambda x: 2 * mp.atanh(x), [0, 2], 3),
        _first,
        0,
        (3 - 2 * mp.sqrt(2)) ** 2,
        (0, 6),
    ),
    # 2 atanh(s) = 2 s + 2/3 s³ + s⁵ R(s²)
    Fit(
        "LOG_TAIL",
        _of_square(lambda x: 2 * mp.atanh(x), [0, 2, 0, mpf(2) / 3], 5),
        _second,
        0,
        (3 - 2 * mp.sqrt(2)) ** 2,
        (0, 7),
    ),
    # sin r = r + r³ P(r²), cos r = 1 - r²/2 + r⁴ P(r²)
    Fit("SIN", _of_square(mp.sin, [0, 1], 3), _first, 0, _QUARTER, (2, 5)),
    Fit(
        "COS",
        _of_square(mp.cos, [1, 0, -mpf(1) / 2], 4),
        _second,
        0,
        _QUARTER,
        (2, 5),
    ),
    # sinh x = x + x³ P(x²) for |x| <= 1
    Fit("SINH", _of_square(mp.sinh, [0, 1], 3), _first, 0, 1, (3, 6)),
    # tanh x = x + x³ P(x²) for |x| <= 0.6
    Fit("TANH", _of_square(mp.tanh, [0, 1], 3), _first, 0, 0.36, (4, 10)),
    # asin x = x + x³ P(x²) for |x| <= 1/2
    Fit("ASIN", _of_square(mp.asin, [0, 1], 3), _first, 0, 0.25, (4, 11)),
    # atan x = x + x³ P(x²) for |x| <= 1
    Fit("ATAN", _of_square(mp.atan, [0, 1], 3), _first, 0, 1, (8, 19)),
    # erf x = x + x P(x²) for |x| <= 1
    Fit("ERF", _of_square(mp.erf, [0, 1], 1), _one, 0, 1, (6, 12)),
    # -log erfc(y) for y >= 1, weighted by what it does to erf
    Fit("ERF_FAR", lambda y: -mp.log(mp.erfc(y)), lambda y: mp.erfc(y) / mp.erf(y), 1, 4, (6, 0)),
    Fit("ERF_FAR", lambda y: -mp.log(mp.erfc(y)), lambda y: mp.erfc(y) / mp.erf(y), 1, 6, (0, 18)),
    # exp(y²) erfc(y) (y + 3) in q = (y - 3)/(y + 3)
    Fit("ERFC", _scaled_erfc, _relative, -1, _erfc_end(10.5), (9, 0), 2),
    Fit("ERFC", _scaled_erfc, _relative, -1, _erfc_end(27.5), (0, 23), 2),
]


_HEAD = '''"""Coefficients, highest power first. Made by `benchmarks/fits/mathematics.py`."""

from tidu.base.dtypes import dtype, float32, float64

Table = dict[dtype, tuple[float, ...]]
'''


def _rounded(c: Any, kind: str) -> str:
    return f"{np.float32(float(c)):.9g}" if kind == "float32" else repr(float(c))


def _printed(found: list[Any], kind: str, doubled: int) -> Iterator[str]:
    for power in range(len(found) - 1, -1, -1):
        text = _rounded(found[power], kind)
        yield text
        if power < doubled:
            held = float(np.float32(text)) if kind == "float32" else float(text)
            yield _rounded(found[power] - mpf(held), kind)


def main() -> None:
    """Prints the module `tidu.ir.mathematics.coefficients`."""
    tables: dict[str, list[str]] = {}
    for fit in FITS:
        for kind, degree in zip(("float32", "float64"), fit.degrees, strict=True):
            if degree:
                found, worst = remez(fit.f, fit.weight, fit.low, fit.high, degree)
                numbers = ", ".join(_printed(found, kind, fit.doubled))
                line = f"    {kind}: ({numbers}),  # error 2**{float(mp.log(worst, 2)):.1f}"
                tables.setdefault(fit.name, []).append(line)
    print(_HEAD)
    for name, lines in tables.items():
        print(f"{name}: Table = {{", *lines, "}", sep="\n")


if __name__ == "__main__":
    main()
