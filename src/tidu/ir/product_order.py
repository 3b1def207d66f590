"""The order in which matrix products are added up: that of PyTorch on x86.

An element of a product of float32 matrices is a chain of fused multiplications and additions over
k, as long as that is short. Else it is cut into several chains, whose results are added. So both
tiers have PyTorch's bits, and each other's.

PyTorch leaves products to MKL, which has other ways on AMD's processors than on Intel's: shorter
chains, and ways of its own for small products (`ops/linear_algebra/small_products.py`).
"""

from __future__ import annotations

from tidu.base.processor import processor

_BY_AMD = b"AuthenticAMD" in processor()


def small_have_their_own() -> bool:
    """Whether small products are added up otherwise than large ones."""
    return _BY_AMD


def least_in_chains() -> tuple[int, int]:
    """The rows and columns from which on all products are made of chains."""
    return (32, 12) if _BY_AMD else (11, 2)


def chain_length(k: int) -> int:
    """How many products are one chain: all of k, half of it, or as many as there may be."""
    longest = 192 if _BY_AMD else 384
    if k <= longest:
        return k
    if k < 2 * longest:
        return k // 2 if _BY_AMD else -(-k // 2)
    return longest
