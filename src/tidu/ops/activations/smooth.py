"""Smooth activations: elu and its kin, gelu, silu, mish, softplus and gated units."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tidu.base.shapes import wrap_dim
from tidu.base.strides import by_rows, result_strides
from tidu.ir.mathematics.normal import normal_distribution
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ir.value import Value
from tidu.ops.activations.slope import in_place
from tidu.ops.elementwise import abs_, div, exp, sigmoid, sub, tanh, where
from tidu.ops.moving.joining import cat_
from tidu.ops.moving.movement import slice_
from tidu.ops.rules import floats, not_implemented
from tidu.ops.samples import unary

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def _elu_emit(s: Any, x: Any, alpha: float, scale: float, input_scale: float) -> Any:
    # expm1 gets nothing positive, so that what is not chosen does not overflow.
    curve = s.expm1(s.mul(s.min(x, s.const(0, x)), s.const(input_scale, x)))
    straight = x if scale == 1.0 else s.mul(x, s.const(scale, x))
    return s.select(s.lt(x, s.const(0, x)), s.mul(curve, s.const(alpha * scale, x)), straight)


def _elu_vjp(g: Any, out: Any, x: Any, alpha: float, scale: float, input_scale: float) -> Any:
    curve = exp(where(x < 0.0, x, 0.0) * input_scale) * (alpha * scale * input_scale)
    return g * where(x <= 0.0, curve, scale)


def _torch_elu(torch: Any, x: Any, alpha: float, scale: float, input_scale: float) -> Any:
    return torch.ops.aten.elu(x, alpha, scale, input_scale)


# scale · (x where it is positive, else alpha · (exp(input_scale · x) - 1)): elu, selu and celu in
# one.
elu_ = define(
    "elu",
    attrs="alpha scale input_scale",
    infer=floats("elu_cpu"),
    emit=_elu_emit,
    vjp=(_elu_vjp,),
    samples=lambda: [
        Sample((Array((3, 4)), 1.0, 1.0, 1.0)),
        Sample((Array((5,)), SELU_ALPHA, SELU_SCALE, 1.0)),
        Sample((Array(()), 2.0, 1.0, 0.5)),
        Sample((Array((0, 3)), 1.0, 1.0, 1.0)),
    ],
    dtypes="float",
    reference=_torch_elu,
)


def _elu(name: str, input: Any, inplace: bool, *attrs: float) -> Any:
    result = elu_.named(f"{name}Backward{int(inplace)}", input, *attrs)
    return in_place(input, result, inplace)


@function("torch.nn.functional.elu")
def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """input where it is positive, else `alpha` · (exp(input) - 1) (Clevert et al., 2016)."""
    return _elu("Elu", input, inplace, float(alpha), 1.0, 1.0)


@function("torch.nn.functional.elu_")
def elu_in_place(input: Any, alpha: float = 1.0) -> Any:
    """`elu`, in place."""
    return elu(input, alpha, True)


@function("torch.nn.functional.selu torch.selu")
def selu(input: Any, inplace: bool = False) -> Any:
    """scale · elu(input, alpha), with the constants of self-normalizing networks
    (Klambauer et al., 2017).
    """
    return _elu("Elu", input, inplace, SELU_ALPHA, SELU_SCALE, 1.0)


@function("torch.nn.functional.selu_ torch.selu_")
def selu_in_place(input: Any) -> Any:
    """`selu`, in place."""
    return selu(input, True)


@function("torch.nn.functional.celu torch.celu")
def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """input where it is positive, else `alpha` · (exp(input / `alpha`) - 1) (Barron, 2017)."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return _elu("Celu", input, inplace, float(alpha), 1.0, 1.0 / alpha)


@function("torch.nn.functional.celu_ torch.celu_")
def celu_in_place(input: Any, alpha: float = 1.0) -> Any:
    """`celu`, in place."""
    return celu(input, alpha, True)


_DENSITY = 1 / math.sqrt(2 * math.pi)  # of the standard normal at 0
_TANH_SCALE = math.sqrt(2 / math.pi)
_TANH_CUBIC = 0.044715


# Φ, the distribution function of the standard normal, which GELU and its derivative have in common.
normal_distribution_ = define(
    "normal_distribution",
    infer=floats("GeluKernelImpl"),
    emit=normal_distribution,
    vjp=(lambda g, out, x: g * (exp(x * x * -0.5) * _DENSITY),),
    samples=unary(),
    dtypes="float",
    reference="special.ndtr",
)


def _gelu(x: Any, approximate: str) -> Any:
    if approximate == "tanh":
        inner = x * (x * x * (_TANH_CUBIC * _TANH_SCALE) + _TANH_SCALE)
        return x * 0.5 * (tanh(inner) + 1.0)
    return x * normal_distribution_(x)


