"""The Mersenne Twister (MT19937) as a stream of 32-bit words, at PyTorch's positions.

Words are made in blocks of 624, and those not yet asked for wait in `_rest`: a small draw is a
slice, and the position inside the block is known.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tidu.base.locks import new_lock
from tidu.base.random import Array
from tidu.base.random.word_values import are_below

BLOCK = 624


def _fill_with_numpy(key: Array, out: Array) -> None:
    bits = np.random.MT19937(0)
    bits.state = {"bit_generator": "MT19937", "state": {"key": key[:BLOCK], "pos": BLOCK}}
    out[:] = bits.random_raw(out.size)
    key[:BLOCK] = bits.state["state"]["key"]


def _first_state(seed: int) -> list[int]:
    """What `init_genrand` of the authors' program of 2002 makes of a seed: the state of 624 words.

    Written out, since loading `numpy.random` for it takes longer than seeding a hundred times.
    """
    words = [word := seed]
    for index in range(1, BLOCK):
        word = (1812433253 * (word ^ word >> 30) + index) & 0xFFFFFFFF
        words.append(word)
    return words


def _fill_below_with_numpy(key: Array, words: Array, start: int, out: Array, limit: int) -> None:
    done = min((words.size - start) // 2, out.size)
    out[:done] = are_below(words[start : start + 2 * done], limit)
    while done < out.size:
        part = out[done : done + BLOCK // 2]
        odd = words.size - BLOCK
        words[:odd] = words[BLOCK:]
        source.fill(key, words[odd:])
        part[:] = are_below(words[: 2 * part.size], limit)
        done += part.size


class Source:
    """What makes blocks of words, and booleans of them; `tidu.backends` has native code for both.

    `fill(key, out)` fills `out`, whose size is a multiple of 624, and leaves the state in `key`,
    which has room for 625 words. `fill_below(key, words, start, out, limit)` fills `out` with what
    `are_below` says of `words` from `start` on, which is even, and then of blocks that `fill` makes
    there: 624 words, or 625 where pairs lie partly in one block and partly in the next.
    """

    def __init__(self) -> None:
        self.fill: Callable[[Array, Array], None] = _fill_with_numpy
        self.fill_below: Callable[..., None] = _fill_below_with_numpy


source = Source()


class MersenneStream:
    """Words of MT19937 (Matsumoto and Nishimura, 1998), seeded by `init_genrand`."""

    __slots__ = ("_cursor", "_fresh", "_key", "_lock", "_rest")

    def __init__(self, seed: int) -> None:
        self._key = np.zeros(BLOCK + 1, np.uint32)
        self._lock = new_lock()
        self.seed(seed)

    def seed(self, seed: int) -> None:
        """Start again from the low 32 bits of `seed`."""
        with self._lock:
            self._key[:BLOCK] = _first_state(seed & 0xFFFFFFFF)
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
            waiting = self._rest.size - start
            size = -(-(count - waiting) // BLOCK) * BLOCK
            words = np.empty(waiting + size, np.uint32)
            words[:waiting] = self._rest[start:]
            source.fill(self._key, words[waiting:])
            # What is kept does not keep the memory of a large draw.
            self._rest = words[count:].copy() if size > BLOCK else words[count:]
            self._cursor = 0
            return words[:count]

    def fill_below(self, out: Array, limit: int) -> None:
        """Whether the low 53 bits of the next pairs of words are less than `limit`, bool (n,)."""
        with self._lock:
            waiting = self._rest.size - self._cursor
            words = np.empty(BLOCK + waiting % 2, np.uint32)
            words[words.size - waiting :] = self._rest[self._cursor :]
            source.fill_below(self._key, words, words.size - waiting, out, limit)
            left = waiting - 2 * out.size
            if left < 0:
                self._fresh = False
            self._rest = words
            self._cursor = words.size - left % BLOCK

    def position(self) -> tuple[Array, int, int]:
        """The 624 state words, one more than the words left of the block, and the next's index."""
        with self._lock:
            waiting = self._rest.size - self._cursor
            return self._key[:BLOCK].copy(), waiting + 1, 0 if self._fresh else BLOCK - waiting

    def set_position(self, key: Array, left: int, following: int) -> None:
        """Continue from what `position` returned; RuntimeError where that contradicts itself."""
        fresh = left == 1 and following == 0
        if not fresh and not (1 <= left <= BLOCK and left + following == BLOCK + 1):
            raise RuntimeError(
                f"Invalid mt19937 state: {left - 1} words left in the block, "
                f"and the next word is number {following}"
            )
        with self._lock:
            bits = np.random.MT19937(0)
            bits.state = {
                "bit_generator": "MT19937",
                "state": {"key": key.astype(np.uint32), "pos": BLOCK + 1 - left},
            }
            self._key[:BLOCK] = key
            self._rest = bits.random_raw(left - 1).astype(np.uint32)
            self._cursor = 0
            self._fresh = fresh
