"""The order in which matrix products are added up: that of PyTorch on x86.

An element of a product of float32 matrices is a chain of fused multiplications and additions over
k, as long as that is short. Else it is cut into several chains, whose results are added. So both
tiers have PyTorch's bits, and each other's.

PyTorch leaves products to MKL, which has longer chains on Intel's processors than on others, and
there alone no ways of their own for small products (`ops/linear_algebra/small_products.py`).
"""

from __future__ import annotations

from tidu.base.processor import processor

_BY_INTEL = b"GenuineIntel" in processor()


def on_intel() -> bool:
    """Whether the processor is one of Intel's, where small products are added up as large ones."""
    return _BY_INTEL


def least_in_chains() -> tuple[int, int]:
    """The rows and columns from which on all products are made of chains."""
    return (11, 2) if _BY_INTEL else (32, 12)


def chain_length(k: int) -> int:
    """How many products are one chain: all of k, half of it, or as many as there may be."""
    longest = 384 if _BY_INTEL else 192
    if k <= longest:
        return k
    if k < 2 * longest:
        return -(-k // 2) if _BY_INTEL else k // 2
    return longest
