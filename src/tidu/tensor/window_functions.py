"""Windows for the analysis of signals: torch.signal.windows, and the older torch.hann_window and
its kind.

References: F. J. Harris, "On the use of windows for harmonic analysis with the discrete Fourier
transform" (1978); A. Nuttall, "Some windows with very good sidelobe behavior" (1981).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tidu.base import devices, dtypes
from tidu.base.dtypes import dtype
from tidu.ir.op import function
from tidu.tensor.tensor import Tensor, from_array

_SPACE = "torch.signal.windows"


def _checked(name: str, M: int, d: dtype | None, device: Any) -> dtype:
    devices.check(device or "cpu")
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    d = d or dtypes.get_default_dtype()
    if d not in (dtypes.float32, dtypes.float64):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {d}")
    return d


def _made(numbers: Any, d: dtype, requires_grad: bool) -> Tensor:
    numbers = np.asarray(numbers)
    made = from_array((np.ones(1) if numbers.size == 1 else numbers).astype(d.numpy), d)
    return made.requires_grad_() if requires_grad else made


def _period(M: int, sym: bool) -> int:
    """The distance between the first point and the one that repeats it."""
    return max(M - 1 if sym else M, 1)


def _cosines(M: int, weights: Iterable[float], sym: bool) -> Any:
    angle = 2 * np.pi * np.arange(M) / _period(M, sym)
    terms = ((-1) ** k * a * np.cos(k * angle) for k, a in enumerate(weights))
    return sum(terms)


@function(f"{_SPACE}.general_cosine")
def general_cosine(
    M: int,
    *,
    a: Iterable[float],
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """w(n) = Σ (-1)^k a_k cos(2π k n / (M - 1)), or with M for M - 1 unless `sym`."""
    d = _checked("general_cosine", M, dtype, device)
    if not isinstance(a, Iterable):
        raise TypeError("Coefficients must be a list/tuple")
    weights = list(a)
    if not weights:
        raise ValueError("Coefficients cannot be empty")
    return _made(_cosines(M, weights, sym) if M else np.zeros(0), d, requires_grad)


def _fixed_cosine(name: str, weights: tuple[float, ...], doc: str) -> Any:
    def window(
        M: int,
        *,
        sym: bool = True,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
    ) -> Any:
        return general_cosine(
            M, a=weights, sym=sym, dtype=dtype, device=device, requires_grad=requires_grad
        )

    window.__name__ = window.__qualname__ = name
    window.__doc__ = doc
    return function(f"{_SPACE}.{name}")(window)


hann = _fixed_cosine("hann", (0.5, 0.5), "w(n) = ½ - ½ cos(2π n / (M - 1)).")
blackman = _fixed_cosine("blackman", (0.42, 0.5, 0.08), "The three-term cosine window of Blackman.")
nuttall = _fixed_cosine(
    "nuttall",
    (0.3635819, 0.4891775, 0.1365995, 0.0106411),
    "The minimum four-term cosine window of Nuttall.",
)


@function(f"{_SPACE}.general_hamming")
def general_hamming(
    M: int,
    *,
    alpha: float = 0.54,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """w(n) = α - (1 - α) cos(2π n / (M - 1))."""
    return general_cosine(
        M, a=(alpha, 1.0 - alpha), sym=sym, dtype=dtype, device=device, requires_grad=requires_grad
    )


@function(f"{_SPACE}.hamming")
def hamming(
    M: int,
    *,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """`general_hamming` with α = 0.54."""
    return general_hamming(M, sym=sym, dtype=dtype, device=device, requires_grad=requires_grad)


def _bartlett(M: int, sym: bool) -> Any:
    return 1 - np.abs(-1 + 2 * np.arange(M) / _period(M, sym))


@function(f"{_SPACE}.bartlett")
def bartlett(
    M: int,
    *,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A triangle: w(n) = 1 - |2n / (M - 1) - 1|."""
    return _made(_bartlett(M, sym), _checked("bartlett", M, dtype, device), requires_grad)


