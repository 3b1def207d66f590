"""The Mersenne Twister (MT19937) as a stream of 32-bit words, at PyTorch's positions.

NumPy's generator makes the words. It is always run to the end of a block of 624, and the words not
yet asked for wait in `_rest`: a small draw is a slice, and the position inside the block is known
without asking NumPy for its state.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

BLOCK = 624


class MersenneStream:
    """Words of MT19937 (Matsumoto and Nishimura, 1998), seeded by `init_genrand`."""

    __slots__ = ("_bits", "_cursor", "_fresh", "_lock", "_random", "_rest")

    def __init__(self, seed: int) -> None:
        self._bits = np.random.MT19937(0)
        self._random = np.random.RandomState(self._bits)
        self._lock = threading.Lock()
        self.seed(seed)

    def seed(self, seed: int) -> None:
        """Start again from the low 32 bits of `seed`."""
        with self._lock:
            self._random.seed(seed & 0xFFFFFFFF)
            self._rest = np.empty(0, np.uint32)
            self._cursor = 0
            self._fresh = True  # seeded, and no block made yet

    def words(self, count: int) -> Array:
        """The next `count` words, uint32 (count,). The caller may overwrite them."""
        with self._lock:
            start = self._cursor
            stop = start + count
            if stop <= self._rest.size:
                self._cursor = stop
                return self._rest[start:stop]
            self._fresh = False
            head = self._rest[start:]
            missing = count - head.size
            if missing <= BLOCK:
                block = self._bits.random_raw(BLOCK).astype(np.uint32)
                self._rest, self._cursor = block, missing
                return np.concatenate((head, block[:missing])) if head.size else block[:missing]
            body = self._random.randint(0, 1 << 32, missing, dtype=np.uint32)
            self._rest = self._bits.random_raw(-missing % BLOCK).astype(np.uint32)
            self._cursor = 0
            return np.concatenate((head, body)) if head.size else body

    def position(self) -> tuple[Array, int, int]:
        """The 624 state words, one more than the words left of the block, and the next's index."""
        with self._lock:
            key = self._bits.state["state"]["key"]
            waiting = self._rest.size - self._cursor
            return key, waiting + 1, 0 if self._fresh else BLOCK - waiting

    def set_position(self, key: Array, left: int, following: int) -> None:
        """Continue from what `position` returned; RuntimeError where that contradicts itself."""
        fresh = left == 1 and following == 0
        if not fresh and not (1 <= left <= BLOCK and left + following == BLOCK + 1):
            raise RuntimeError(
                f"Invalid mt19937 state: {left - 1} words left in the block, "
                f"and the next word is number {following}"
            )
        with self._lock:
            self._bits.state = {
                "bit_generator": "MT19937",
                "state": {"key": key.astype(np.uint32), "pos": BLOCK + 1 - left},
            }
            self._rest = self._bits.random_raw(left - 1).astype(np.uint32)
            self._cursor = 0
            self._fresh = fresh
