"""Comparisons of two operands, and questions about one number."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.ir.op import Op, define, torch_and_tensor
from tidu.ops.rules import comparison, truth
from tidu.ops.samples import binary, unary


def _comparison(name: str, ufunc: Any, emit: Any, aliases: str = "") -> Op:
    return define(
        name,
        inputs="input other",
        infer=comparison,
        numpy=ufunc,
        emit=emit,
        samples=binary(),
        public=torch_and_tensor(name, *aliases.split()),
        inplace=True,
    )


eq = _comparison("eq", np.equal, lambda s, x, y: s.eq(x, y))
ne = _comparison("ne", np.not_equal, lambda s, x, y: s.ne(x, y), "not_equal")
lt = _comparison("lt", np.less, lambda s, x, y: s.lt(x, y), "less")
le = _comparison("le", np.less_equal, lambda s, x, y: s.le(x, y), "less_equal")
gt = _comparison("gt", np.greater, lambda s, x, y: s.lt(y, x), "greater")
ge = _comparison("ge", np.greater_equal, lambda s, x, y: s.le(y, x), "greater_equal")


def _test(name: str, ufunc: Any, emit: Any) -> Op:
    """A question about one number, answered with a bool."""
    return define(
        name,
        infer=truth,
        numpy=ufunc,
        emit=emit,
        samples=unary(),
        dtypes="number",
        public=torch_and_tensor(name),
    )


isnan = _test("isnan", lambda x: x != x, lambda s, x: s.ne(x, x))
isinf = _test(
    "isinf",
    lambda x: (
        np.isinf(x) if x.dtype.kind != "i" and x.dtype.kind != "u" else np.zeros(x.shape, bool)
    ),
    lambda s, x: s.bit_and(s.eq(x, x), s.ne(s.sub(x, x), s.const(0, x))),
)


# x - x is 0 for every number that is finite, integers included, and NaN for the others.
isfinite = _test("isfinite", np.isfinite, lambda s, x: s.eq(s.sub(x, x), s.const(0, x)))
