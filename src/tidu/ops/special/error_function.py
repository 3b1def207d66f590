"""Special functions: the error function and its relatives."""

from __future__ import annotations

import math

from tidu.ir.op import define
from tidu.ops.elementwise import exp
from tidu.ops.rules import floating
from tidu.ops.samples import unary

_TWO_OVER_SQRT_PI = 2 / math.sqrt(math.pi)

erf = define(
    "erf",
    infer=floating,
    emit=lambda s, x: s.erf(x),
    vjp=(lambda g, out, x: g * (exp(-(x * x)) * _TWO_OVER_SQRT_PI),),
    samples=unary(-3, 3),
    public="torch.erf Tensor.erf torch.special.erf",
    inplace=True,
    doc="""The error function, 2/√π ∫₀ˣ exp(-t²) dt.

    >>> torch.erf(torch.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8427])
    """,
)
erfc = define(
    "erfc",
    infer=floating,
    emit=lambda s, x: s.erfc(x),
    vjp=(lambda g, out, x: g * (exp(-(x * x)) * -_TWO_OVER_SQRT_PI),),
    samples=unary(-3, 3),
    public="torch.erfc Tensor.erfc torch.special.erfc",
    inplace=True,
    doc="""1 - erf(x), without loss of digits for large x.

    >>> torch.erfc(torch.tensor([0.0, 5.0]))
    tensor([1.0000e+00, 1.5375e-12])
    """,
)
