"""Draws in both libraries: equal seeds give equal bits and leave equal states behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tidu.base.random.generator import Generator

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")


BFLOAT16 = ml_dtypes.bfloat16
FLOATS = {
    "float32": np.float32,
    "float64": np.float64,
    "float16": np.float16,
    "bfloat16": BFLOAT16,
}
INTEGERS = {name: np.dtype(name) for name in ("uint8", "int8", "int16", "int32", "int64")}
ALL = {**FLOATS, **INTEGERS, "bool": np.dtype(bool)}
SIZES = (0, 1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 47, 100, 623, 624, 625, 1000, 5000)
LARGE = 70_001


def words_used(draw: Callable[[torch.Generator], Any]) -> int:
    generator = torch.Generator().manual_seed(0)
    draw(generator)
    return int(generator.get_state()[16:24].view(torch.int64))


without_mkl = pytest.mark.skipif(
    words_used(lambda g: torch.empty(4).bernoulli_(0.5, generator=g)) != 8
    or words_used(lambda g: torch.empty(4).exponential_(generator=g)) != 8,
    reason="PyTorch takes these samples from MKL on this processor",
)
with_avx2 = pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"),
    reason="PyTorch has another float32 normal kernel for this processor",
)


Draw = Callable[[Generator], Any]
Oracle = Callable[["torch.Generator"], "torch.Tensor"]


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(BFLOAT16)
    return tensor.numpy()


def assert_same_bits(ours: np.ndarray, expected: torch.Tensor) -> None:
    theirs = to_numpy(expected)
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    differing = np.flatnonzero(bits(ours) != bits(theirs))
    assert not differing.size, (
        f"{differing.size} of {ours.size} differ, the first at {differing[0]}: "
        f"{ours.ravel()[differing[0]]!r} instead of {theirs.ravel()[differing[0]]!r}"
    )


def bits(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(f"u{array.itemsize}")


def compare(draw: Draw, oracle: Oracle, seed: int = 0) -> None:
    """Two draws in a row, and the states after them."""
    ours, theirs = Generator().manual_seed(seed), torch.Generator().manual_seed(seed)
    for _ in range(2):
        assert_same_bits(draw(ours), oracle(theirs))
    assert_same_bits(ours.get_state(), theirs.get_state())


def empty(size: int | tuple[int, ...], name: str) -> torch.Tensor:
    return torch.empty(size, dtype=getattr(torch, name))


def nonzero_sizes() -> list[int]:
    return [size for size in SIZES if size]
