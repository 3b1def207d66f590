"""Native random words are NumPy's, whatever is asked for before."""

from __future__ import annotations

import ctypes
import math
from itertools import product

import numpy as np
import pytest

from tidu.backends import mersenne
from tidu.base.random import word_values
from tidu.base.random.mersenne import (
    BLOCK,
    MersenneStream,
    _fill_below_with_numpy,
    _fill_with_numpy,
)
from tidu.compiler import cache, llvm


@pytest.mark.parametrize("blocks", [1, 2, 7])
def test_native_blocks_are_those_of_numpy(blocks: int) -> None:
    keys = [np.zeros(BLOCK + 1, np.uint32) for _ in range(2)]
    for key in keys:
        key[:BLOCK] = np.random.RandomState(5).get_state()[1]
    outs = [np.empty(blocks * BLOCK, np.uint32) for _ in range(2)]
    for _ in range(3):  # each call continues where the one before it ended
        mersenne.fill(keys[0], outs[0])
        _fill_with_numpy(keys[1], outs[1])
        np.testing.assert_array_equal(outs[0], outs[1])
        np.testing.assert_array_equal(keys[0][:BLOCK], keys[1][:BLOCK])


@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
def test_vectors_of_any_width_make_the_same_words(lanes: int) -> None:
    name = "tidu_mersenne"
    address = llvm.load([cache.object_code(mersenne.text(lanes))], [name])[name]
    pointer, long = ctypes.c_void_p, ctypes.c_int64
    fill = ctypes.CFUNCTYPE(None, pointer, pointer, long)(address)
    key = np.zeros(BLOCK + 1, np.uint32)
    key[:BLOCK] = np.random.RandomState(5).get_state()[1]
    other, words, expected = key.copy(), *np.empty((2, 20 * BLOCK), np.uint32)
    fill(key.ctypes.data, words.ctypes.data, 20)
    _fill_with_numpy(other, expected)
    np.testing.assert_array_equal(words, expected)


def test_draws_of_all_sizes_are_one_stream() -> None:
    sizes = [1, 3, 620, 624, 1, 5000, 0, 623, 1248, 2]
    stream = MersenneStream(3)
    drawn = np.concatenate([stream.words(n) for n in sizes])
    bits = np.random.RandomState(3)._bit_generator
    np.testing.assert_array_equal(drawn, bits.random_raw(sum(sizes)).astype(np.uint32))


@pytest.mark.parametrize("p", [0.0, 2.0**-53, 0.1, 0.25, 0.5, 1 / 3, 1 - 2.0**-53, 1.0])
def test_native_booleans_are_those_of_numpy(p: float) -> None:
    limit = math.ceil(p * 2.0**53)
    rng = np.random.default_rng(0)
    keys = [np.zeros(BLOCK + 1, np.uint32) for _ in range(2)]
    for key in keys:
        key[:BLOCK] = np.random.RandomState(5).get_state()[1]
    draws = ((624, 0), (624, 1), (0, 7), (600, 33), (2, 311), (4, 312), (624, 1000))
    for (start, count), odd in product(draws, (0, 1)):
        words = rng.integers(0, 2**32, BLOCK + odd, np.uint32)
        words[::4] = limit >> 32  # ties, which the other word decides
        words[1::8] = limit & 0xFFFFFFFF
        others, found, expected = words.copy(), *np.empty((2, count), np.bool_)
        mersenne.fill_below(keys[0], words, start, found, limit)
        _fill_below_with_numpy(keys[1], others, start, expected, limit)
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(words, others)
        np.testing.assert_array_equal(*keys)


def test_booleans_and_words_are_drawn_from_one_stream() -> None:
    limit = math.ceil(0.3 * 2.0**53)
    stream, other = MersenneStream(4), MersenneStream(4)
    for count in (0, 5, 311, 1, 312, 0, 313, 100_000, 7):
        for odd in (0, 1, 3):
            found = np.empty(count, np.bool_)
            stream.fill_below(found, limit)
            expected = word_values.are_below(other.words(2 * count), limit)
            np.testing.assert_array_equal(found, expected)
            np.testing.assert_array_equal(stream.words(odd), other.words(odd))
            assert [np.asarray(x).tolist() for x in stream.position()] == [
                np.asarray(x).tolist() for x in other.position()
            ]


def test_words_that_were_drawn_may_be_overwritten() -> None:
    stream, other = MersenneStream(1), MersenneStream(1)
    for count in (10, 700, 624, 2000, 3):
        expected = other.words(count).copy()
        words = stream.words(count)
        np.testing.assert_array_equal(words, expected)
        words[:] = 0
    assert [x.tolist() if hasattr(x, "tolist") else x for x in stream.position()] == [
        x.tolist() if hasattr(x, "tolist") else x for x in other.position()
    ]
