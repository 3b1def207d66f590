"""Random numbers that equal PyTorch's: from the same seed the same `rand`, `randn`, `randperm`, ...

Every method draws 32-bit words in the order PyTorch's CPU kernels do and makes samples of them with
the same arithmetic. Elements are drawn in memory order. Results are new NumPy arrays.

PyTorch itself depends on the processor here. Followed are its kernels for AVX2 and later; on Intel
processors it may take Bernoulli and exponential samples from MKL, whose numbers are others.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from itertools import accumulate, groupby, pairwise
from typing import Any

import ml_dtypes
import numpy as np

from tidu.base import devices
from tidu.base.allocation import allocate
from tidu.base.random import Array, arguments
from tidu.base.random.box_muller import (
    BLOCK,
    fill_normal_float32,
    fill_normal_float64,
    libm,
    normal_pairs,
)
from tidu.base.random.mersenne import MersenneStream
from tidu.base.random.rounding import scale_shift
from tidu.base.random.selection import largest
from tidu.base.random.shuffling import shuffle_forward, shuffle_inside_out
from tidu.base.random.word_values import (
    DIGITS,
    Convert,
    bits64,
    cast_integer,
    cast_real,
    modulo32,
    modulo64,
    unit32,
    unit64,
)

Shape = int | Sequence[int]

DEFAULT_SEED = 67280421310721

_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
_INT64, _BOOL = np.dtype(np.int64), np.dtype(np.bool_)
_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
_LOWEST_INT64 = -(1 << 63)

_CHUNK = 1 << 17  # words converted at a time: few calls, and the temporaries stay in cache
_WIDE_RANGE = 1 << 28  # from here on a modulo of 32-bit words is too uneven, and 64 bits are drawn
_LARGE_PERMUTATION = 0xFFFFFFFF // 20
_STATE = np.dtype(
    [
        ("seed", "<u8"),
        ("left", "<i4"),  # words left of the block, plus one
        ("seeded", "<i4"),
        ("next", "<u8"),  # index of the next word in the block
        ("words", "<u8", (624,)),
        ("normal_x", "<f8"),
        ("normal", "<f8"),  # the second sample of a Box-Muller pair, where has_normal
        ("normal_rho", "<f8"),
        ("has_normal", "<i4"),
        ("unused", "<i4"),
        ("float_normal", "<f4"),
        ("has_float_normal", "?"),
        ("padding", "V3"),
    ]
)


class Generator:
    """A source of random numbers with a state of its own; follows `torch.Generator` on the CPU.

    >>> Generator().manual_seed(0).uniform(2)
    array([0.4962566, 0.7682218], dtype=float32)
    """

    __slots__ = ("__weakref__", "_next_normal", "_seed", "_stream", "device")

    def __init__(self, device: Any = "cpu") -> None:
        try:
            self.device = devices.check(device)
        except AssertionError as error:
            raise RuntimeError(f"Cannot get CUDA generator. {error}") from None
        self._stream = MersenneStream(DEFAULT_SEED)
        self._seed = DEFAULT_SEED
        # Box-Muller makes two samples at a time; where one is wanted the other waits here.
        self._next_normal: float | None = None

    # Seeds and states

    def manual_seed(self, seed: int) -> Generator:
        """Start the sequence of `seed`, in [-2**63, 2**64); a negative one counts from 2**64."""
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
            raise RuntimeError(f"manual_seed expected a long, but got {type(seed).__name__}")
        if not _LOWEST_INT64 <= seed < 1 << 64:
            raise ValueError(
                "Overflow when unpacking long long: "
                f"manual_seed takes -2**63 to 2**64 - 1, got {seed}"
            )
        self._seed = int(seed) % (1 << 64)
        self._stream.seed(self._seed)
        self._next_normal = None
        return self

    def seed(self) -> int:
        """Seed with a number that nobody can foresee, and return it."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little") >> 11)  # 53 bits, as PyTorch
        return self._seed

    def initial_seed(self) -> int:
        """The seed in use."""
        return self._seed

    def get_state(self) -> Array:
        """The state as bytes, uint8 (5056,), in the layout of `torch.Generator.get_state`."""
        words, left, following = self._stream.position()
        state = np.zeros(1, _STATE)
        state["seed"] = self._seed
        state["left"], state["seeded"], state["next"], state["words"] = left, 1, following, words
        if self._next_normal is not None:
            state["has_normal"], state["normal"] = 1, self._next_normal
        return state.view(np.uint8)

    def set_state(self, state: Array) -> Generator:
        """Continue from bytes made by `get_state`, here or in PyTorch."""
        if not isinstance(state, np.ndarray) or state.dtype != np.uint8:
            raise TypeError("RNG state must be a torch.ByteTensor (here a uint8 array)")
        if state.size != _STATE.itemsize:
            raise RuntimeError(
                f"Expected a CPUGeneratorImplState of size {_STATE.itemsize} "
                f"but found the input RNG state size to be {state.size}"
            )
        parts = np.ascontiguousarray(state).reshape(-1).view(_STATE)[0]
        if not parts["seeded"]:
            raise RuntimeError("Invalid mt19937 state: it was never seeded")
        self._stream.set_position(parts["words"], int(parts["left"]), int(parts["next"]))
        self._seed = int(parts["seed"])
        self._next_normal = float(parts["normal"]) if parts["has_normal"] else None
        return self

    def mark(self) -> tuple[Any, ...]:
        """Where the sequence is, for `go_back`."""
        return self._seed, self._next_normal, *self._stream.position()

    def go_back(self, mark: tuple[Any, ...]) -> None:
        """Continue from where `mark` was called."""
        self._seed, self._next_normal, *position = mark
        self._stream.set_position(*position)

    def clone_state(self) -> Generator:
        """Another generator that will give the same numbers."""
        return Generator(self.device).set_state(self.get_state())

    clone = clone_state

    def __reduce__(self) -> tuple[Any, ...]:
        return (_restore, (self.get_state(),))

    # Words to samples

    def _draw(self, count: int, words_each: int, convert: Convert, dtype: np.dtype[Any]) -> Array:
        """`count` samples of `dtype`, each made from `words_each` words by `convert`."""
        step = _CHUNK // words_each
        if count <= step:
            return convert(self._stream.words(count * words_each))
        result = allocate(count, dtype)
        for start in range(0, count, step):
            stop = min(start + step, count)
            result[start:stop] = convert(self._stream.words((stop - start) * words_each))
        return result

    def _draw_real(
        self, shape: Shape, dtype: Any, transform: Callable[[Array, bool], Array]
    ) -> Array:
        """Samples made by `transform(uniform, exact)` of float64 uniforms in [0, 1).

        With `exact` the last bit has to be that of the C library.
        """
        kind = np.dtype(dtype)
        exact = kind == _FLOAT64
        convert: Convert = lambda words: cast_real(transform(unit64(words), exact), kind)  # noqa: E731
        return self._draw(_count(shape), 2, convert, kind).reshape(shape)

    def uniform(
        self, shape: Shape, dtype: Any = np.float32, low: float = 0.0, high: float = 1.0
    ) -> Array:
        """Uniform samples in [low, high); follows `Tensor.uniform_`.

        >>> Generator().manual_seed(0).uniform((1, 2), np.float64, -1.0, 1.0)
        array([[0.940106  , 0.41563973]])
        """
        kind = np.dtype(dtype)
        standard = low == 0.0 and high == 1.0
        if not standard or kind not in DIGITS:
            arguments.check_uniform_bounds(kind, low, high)
        wide = kind == _FLOAT64
        if standard and (wide or kind == _FLOAT32):
            convert = unit64 if wide else unit32
        else:
            compute: Any = np.float64 if wide else np.float32
            first, width = compute(low), compute(high) - compute(low)
            bottom, top = kind.type(first), kind.type(compute(high))

            def convert(words: Array) -> Array:
                unit = unit64(words) if wide else unit32(words)
                samples = scale_shift(unit, width, first).astype(kind, copy=False)
                samples[samples == top] = bottom  # rounding may reach the excluded end
                return samples

        return self._draw(_count(shape), 2 if wide else 1, convert, kind).reshape(shape)

    def normal(
        self,
        shape: Shape,
        dtype: Any = np.float32,
        mean: float = 0.0,
        std: float = 1.0,
        *,
        contiguous: bool = True,
    ) -> Array:
        """Normal samples, `mean + std * z`; follows `Tensor.normal_`.

        PyTorch has one way for fewer than 16 elements and for tensors that are not contiguous
        (`contiguous=False`), and another one for the rest.

        >>> Generator().manual_seed(0).normal(2)
        array([ 1.5409961, -0.2934289], dtype=float32)
        """
        if not std >= 0.0:
            raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
        kind, count = np.dtype(dtype), _count(shape)
        if count == 0:
            return np.empty(shape, kind)
        arguments.check_floating_point("normal_kernel_cpu", kind)
        if count < BLOCK or not contiguous:
            return cast_real(self._normal_serial(count, mean, std), kind).reshape(shape)
        wide = kind == _FLOAT64
        fill = fill_normal_float64 if wide else fill_normal_float32
        result = allocate(count, kind)
        whole = count - count % BLOCK
        fill(result[:whole], self._stream.words, mean, std)
        if whole < count:
            if kind.itemsize > 2:  # these types' kernels fill all of the array with uniforms first
                self._stream.words((count - whole) * (2 if wide else 1))
            fill(result[-BLOCK:], self._stream.words, mean, std)
        return result.reshape(shape)

    def _normal_serial(self, count: int, mean: float, std: float) -> Array:
        """Float64 normal samples one after the other, the second of a pair kept for later."""
        result = allocate(count, np.float64)
        start = 0
        if count and self._next_normal is not None:
            result[0] = self._next_normal
            start, self._next_normal = 1, None
        while start < count:
            pairs = min((count - start + 1) // 2, _CHUNK // 4)
            uniform = unit64(self._stream.words(4 * pairs)).reshape(pairs, 2)
            samples = normal_pairs(uniform)
            if samples.size > count - start:
                self._next_normal = float(samples[-1])
                samples = samples[:-1]
            result[start : start + samples.size] = samples
            start += samples.size
        return scale_shift(result, np.float64(std), np.float64(mean))

    def log_normal(
        self, shape: Shape, dtype: Any = np.float32, mean: float = 1.0, std: float = 2.0
    ) -> Array:
        """`exp` of normal samples; follows `Tensor.log_normal_`."""
        if not std > 0.0:
            raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std:g}")
        kind, count = np.dtype(dtype), _count(shape)
        arguments.check_floating_point("log_normal_cpu", kind)
        samples = self._normal_serial(count, mean, std)
        with np.errstate(over="ignore"):
            samples = libm(_exp, samples) if kind == _FLOAT64 else np.exp(samples)
        return cast_real(samples, kind).reshape(shape)

    def exponential(self, shape: Shape, dtype: Any = np.float32, lambd: float = 1.0) -> Array:
        """Samples of the density `lambd * exp(-lambd * x)`; follows `Tensor.exponential_`."""
        if not lambd > 0.0:
            raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd:g}")
        kind = np.dtype(dtype)
        arguments.check_continuous("Exponential", kind, arguments.scalar_name(kind))
        factor = -1.0 / lambd

        def transform(uniform: Array, exact: bool) -> Array:
            np.negative(uniform, out=uniform)
            return (libm(math.log1p, uniform) if exact else np.log1p(uniform, out=uniform)) * factor

        return self._draw_real(shape, kind, transform)

    def cauchy(
        self, shape: Shape, dtype: Any = np.float32, median: float = 0.0, sigma: float = 1.0
    ) -> Array:
        """Samples of the Cauchy distribution; follows `Tensor.cauchy_`."""
        if not sigma > 0.0:
            raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma:g}")
        kind = np.dtype(dtype)
        arguments.check_continuous("Cauchy", kind, arguments.type_name(kind))

        def transform(uniform: Array, exact: bool) -> Array:
            angle = math.pi * (uniform - 0.5)
            tangent = libm(math.tan, angle) if exact else np.tan(angle)
            return scale_shift(tangent, np.float64(sigma), np.float64(median))

        return self._draw_real(shape, kind, transform)

    def geometric(self, shape: Shape, dtype: Any = np.float32, p: float = 0.5) -> Array:
        """The number of trials up to the first success, each of probability `p`;
        follows `Tensor.geometric_`.
        """
        if not 0.0 < p < 1.0:
            raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p:g}")
        kind = np.dtype(dtype)
        arguments.check_supported("geometric_cpu", kind, boolean=False)
        log_failure = math.log1p(-p)

        def transform(uniform: Array, exact: bool) -> Array:
            with np.errstate(divide="ignore"):
                return np.ceil(np.log(uniform) / log_failure)

        return self._draw_real(shape, kind, transform)

    def bernoulli(self, shape: Shape, p: float = 0.5) -> Array:
        """True with probability `p`, as booleans; follows `Tensor.bernoulli_(p)` with a number."""
        return self.bernoulli_each([(shape, p)])[0]

    def bernoulli_each(self, wanted: Sequence[tuple[Shape, float]]) -> list[Array]:
        """`bernoulli(shape, p)` for each pair, one after the other, in one piece of memory."""
        ends = list(accumulate([_count(shape) for shape, _ in wanted], initial=0))
        drawn = allocate(ends[-1], _BOOL)
        start = 0
        for p, same in groupby([p for _, p in wanted]):
            if not 0.0 <= p <= 1.0:
                raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")
            limit = math.ceil(p * 2.0**53)  # uniform < p, asked of the integers behind it
            stop = start + len(list(same))
            self._stream.fill_below(drawn[ends[start] : ends[stop]], limit)
            start = stop
        return [
            drawn[first:last].reshape(shape)
            for (first, last), (shape, _) in zip(pairwise(ends), wanted, strict=True)
        ]

    def bernoulli_tensor(self, p: Array) -> Array:
        """True with the probability given for each element, as booleans;
        follows `torch.bernoulli`.
        """
        arguments.check_floating_point("bernoulli_tensor_cpu_p_", p.dtype)
        inside = (p >= 0) & (p <= 1)
        if not inside.all():
            raise RuntimeError(
                "Expected p_in >= 0 && p_in <= 1 to be true, but got false: bernoulli needs "
                f"probabilities in [0, 1], and element {np.flatnonzero(~inside)[0]} "
                f"is {p[~inside][0]}"
            )
        if p.dtype == _FLOAT64:
            return self.uniform(p.shape, _FLOAT64) < p
        return self.uniform(p.shape, _FLOAT32) < p.astype(np.float32, copy=False)

    def integers(self, low: int, high: int, shape: Shape, dtype: Any = np.int64) -> Array:
        """Whole numbers in [low, high); follows `torch.randint`.

        >>> Generator().manual_seed(0).integers(0, 10, 4)
        array([4, 9, 3, 0])
        """
        kind = np.dtype(dtype)
        if not low < high:
            raise RuntimeError(
                f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
            )
        if kind in DIGITS:
            low, high = arguments.representable_range(low, high, kind)
            if not low < high:
                raise RuntimeError(
                    "random_ expects 'from' casted to dtype to be less than 'to' casted to dtype, "
                    f"but got from={low} >= to={high}"
                )
        arguments.check_integer_bounds(kind, low, high - 1)
        return self._integers(low, high - low, shape, kind)

    def random(self, shape: Shape, dtype: Any, low: int | None = None) -> Array:
        """Whole numbers from 0 (or `low`) to the last that `dtype` holds exactly;
        follows `Tensor.random_()`.
        """
        kind = np.dtype(dtype)
        arguments.check_supported("random_kernel_cpu", kind)
        top = arguments.last_exact_integer(kind)
        if low is None:
            wide = kind in (_INT64, _FLOAT64)
            convert = (modulo64 if wide else modulo32)(0, top + 1, kind)
            return self._draw(_count(shape), 2 if wide else 1, convert, kind).reshape(shape)
        if low == _LOWEST_INT64:
            if kind not in (_INT64, _FLOAT64, _FLOAT32, _BFLOAT16):
                raise arguments.not_implemented("random_full_64_bits_range_kernel_cpu", kind)
            return self._draw(_count(shape), 2, modulo64(0, 1 << 64, kind), kind).reshape(shape)
        if kind in DIGITS:
            low = arguments.representable_range(low, top, kind)[0]
            if not low < top:
                raise RuntimeError(
                    "random_ expects 'from' casted to dtype to be less than or equal to 'to_inc' "
                    f"casted to dtype, but got from={low} > to_inc={top}"
                )
        arguments.check_integer_bounds(kind, low, top)
        return self._integers(low, top + 1 - low, shape, kind)

    def _integers(self, low: int, span: int, shape: Shape, kind: np.dtype[Any]) -> Array:
        wide = span >= _WIDE_RANGE
        convert = (modulo64 if wide else modulo32)(low, span, kind)
        return self._draw(_count(shape), 2 if wide else 1, convert, kind).reshape(shape)

    def permutation(self, n: int, dtype: Any = np.int64) -> Array:
        """The numbers 0 to n - 1 in random order; follows `torch.randperm`.

        >>> Generator().manual_seed(0).permutation(4)
        array([0, 1, 3, 2])
        """
        kind = np.dtype(dtype)
        arguments.check_permutation(n, kind)
        if n == 0:
            return np.empty(0, kind)
        if n < _LARGE_PERMUTATION:
            words = self._stream.words(n - 1)
            return cast_integer(shuffle_forward(words % np.arange(n, 1, -1, dtype=np.uint32)), kind)
        targets = self._draw(n, 2, bits64, np.dtype(np.uint64))
        targets %= np.arange(1, n + 1, dtype=np.uint64)
        return cast_integer(shuffle_inside_out(targets.view(np.int64)), kind)

    def multinomial(
        self,
        weights: Array,
        num_samples: int,
        replacement: bool = False,
        *,
        by_columns: bool = False,
    ) -> Array:
        """Indices drawn with probabilities proportional to `weights`; follows `torch.multinomial`.

        `weights` is (n,) or (rows, n), the result int64 (num_samples,) or (rows, num_samples).
        PyTorch draws for weights that lie in memory `by_columns` in that order.
        """
        arguments.check_weights(weights, num_samples, replacement)
        rows = weights if weights.ndim == 2 else weights.reshape(1, -1)
        result = np.empty((len(rows), num_samples), np.int64)
        if replacement and num_samples > 1:
            for row, picked in zip(rows, result):
                cumulative = np.cumsum(row if row.dtype == _FLOAT64 else row.astype(np.float32))
                cumulative /= cumulative[-1]
                cumulative[-1] = 1.0
                picked[:] = np.searchsorted(cumulative, self.uniform(num_samples, _FLOAT64))
        elif len(rows):
            # The largest of weight / exponential sample is every index with the wanted probability.
            with np.errstate(divide="ignore", invalid="ignore"):
                drawn = self.exponential(rows.shape[::-1] if by_columns else rows.shape, rows.dtype)
                scores = rows / (drawn.T if by_columns else drawn)
            for row, picked in zip(scores, result):
                picked[:] = np.argmax(row) if num_samples == 1 else largest(row, num_samples)
        return result.reshape(num_samples) if weights.ndim == 1 else result


def _restore(state: Array) -> Generator:
    return Generator().set_state(state)


def _count(shape: Shape) -> int:
    return shape if isinstance(shape, int) else math.prod(shape)


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


# What every draw without a generator of its own uses, and `manual_seed` seeds.
default_generator = Generator()