@function(f"{_SPACE}.cosine")
def cosine(
    M: int,
    *,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Half a wave: w(n) = sin(π (n + ½) / M)."""
    d = _checked("cosine", M, dtype, device)
    return _made(np.sin(np.pi * (np.arange(M) + 0.5) / (M if sym else M + 1)), d, requires_grad)


@function(f"{_SPACE}.exponential")
def exponential(
    M: int,
    *,
    center: float | None = None,
    tau: float = 1.0,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """w(n) = exp(-|n - center| / τ); the center is the middle unless given (not for symmetric
    windows).
    """
    d = _checked("exponential", M, dtype, device)
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")
    middle = (M - 1 if sym else M) / 2 if center is None else center
    return _made(np.exp(-np.abs(np.arange(M) - middle) / tau), d, requires_grad)


@function(f"{_SPACE}.gaussian")
def gaussian(
    M: int,
    *,
    std: float = 1.0,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """w(n) = exp(-½ ((n - middle) / std)²)."""
    d = _checked("gaussian", M, dtype, device)
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    distance = (np.arange(M) - (M - 1 if sym else M) / 2) / std
    return _made(np.exp(-0.5 * distance**2), d, requires_grad)


def _kaiser(M: int, beta: float, sym: bool) -> Any:
    inside = 1 - (2 * np.arange(M) / _period(M, sym) - 1) ** 2
    return np.i0(beta * np.sqrt(np.maximum(inside, 0))) / np.i0(beta)


@function(f"{_SPACE}.kaiser")
def kaiser(
    M: int,
    *,
    beta: float = 12.0,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """w(n) = I0(β √(1 - (2n / (M - 1) - 1)²)) / I0(β)."""
    d = _checked("kaiser", M, dtype, device)
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    return _made(_kaiser(M, beta, sym), d, requires_grad)


# The older functions, periodic unless told otherwise ----------------------------------------------


def _old(name: str, length: int, d: dtype | None, device: Any) -> dtype:
    devices.check(device or "cpu")
    if length < 0:
        raise RuntimeError(
            f"{name} requires non-negative window_length, got window_length={length}"
        )
    d = d or dtypes.get_default_dtype()
    if not d.is_floating_point:
        raise RuntimeError(f"{name} expects floating point dtypes, got: {d}")
    return d


@function("torch.hann_window")
def hann_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    **rest: Any,
) -> Tensor:
    """The window of Hann."""
    d = _old("hann_window", window_length, dtype, device)
    return _made(_cosines(window_length, (0.5, 0.5), not periodic), d, requires_grad)


@function("torch.hamming_window")
def hamming_window(
    window_length: int,
    periodic: bool = True,
    alpha: float = 0.54,
    beta: float = 0.46,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    **rest: Any,
) -> Tensor:
    """α - β cos(2π n / N)."""
    d = _old("hamming_window", window_length, dtype, device)
    return _made(_cosines(window_length, (alpha, beta), not periodic), d, requires_grad)


@function("torch.blackman_window")
def blackman_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    **rest: Any,
) -> Tensor:
    """The window of Blackman."""
    d = _old("blackman_window", window_length, dtype, device)
    return _made(_cosines(window_length, (0.42, 0.5, 0.08), not periodic), d, requires_grad)


@function("torch.bartlett_window")
def bartlett_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    **rest: Any,
) -> Tensor:
    """A triangle."""
    d = _old("bartlett_window", window_length, dtype, device)
    return _made(_bartlett(window_length, not periodic), d, requires_grad)


@function("torch.kaiser_window")
def kaiser_window(
    window_length: int,
    periodic: bool = True,
    beta: float = 12.0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    **rest: Any,
) -> Tensor:
    """The window of Kaiser."""
    d = _old("kaiser_window", window_length, dtype, device)
    return _made(_kaiser(window_length, beta, not periodic), d, requires_grad)
