"""The elementary functions written with the scalar instructions, for targets that lack them.

Every function takes float32 or float64 and works in that dtype, without branches, so that it runs
on vectors. Errors are below 2 units in the last place everywhere, and zeros, infinities, NaN and
denormal numbers are what IEEE 754 and the C standard say: see `docs/mathematics.md`.
"""

from tidu.ir.mathematics.arcs import acos, asin, atan, atan2
from tidu.ir.mathematics.error_function import erf, erfc
from tidu.ir.mathematics.exponential import (
    cosh,
    exp,
    exp2,
    exp_of_softmax,
    expm1,
    scaled,
    sinh,
    tanh,
)
from tidu.ir.mathematics.logarithm import (
    acosh,
    asinh,
    atanh,
    log,
    log1p,
    log2,
    log10,
    log_of_softmax,
)
from tidu.ir.mathematics.parts import polynomial
from tidu.ir.mathematics.power import integer_power, pow
from tidu.ir.mathematics.remainder import fmod
from tidu.ir.mathematics.trigonometric import cos, sin, tan
