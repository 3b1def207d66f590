"""What NumPy has cost for each structure so far, and whether compiling it pays.

Nobody knows how often a region will come again. Whoever hires skis until the hire has come to their
price, and then buys them, never pays more than twice what it would have cost had he known. The hire
is here the time that NumPy has taken for the regions of a structure; the price is what compiling so
many Values has taken lately. So a program whose regions are of a thousand structures, each of which
comes a few times, does not spend its time on compiling them.

Most programs have few structures, which come again very often. The first ones of a process are
compiled as soon as they come again.
"""

from __future__ import annotations

from tidu.ir.structure import Key

# So many structures are compiled as soon as they come again: those of training and of evaluating,
# each with a last smaller batch, and of a first step, which makes the state of the optimizer.
_AT_ONCE = 8
# What compiling a Value takes as long as nothing else is known, in seconds.
_FIRST_PRICE = 0.0005
# Counts are forgotten when there are more than this.
_MOST_RECORDS = 1 << 14


class Record:
    """How often a structure was seen before there was a program for it, and the seconds that NumPy
    has taken for it. To tell of it: where it comes from, and how many Values it has.
    """

    __slots__ = ("position", "seconds", "uses", "values")

    def __init__(self, key: Key) -> None:
        self.position = key.position
        self.values = _size(key)
        self.uses = 0
        self.seconds = 0.0


class Ledger:
    """A record for each structure, and the price of compiling one. Structures are known by their
    hashes: there may be thousands of them, and each holds all that there is to say of a region. Two
    of one hash are counted together.
    """

    def __init__(self, at_once: int = _AT_ONCE) -> None:
        self.records: dict[int, Record] = {}
        self.at_once = at_once  # so many more are compiled as soon as they come again
        self._price = _FIRST_PRICE

    def enter(self, key: Key) -> Record:
        """The record of a structure that was seen once more."""
        record = self.records.get(hash(key))
        if record is None:
            if len(self.records) >= _MOST_RECORDS:
                self._forget_most()
            record = self.records[hash(key)] = Record(key)
        record.uses += 1
        return record

    def ran(self, key: Key, seconds: float) -> None:
        """NumPy has taken so long for a region of this structure."""
        record = self.records.get(hash(key))
        if record is not None:
            record.seconds += seconds

    def compiled(self, key: Key, seconds: float) -> None:
        """Compiling a structure has taken so long. Later ones take less: many of their kernels are
        there already.
        """
        self._price = (self._price + seconds / _size(key)) / 2

    def pays(self, key: Key, record: Record) -> bool:
        """Whether to compile a structure now."""
        if record.uses == 1:
            return False
        return self.at_once > 0 or record.seconds >= self._price * _size(key)

    def cost(self, key: Key) -> float:
        """The seconds that NumPy has taken for a structure."""
        record = self.records.get(hash(key))
        return 0.0 if record is None else record.seconds

    def forget(self, key: Key) -> None:
        """Begin anew with a structure."""
        self.records.pop(hash(key), None)

    def _forget_most(self) -> None:
        """Forget what was seen only once; everything if that does not help."""
        again = {number: record for number, record in self.records.items() if record.uses > 1}
        self.records = again if len(again) < _MOST_RECORDS // 2 else {}


def _size(key: Key) -> int:
    """The number of Values in a region of this structure."""
    return len(key.structure[0])
