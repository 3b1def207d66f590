"""Comparisons of two operands, and questions about one number."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.ir.op import Op, define, torch_and_tensor
from tidu.ops.rules import comparison, truth
from tidu.ops.samples import binary, unary


def _comparison(name: str, ufunc: Any, emit: Any, aliases: str = "", doc: str = "") -> Op:
    return define(
        name,
        inputs="input other",
        infer=comparison,
        numpy=ufunc,
        emit=emit,
        samples=binary(),
        public=torch_and_tensor(name, *aliases.split()),
        inplace=True,
        doc=doc,
    )


eq = _comparison(
    "eq",
    np.equal,
    lambda s, x, y: s.eq(x, y),
    doc="""Whether input = other, element by element.

    >>> torch.eq(torch.tensor([1, 2]), torch.tensor([1, 3]))
    tensor([ True, False])
    """,
)
ne = _comparison(
    "ne",
    np.not_equal,
    lambda s, x, y: s.ne(x, y),
    "not_equal",
    doc="""Whether input ≠ other, element by element.

    >>> torch.ne(torch.tensor([1, 2]), torch.tensor([1, 3]))
    tensor([False,  True])
    """,
)
lt = _comparison(
    "lt",
    np.less,
    lambda s, x, y: s.lt(x, y),
    "less",
    doc="""Whether input < other, element by element; no number is less than NaN.

    >>> torch.lt(torch.tensor([1.0, 2.0]), 2.0)
    tensor([ True, False])
    """,
)
le = _comparison(
    "le",
    np.less_equal,
    lambda s, x, y: s.le(x, y),
    "less_equal",
    doc="""Whether input ≤ other, element by element.

    >>> torch.le(torch.tensor([1.0, 2.0]), 1.0)
    tensor([ True, False])
    """,
)
gt = _comparison(
    "gt",
    np.greater,
    lambda s, x, y: s.lt(y, x),
    "greater",
    doc="""Whether input > other, element by element; no number is greater than NaN.

    >>> torch.gt(torch.tensor([1.0, 2.0]), 1.0)
    tensor([False,  True])
    """,
)
ge = _comparison(
    "ge",
    np.greater_equal,
    lambda s, x, y: s.le(y, x),
    "greater_equal",
    doc="""Whether input ≥ other, element by element.

    >>> torch.ge(torch.tensor([1.0, 2.0]), 2.0)
    tensor([False,  True])
    """,
)


def _test(name: str, ufunc: Any, emit: Any, doc: str = "") -> Op:
    """A question about one number, answered with a bool."""
    return define(
        name,
        infer=truth,
        numpy=ufunc,
        emit=emit,
        samples=unary(),
        dtypes="number",
        public=torch_and_tensor(name),
        doc=doc,
    )


isnan = _test(
    "isnan",
    lambda x: x != x,
    lambda s, x: s.ne(x, x),
    doc="""Whether `input` is NaN.

    >>> torch.isnan(torch.tensor([1.0, float("nan")]))
    tensor([False,  True])
    """,
)
isinf = _test(
    "isinf",
    lambda x: (
        np.isinf(x) if x.dtype.kind != "i" and x.dtype.kind != "u" else np.zeros(x.shape, bool)
    ),
    lambda s, x: s.bit_and(s.eq(x, x), s.ne(s.sub(x, x), s.const(0, x))),
    doc="""Whether `input` is infinite, of either sign.

    >>> torch.isinf(torch.tensor([1.0, -float("inf")]))
    tensor([False,  True])
    """,
)


# x - x is 0 for every number that is finite, integers included, and NaN for the others.
isfinite = _test(
    "isfinite",
    np.isfinite,
    lambda s, x: s.eq(s.sub(x, x), s.const(0, x)),
    doc="""Whether `input` is neither infinite nor NaN.

    >>> torch.isfinite(torch.tensor([1.0, float("inf"), float("nan")]))
    tensor([ True, False, False])
    """,
)
