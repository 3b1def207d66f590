"""What places of a convolution's input see of its result: with a stride, places differ in phase."""

from __future__ import annotations

from math import gcd
from typing import NamedTuple


class Phase(NamedTuple):
    """The places at, at + stride, ... of one dimension, and the taps that reach them.

    Place i of these sees element start + i - j·back of the result through tap first + j·step.
    """

    at: int
    places: int
    first: int
    step: int
    taps: int
    start: int
    back: int

    def pads(self, size: int) -> tuple[int, int]:
        """What is to be put around the result, of this size, to have all that is seen."""
        return (self.taps - 1) * self.back - self.start, self.start + self.places - size

    def sees(self, size: int) -> bool:
        """Whether anything of the result is seen."""
        low, high = self.pads(size)
        return self.taps > 0 and low > -size and high > -size


def phases(size: int, kernel: int, stride: int, pad: int, dilation: int) -> list[Phase]:
    """The phases of one dimension of the input."""
    common = gcd(stride, dilation)
    step = stride // common
    found = []
    for at in range(min(stride, size)):
        reaching = [r for r in range(kernel) if (at + pad - r * dilation) % stride == 0]
        first = reaching[0] if reaching else 0
        start = (at + pad - first * dilation) // stride
        places = -(-(size - at) // stride)
        found.append(Phase(at, places, first, step, len(reaching), start, dilation // common))
    return found