def _way_back(
    name: str, derivative: Any, samples: Any, reference: Callable[..., Any], attrs: str = ""
) -> Op:
    """derivative(cotangent, input, *attrs) as one operation, of the many that it is made of."""

    def torch_back(torch: Any, g: Any, x: Any, *rest: Any) -> Any:
        x = x.detach().requires_grad_()
        return torch.autograd.grad(reference(torch, x, *rest), x, g)[0]

    return define(
        f"{name}_back",
        inputs="cotangent input",
        attrs=attrs,
        kind="composite",
        strides=result_strides,
        infer=lambda op, inputs, attrs: (inputs, inputs[1].shape, inputs[1].dtype),
        decompose=derivative,
        samples=lambda: [Sample((sample.args[0], *sample.args)) for sample in samples()],
        dtypes="float",
        reference=torch_back,
        tolerance=4.0,
    )


def _gelu_samples() -> list[Sample]:
    return [
        Sample((Array((3, 4), -3, 3), "none")),
        Sample((Array((5,)), "tanh")),
        Sample((Array(()), "none")),
        Sample((Array((0, 3)), "tanh")),
    ]


def _torch_gelu(torch: Any, x: Any, approximate: str) -> Any:
    return torch.nn.functional.gelu(x, approximate=approximate)


def _gelu_derivative(g: Any, x: Any, approximate: str) -> Any:
    square = x * x
    if approximate == "tanh":
        t = tanh(x * (square * (_TANH_CUBIC * _TANH_SCALE) + _TANH_SCALE))
        inner = square * (3 * _TANH_CUBIC * _TANH_SCALE) + _TANH_SCALE
        return g * ((t + 1.0) * 0.5 + x * 0.5 * (1.0 - t * t) * inner)
    return g * (normal_distribution_(x) + x * (exp(square * -0.5) * _DENSITY))


gelu_back = _way_back("gelu", _gelu_derivative, _gelu_samples, _torch_gelu, "approximate")


def _gelu_vjp(g: Any, out: Any, x: Any, approximate: str) -> Any:
    if g.__class__ is Value:
        return gelu_back.value((g, x), (approximate,))
    return _gelu_derivative(g, x, approximate)  # on the tape


gelu_ = define(
    "gelu",
    attrs="approximate",
    kind="composite",
    strides=result_strides,
    infer=floats("GeluKernelImpl"),
    decompose=_gelu,
    vjp=(_gelu_vjp,),
    samples=_gelu_samples,
    dtypes="float",
    reference=_torch_gelu,
)


@function("torch.nn.functional.gelu")
def gelu(input: Any, *, approximate: str = "none") -> Any:
    """input · Φ(input), Φ the distribution function of the standard normal
    (Hendrycks and Gimpel, 2016).

    `approximate="tanh"` gives input/2 · (1 + tanh(√(2/π) · (input + 0.044715 · input³))).
    RuntimeError for another word.

    >>> F.gelu(torch.tensor([1.0]))
    tensor([0.8413])
    """
    if approximate not in ("none", "tanh"):
        raise RuntimeError(
            f"approximate argument must be either none or tanh, but got {approximate!r}."
        )
    return gelu_(input, approximate)


def _silu_derivative(g: Any, x: Any) -> Any:
    s = sigmoid(x)
    return g * (s * (x * (1.0 - s) + 1.0))


silu_back = _way_back(
    "silu", _silu_derivative, unary(), lambda torch, x: torch.nn.functional.silu(x)
)


def _silu_vjp(g: Any, out: Any, x: Any) -> Any:
    return silu_back.value((g, x)) if g.__class__ is Value else _silu_derivative(g, x)


def _silu_emit(s: Any, x: Any) -> Any:
    e = s.exp(s.neg(s.abs(x)))
    one = s.const(1, x)
    return s.mul(x, s.div(s.select(s.lt(x, s.const(0, x)), e, one), s.add(one, e)))


silu_ = define(
    "silu",
    infer=floats("silu_cpu"),
    numpy=lambda x: x / (1 + np.exp(-x)),
    emit=_silu_emit,
    vjp=(_silu_vjp,),
    samples=unary(),
    dtypes="float",
    reference="nn.functional.silu",
)


@function("torch.nn.functional.silu")
def silu(input: Any, inplace: bool = False) -> Any:
    """input · sigmoid(input), also known as swish (Elfwing et al., 2017).

    >>> F.silu(torch.tensor([0., 1.]))
    tensor([0.0000, 0.7311])
    """
    return in_place(input, silu_(input), inplace)


def _mish_emit(s: Any, x: Any) -> Any:
    # tanh(log(1 + exp(x))) as a ratio in e = exp(-|x|), which cannot overflow.
    e = s.exp(s.neg(s.abs(x)))
    one, two = s.const(1, x), s.const(2, x)
    negative = s.lt(x, s.const(0, x))
    top = s.select(negative, s.mul(e, s.add(e, two)), s.fma(two, e, one))
    rest = s.select(negative, two, s.mul(s.mul(two, e), e))
    return s.mul(x, s.div(top, s.add(top, rest)))


def _mish_vjp(g: Any, out: Any, x: Any) -> Any:
    t = tanh(softplus_(x, 1.0, 20.0))
    return g * (t + x * sigmoid(x) * (1.0 - t * t))


