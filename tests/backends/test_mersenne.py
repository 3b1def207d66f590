"""Native random words are NumPy's, whatever is asked for before."""

from __future__ import annotations

import numpy as np
import pytest

from tidu.backends import mersenne
from tidu.base.random.mersenne import BLOCK, MersenneStream, _fill_with_numpy


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


def test_draws_of_all_sizes_are_one_stream() -> None:
    sizes = [1, 3, 620, 624, 1, 5000, 0, 623, 1248, 2]
    stream = MersenneStream(3)
    drawn = np.concatenate([stream.words(n) for n in sizes])
    bits = np.random.RandomState(3)._bit_generator
    np.testing.assert_array_equal(drawn, bits.random_raw(sum(sizes)).astype(np.uint32))
