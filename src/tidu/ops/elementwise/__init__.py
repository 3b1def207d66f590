"""Operations element by element. The package exports what others are written with.

Start with `arithmetic`, which shows every way to declare an operation; the rest are more of the
same kind, by subject.
"""

from __future__ import annotations

from tidu.ops.elementwise.arithmetic import (
    abs_,
    add,
    div,
    floor_divide,
    fmod,
    mul,
    neg,
    positive,
    remainder,
    remainder_of,
    rsub,
    sign,
    sub,
)
from tidu.ops.elementwise.choice import clamp, fill, maximum, minimum, overwrite, where
from tidu.ops.elementwise.comparison import eq, ge, gt, isfinite, isinf, isnan, le, lt, ne
from tidu.ops.elementwise.gates import gate, relu, sigmoid, sigmoid_gradient, tanh, tanh_gradient
from tidu.ops.elementwise.logic import (
    bitwise_and,
    bitwise_left_shift,
    bitwise_not,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
)
from tidu.ops.elementwise.powers import (
    exp,
    exp2,
    expm1,
    log,
    log1p,
    log2,
    log10,
    pow_,
    power,
    reciprocal,
    rsqrt,
    sqrt,
    square,
)
from tidu.ops.elementwise.rounding import ceil, floor, round_, trunc
from tidu.ops.elementwise.trigonometry import (
    acos,
    acosh,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    cos,
    cosh,
    sin,
    sinh,
    tan,
)