mish_ = define(
    "mish",
    infer=floats("mish_cpu"),
    emit=_mish_emit,
    vjp=(_mish_vjp,),
    samples=unary(),
    dtypes="float",
    reference="nn.functional.mish",
)


@function("torch.nn.functional.mish")
def mish(input: Any, inplace: bool = False) -> Any:
    """input · tanh(softplus(input)) (Misra, 2019)."""
    return in_place(input, mish_(input), inplace)


def _softplus_emit(s: Any, x: Any, beta: float, threshold: float) -> Any:
    z = x if beta == 1.0 else s.mul(x, s.const(beta, x))
    curve = s.add(s.max(z, s.const(0, x)), s.log1p(s.exp(s.neg(s.abs(z)))))
    curve = curve if beta == 1.0 else s.div(curve, s.const(beta, x))
    return s.select(s.lt(s.const(threshold, x), z), x, curve)


def _softplus_vjp(g: Any, out: Any, x: Any, beta: float, threshold: float) -> Any:
    z = x * beta
    return g * where(z > threshold, 1.0, sigmoid(z))


softplus_ = define(
    "softplus",
    attrs="beta threshold",
    infer=floats("softplus_cpu"),
    emit=_softplus_emit,
    vjp=(_softplus_vjp,),
    samples=lambda: [
        Sample((Array((3, 4)), 1.0, 20.0)),
        Sample((Array((5,), 1.1, 3), 2.0, 2.0)),
        Sample((Array((), -3, 0), 2.0, 2.0)),
        Sample((Array((0, 3)), 1.0, 20.0)),
    ],
    dtypes="float",
    reference="nn.functional.softplus",
)


@function("torch.nn.functional.softplus")
def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + exp(`beta` · input)) / `beta`; the input where `beta` · input > `threshold`.

    >>> F.softplus(torch.tensor([0.]))
    tensor([0.6931])
    """
    return softplus_(input, float(beta), float(threshold))


log_sigmoid = define(
    "log_sigmoid",
    strides=by_rows,
    infer=floats("log_sigmoid_cpu"),
    emit=lambda s, x: s.sub(s.min(x, s.const(0, x)), s.log1p(s.exp(s.neg(s.abs(x))))),
    vjp=(lambda g, out, x: g * sigmoid(-x),),
    samples=unary(),
    dtypes="float",
    public="torch.nn.functional.logsigmoid",
    reference="nn.functional.logsigmoid",
    doc="""log(1 / (1 + e⁻ˣ)), which does not underflow.

    >>> F.logsigmoid(torch.tensor([-200.0, 0.0]))
    tensor([-200.0000,   -0.6931])
    """,
)


@function("torch.nn.functional.softsign")
def softsign(input: Any) -> Any:
    """input / (1 + |input|)."""
    return div(input, abs_(input) + 1)


@function("torch.nn.functional.tanhshrink")
def tanhshrink(input: Any) -> Any:
    """input - tanh(input)."""
    return sub(input, tanh(input))


def _halves(x: Any, dim: int) -> tuple[Any, Any]:
    half = x.shape[dim] // 2
    first = tuple((0, half if i == dim else n, 1) for i, n in enumerate(x.shape))
    second = tuple((half if i == dim else 0, n, 1) for i, n in enumerate(x.shape))
    return slice_(x, first), slice_(x, second)


def _glu_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,), (dim,) = inputs, attrs
    if x.shape[dim] % 2:
        raise RuntimeError(
            f"Halving dimension must be even, but dimension {dim} is size {x.shape[dim]}"
        )
    if not x.dtype.is_floating_point:
        raise not_implemented("glu_cpu", x.dtype)
    return inputs, tuple(n // 2 if i == dim else n for i, n in enumerate(x.shape)), x.dtype


def _glu(x: Any, dim: int) -> Any:
    values, gates = _halves(x, dim)
    return values * sigmoid(gates)


def _glu_vjp(g: Any, out: Any, x: Any, dim: int) -> Any:
    values, gates = _halves(x, dim)
    s = sigmoid(gates)
    g_values = g * s
    return cat_((g_values, g_values * values * (1.0 - s)), dim)


glu_ = define(
    "glu",
    attrs="dim",
    kind="composite",
    strides=result_strides,
    infer=_glu_infer,
    decompose=_glu,
    vjp=(_glu_vjp,),
    samples=lambda: [
        Sample((Array((3, 4)), 1)),
        Sample((Array((2, 4, 3)), 1)),
        Sample((Array((4,)), 0)),
        Sample((Array((0, 2)), 1)),
    ],
    dtypes="float",
    reference="nn.functional.glu",
)


@function("torch.nn.functional.glu")
def glu(input: Any, dim: int = -1) -> Any:
    """a · sigmoid(b), where a and b are the halves of `input` along `dim` (Dauphin et al., 2017).

    Raises RuntimeError where there is no half. The result is half as long along `dim`.
    """
    if not input.shape:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    return glu_(input, wrap_dim(dim, len(input.shape)))
