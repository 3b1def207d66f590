"""Comparing pairs of words as the numbers that they stand for."""

from __future__ import annotations

import numpy as np
import pytest

from tidu.base.random.word_values import MASK53, are_below, bits64


@pytest.mark.parametrize("limit", [0, 1, 1 << 52, 1 << 53, (5 << 32) | 8, (5 << 32) | 7])
def test_pairs_of_words_are_compared_as_numbers_of_53_bits(limit: int) -> None:
    words = np.array([5, 7, 5, 8, 5, 9, 0, 0, 1 << 20, 0, (1 << 32) - 1, 3], np.uint32)
    expected = (bits64(words) & MASK53) < np.uint64(limit)
    assert are_below(words, limit).tolist() == expected.tolist()
