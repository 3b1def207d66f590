"""The null backend: every region is taken as run, and nothing is computed. For looking at graphs
and costs.
"""

from __future__ import annotations

import numpy as np

from tidu.ir.value import Value


class NullBackend:
    name = "null"

    def run(self, region: list[Value]) -> BaseException | None:
        for position, value in enumerate(region):
            region[position] = None  # type: ignore[call-overload]
            # One zero, seen through strides of 0: the right shape and dtype, and no memory.
            value.buffer = np.broadcast_to(np.zeros((), value.dtype.numpy), value.shape)
            value.op, value.inputs, value.attrs = None, (), ()
        return None
