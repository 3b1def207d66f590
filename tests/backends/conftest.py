"""What the tests of backends have in common: they leave the workers as they were."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tidu.backends import threads


@pytest.fixture(autouse=True)
def _same_number_of_threads_afterwards() -> Iterator[None]:
    before = threads.get_num_threads()
    yield
    threads.set_num_threads(before)
