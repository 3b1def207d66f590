"""Checks of the arguments of random sampling, with PyTorch's exceptions and messages."""

from __future__ import annotations

import warnings
from typing import Any

import ml_dtypes
import numpy as np

from tidu.base.random import Array
from tidu.base.random.word_values import DIGITS, LARGEST

_NAMES = {  # dtype: the name of its scalar type and of its C++ type, as messages say them
    np.dtype(np.bool_): ("Bool", "bool"),
    np.dtype(np.uint8): ("Byte", "unsigned char"),
    np.dtype(np.int8): ("Char", "signed char"),
    np.dtype(np.int16): ("Short", "short int"),
    np.dtype(np.int32): ("Int", "int"),
    np.dtype(np.int64): ("Long", "long int"),
    np.dtype(np.float16): ("Half", "c10::Half"),
    np.dtype(ml_dtypes.bfloat16): ("BFloat16", "c10::BFloat16"),
    np.dtype(np.float32): ("Float", "float"),
    np.dtype(np.float64): ("Double", "double"),
}
_MOST_CATEGORIES = 1 << 24


def scalar_name(kind: np.dtype[Any]) -> str:
    """PyTorch's word for a dtype in messages of kernels: "Float", "Long"."""
    return _NAMES[kind][0] if kind in _NAMES else str(kind)


def type_name(kind: np.dtype[Any]) -> str:
    """PyTorch's word for a dtype in messages about ranges."""
    return _NAMES[kind][1] if kind in _NAMES else str(kind)


def not_implemented(kernel: str, kind: np.dtype[Any]) -> NotImplementedError:
    """The error that PyTorch raises where a kernel lacks a dtype."""
    return NotImplementedError(f"\"{kernel}\" not implemented for '{scalar_name(kind)}'")


def check_supported(kernel: str, kind: np.dtype[Any], *, boolean: bool = True) -> None:
    """Refuse dtypes in which no numbers are drawn."""
    if kind not in _NAMES or (kind == np.bool_ and not boolean):
        raise not_implemented(kernel, kind)


def check_floating_point(kernel: str, kind: np.dtype[Any]) -> None:
    """Refuse dtypes other than floats."""
    if kind not in DIGITS:
        raise not_implemented(kernel, kind)


def check_continuous(distribution: str, kind: np.dtype[Any], name: str) -> None:
    """Refuse dtypes other than floats, in the words of continuous distributions."""
    if kind not in DIGITS:
        raise RuntimeError(
            f"{distribution} distribution is a continuous probability distribution. "
            f"dtype must be a floating point but you specified {name}"
        )


def check_uniform_bounds(kind: np.dtype[Any], low: float, high: float) -> None:
    """Refuse bounds that the dtype cannot hold, or in the wrong order."""
    check_floating_point("check_uniform_bounds", kind)
    largest = LARGEST[kind]
    for name, value in (("from", low), ("to", high)):
        if not -largest <= value <= largest:
            raise RuntimeError(
                f"{name} is out of bounds for {type_name(kind)}: uniform_ got {value:g}"
            )
    if low > high:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={low:g} > to={high:g}"
        )
    if high - low > largest:
        raise RuntimeError(
            f"uniform_ expects to-from <= std::numeric_limits<{scalar_name(kind)}>::max(), "
            f"but found to={high:g} and from={low:g} which result in to-from to exceed the limit"
        )


def representable_range(low: int, high: int, kind: np.dtype[Any]) -> tuple[int, int]:
    """[low, high) made narrower where a float type would round a value in it to one outside."""
    digits = DIGITS[kind]
    after = _rounded(low + 1, kind)
    if after < low:
        low = after + (1 << (abs(low + 1).bit_length() - digits))
    before = _rounded(high - 1, kind)
    if before >= high:
        high = before - (1 << (abs(high - 1).bit_length() - digits))
    return low, high


def _rounded(value: int, kind: np.dtype[Any]) -> int:
    """`value` as `kind` holds it; what int64 cannot hold becomes its lowest, as in C on x86."""
    with np.errstate(over="ignore"):
        wide = np.array(value, np.int64).astype(np.float64 if kind == np.float64 else np.float32)
        result = float(wide.astype(kind))
    return int(result) if abs(result) < 2.0**63 else -(1 << 63)


def last_exact_integer(kind: np.dtype[Any]) -> int:
    """The largest whole number up to which `kind` holds all of them."""
    if kind in DIGITS:
        return 1 << DIGITS[kind]
    return 1 if kind == np.bool_ else int(np.iinfo(kind).max)


def check_integer_bounds(kind: np.dtype[Any], low: int, last: int) -> None:
    """[low, last] must fit into `kind`; warns where a float type leaves out numbers in between."""
    if kind in DIGITS:
        largest = LARGEST[kind]
        smallest = -largest
    elif kind in _NAMES:
        info = None if kind == np.bool_ else np.iinfo(kind)
        smallest, largest = (0, 1) if info is None else (int(info.min), int(info.max))
    else:
        raise RuntimeError(
            "check_random_bounds handles only integral, floating-point and boolean types"
        )
    for name, value in (("from", low), ("to - 1", last)):
        if not smallest <= value <= largest:
            raise RuntimeError(
                f"{name} is out of bounds for {type_name(kind)}: random_ got {value}"
            )
    if kind not in DIGITS:
        return
    digits, name_of_type = DIGITS[kind], type_name(kind)
    for name, value in (("from", low), ("to - 1", last)):
        if abs(value) > 1 << digits:
            warnings.warn(
                f"{name} is out of bounds [-(2^{digits}), 2^{digits}]. Due to precision "
                f"limitations {name_of_type} can support discrete uniform distribution only within "
                "this range. This warning will become an error in version 1.7 release, please fix "
                "the code in advance",
                UserWarning,
                stacklevel=4,
            )


def check_permutation(n: int, kind: np.dtype[Any]) -> None:
    if n < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {n}: [{n}]")
    check_supported("randperm", kind, boolean=False)
    if kind not in DIGITS:
        if n - 1 > np.iinfo(kind).max:
            raise RuntimeError(
                f"value cannot be converted to type {kind.name}_t without overflow: randperm({n})"
            )
    elif kind != ml_dtypes.bfloat16 and n > (1 << DIGITS[kind]) + 1:
        limit = "2049" if kind == np.float16 else f"2^{DIGITS[kind]}+1"
        raise RuntimeError(f"n cannot be greater than {limit} for {scalar_name(kind)} type.")


def check_weights(weights: Array, num_samples: int, replacement: bool) -> None:
    """The arguments of multinomial."""
    if weights.ndim not in (1, 2):
        raise RuntimeError(f"prob_dist must be 1 or 2 dim, but got {weights.ndim}")
    if weights.dtype not in DIGITS:
        raise RuntimeError(
            "multinomial only supports floating-point dtypes for input, "
            f"got: {scalar_name(weights.dtype)}"
        )
    if num_samples <= 0:
        raise RuntimeError(f"cannot sample n_sample <= 0 samples: multinomial got {num_samples}")
    categories = weights.shape[-1]
    if not replacement and num_samples > categories:
        raise RuntimeError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement: multinomial "
            f"got {num_samples} samples of {categories}; pass replacement=True to allow repeats"
        )
    if categories > _MOST_CATEGORIES:
        raise RuntimeError(f"number of categories cannot exceed 2^24, but got {categories}")
    valid = (weights >= 0) & np.isfinite(weights)
    if not valid.all():
        raise RuntimeError(
            "probability tensor contains either `inf`, `nan` or element < 0: "
            f"the first such element is {weights[~valid][0]}"
        )
    if not (weights > 0).any(-1).all():
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
