"""Windows for the analysis of signals:
torch.signal.windows, and the older torch.hann_window and its kind.

Each is declared by its formula. All of them also take `dtype`, `layout`, `device`, `pin_memory` and
`requires_grad`, and raise for lengths below zero and for dtypes that cannot hold a window.

References: F. J. Harris, "On the use of windows for harmonic analysis with the discrete Fourier
transform" (1978); A. Nuttall, "Some windows with very good sidelobe behavior" (1981).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tidu.base import devices, dtypes
from tidu.base.dtypes import dtype
from tidu.ir.op import function
from tidu.tensor.tensor import Tensor, from_array

_HANN = (0.5, 0.5)
_BLACKMAN = (0.42, 0.5, 0.08)
_NUTTALL = (0.3635819, 0.4891775, 0.1365995, 0.0106411)


def _check(name: str, length: int, d: dtype) -> None:
    """What torch.signal.windows refuses."""
    if length < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={length}")
    if d not in (dtypes.float32, dtypes.float64):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {d}")


def _check_older(name: str, length: int, d: dtype) -> None:
    """What the older functions refuse."""
    if length < 0:
        raise RuntimeError(
            f"{name} requires non-negative window_length, got window_length={length}"
        )
    if not d.is_floating_point:
        raise RuntimeError(f"{name} expects floating point dtypes, got: {d}")


def _window(
    path: str, check: Callable[[str, int, dtype], None] = _check
) -> Callable[[Callable[..., Any]], Callable[..., Tensor]]:
    """Declare a window by a formula for its numbers, whose first argument is how many they are."""

    def declare(formula: Callable[..., Any]) -> Callable[..., Tensor]:
        name_of_length = formula.__code__.co_varnames[0]

        @functools.wraps(formula)
        def window(
            *args: Any,
            dtype: Any = None,
            layout: Any = None,
            device: Any = None,
            pin_memory: bool = False,
            requires_grad: bool = False,
            **options: Any,
        ) -> Tensor:
            devices.check(device)
            d = dtype or dtypes.get_default_dtype()
            # Without any length, calling the formula says so.
            check(formula.__name__, args[0] if args else options.get(name_of_length, 0), d)
            numbers = np.asarray(formula(*args, **options))
            made = from_array((np.ones(1) if numbers.size == 1 else numbers).astype(d.numpy), d)
            return made.requires_grad_() if requires_grad else made

        return function(path)(window)

    return declare


def _period(M: int, sym: bool) -> int:
    """The distance between the first point and the one that repeats it."""
    return max(M - 1 if sym else M, 1)


def _cosines(M: int, weights: Iterable[float], sym: bool) -> Any:
    angle = 2 * np.pi * np.arange(M) / _period(M, sym)
    terms = ((-1) ** k * a * np.cos(k * angle) for k, a in enumerate(weights))
    return sum(terms)


def _triangle(M: int, sym: bool) -> Any:
    return 1 - np.abs(-1 + 2 * np.arange(M) / _period(M, sym))


def _bessel(M: int, beta: float, sym: bool) -> Any:
    inside = 1 - (2 * np.arange(M) / _period(M, sym) - 1) ** 2
    return np.i0(beta * np.sqrt(np.maximum(inside, 0))) / np.i0(beta)


@_window("torch.signal.windows.general_cosine")
def general_cosine(M: int, *, a: Iterable[float], sym: bool = True) -> Any:
    """w(n) = Σ (-1)^k a_k cos(2π k n / (M - 1)), or with M for M - 1 unless `sym`."""
    if not isinstance(a, Iterable):
        raise TypeError("Coefficients must be a list/tuple")
    weights = list(a)
    if not weights:
        raise ValueError("Coefficients cannot be empty")
    return _cosines(M, weights, sym)


@_window("torch.signal.windows.hann")
def hann(M: int, *, sym: bool = True) -> Any:
    """w(n) = ½ - ½ cos(2π n / (M - 1))."""
    return _cosines(M, _HANN, sym)


@_window("torch.signal.windows.blackman")
def blackman(M: int, *, sym: bool = True) -> Any:
    """The three-term cosine window of Blackman."""
    return _cosines(M, _BLACKMAN, sym)


@_window("torch.signal.windows.nuttall")
def nuttall(M: int, *, sym: bool = True) -> Any:
    """The minimum four-term cosine window of Nuttall."""
    return _cosines(M, _NUTTALL, sym)


@_window("torch.signal.windows.general_hamming")
def general_hamming(M: int, *, alpha: float = 0.54, sym: bool = True) -> Any:
    """w(n) = α - (1 - α) cos(2π n / (M - 1))."""
    return _cosines(M, (alpha, 1.0 - alpha), sym)


@_window("torch.signal.windows.hamming")
def hamming(M: int, *, sym: bool = True) -> Any:
    """`general_hamming` with α = 0.54."""
    return _cosines(M, (0.54, 1.0 - 0.54), sym)


@_window("torch.signal.windows.bartlett")
def bartlett(M: int, *, sym: bool = True) -> Any:
    """A triangle: w(n) = 1 - |2n / (M - 1) - 1|."""
    return _triangle(M, sym)


@_window("torch.signal.windows.cosine")
def cosine(M: int, *, sym: bool = True) -> Any:
    """Half a wave: w(n) = sin(π (n + ½) / M)."""
    return np.sin(np.pi * (np.arange(M) + 0.5) / (M if sym else M + 1))


@_window("torch.signal.windows.exponential")
def exponential(M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True) -> Any:
    """w(n) = exp(-|n - center| / τ).

    The center is the middle unless given, which symmetric windows do not allow.
    """
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")
    middle = (M - 1 if sym else M) / 2 if center is None else center
    return np.exp(-np.abs(np.arange(M) - middle) / tau)


@_window("torch.signal.windows.gaussian")
def gaussian(M: int, *, std: float = 1.0, sym: bool = True) -> Any:
    """w(n) = exp(-½ ((n - middle) / std)²)."""
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    distance = (np.arange(M) - (M - 1 if sym else M) / 2) / std
    return np.exp(-0.5 * distance**2)


@_window("torch.signal.windows.kaiser")
def kaiser(M: int, *, beta: float = 12.0, sym: bool = True) -> Any:
    """w(n) = I0(β √(1 - (2n / (M - 1) - 1)²)) / I0(β)."""
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    return _bessel(M, beta, sym)


@_window("torch.hann_window", _check_older)
def hann_window(window_length: int, periodic: bool = True) -> Any:
    """The window of Hann."""
    return _cosines(window_length, _HANN, not periodic)


@_window("torch.hamming_window", _check_older)
def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46
) -> Any:
    """α - β cos(2π n / N)."""
    return _cosines(window_length, (alpha, beta), not periodic)


@_window("torch.blackman_window", _check_older)
def blackman_window(window_length: int, periodic: bool = True) -> Any:
    """The window of Blackman."""
    return _cosines(window_length, _BLACKMAN, not periodic)


@_window("torch.bartlett_window", _check_older)
def bartlett_window(window_length: int, periodic: bool = True) -> Any:
    """A triangle."""
    return _triangle(window_length, not periodic)


@_window("torch.kaiser_window", _check_older)
def kaiser_window(window_length: int, periodic: bool = True, beta: float = 12.0) -> Any:
    """The window of Kaiser."""
    return _bessel(window_length, beta, not periodic)
