"""The order in which matrix products are added up: that of PyTorch on x86.

An element of a product of float32 matrices is a chain of fused multiplications and additions over
k, as long as that is short. Else it is cut into several chains, whose results are added. So both
tiers have PyTorch's bits, and each other's.
"""

from __future__ import annotations

_LONGEST = 192


def chain_length(k: int) -> int:
    """How many products are one chain: all of k, half of it, or 192 of them."""
    if k <= _LONGEST:
        return k
    return k // 2 if k < 2 * _LONGEST else _LONGEST
