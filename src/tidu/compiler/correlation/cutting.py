"""How much work a unit should have, by the products of vectors that there are in total."""

from __future__ import annotations

# From how many on it pays to tell one worker from another, and how many are best for one.
_WORTH_A_UNIT = 40_000
_PLENTY = 100_000
_ENOUGH_UNITS = 16


def enough_units(total: int) -> int:
    """How many units are enough for so many products of vectors."""
    return max(1, min(_ENOUGH_UNITS, total // _WORTH_A_UNIT))


def piece_work(total: int) -> int:
    """The products of vectors that a piece should have, out of so many."""
    return max(1, min(_PLENTY, total // enough_units(total)))


def pieces_together(pieces: int, total: int) -> int:
    """How many pieces one unit should make if they have so many products of vectors in total."""
    return max(1, min(_WORTH_A_UNIT * pieces // max(1, total), pieces))
