"""tanh, sigmoid and relu, with their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.blend import blend
from tidu.ir.op import Inferred, Op, define
from tidu.ops.elementwise.choice import fill
from tidu.ops.elementwise.definitions import define_unary
from tidu.ops.rules import arithmetic, same
from tidu.ops.samples import binary_tensors

tanh = define_unary(
    "tanh",
    np.tanh,
    lambda s, x: s.tanh(x),
    lambda g, out, x: tanh_gradient(g, out),
    torch_paths="torch.nn.functional.tanh",
    doc="""The hyperbolic tangent, (eˣ - e⁻ˣ) / (eˣ + e⁻ˣ); its derivative is 1 - tanh²(x).

    >>> torch.tanh(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.7616,  0.0000,  0.7616])
    """,
)


# The gradients of tanh and sigmoid are operations of their own: one to record instead of three.
tanh_gradient: Op = define(
    "tanh_gradient",
    inputs="gradient output",
    infer=arithmetic,
    numpy=lambda g, out: g * (1 - out * out),
    emit=lambda s, g, out: s.mul(g, s.sub(s.const(1, out), s.mul(out, out))),
    vjp=(
        lambda g, out, gradient, output: g * (1.0 - output * output),
        lambda g, out, gradient, output: g * gradient * output * -2.0,
    ),
    grad_name="TanhBackwardBackward0",
    samples=binary_tensors(),
    dtypes="float",
    reference=lambda torch, g, out: torch.ops.aten.tanh_backward(*torch.broadcast_tensors(g, out)),
)


def _sigmoid_emit(s: Any, x: Any) -> Any:
    # exp of a number that is never positive cannot overflow.
    e = s.exp(s.neg(s.abs(x)))
    one = s.const(1, x)
    below = s.lt(x, s.const(0, x))
    whole = s.add(one, e)
    rounded = s.div(s.select(below, e, one), whole)
    # Below 0, the errors of e and of the sum come together: what the sum lost is brought back.
    lost = s.add(s.sub(one, whole), e)
    exact = s.sub(rounded, s.mul(s.mul(rounded, lost), s.sub(one, rounded)))
    return s.select(below, exact, rounded)


sigmoid = define_unary(
    "sigmoid",
    lambda x: 1 / (1 + np.exp(-x)),
    _sigmoid_emit,
    lambda g, out, x: sigmoid_gradient(g, out),
    torch_paths="torch.special.expit torch.nn.functional.sigmoid",
    doc="""σ(x) = 1 / (1 + e⁻ˣ); its derivative is σ(x) · (1 - σ(x)).

    >>> torch.sigmoid(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([0.2689, 0.5000, 0.7311])
    """,
)
sigmoid_gradient: Op = define(
    "sigmoid_gradient",
    inputs="gradient output",
    infer=arithmetic,
    numpy=lambda g, out: g * ((1 - out) * out),
    emit=lambda s, g, out: s.mul(g, s.mul(s.sub(s.const(1, out), out), out)),
    vjp=(
        lambda g, out, gradient, output: g * ((1.0 - output) * output),
        lambda g, out, gradient, output: g * gradient * (1.0 - output * 2.0),
    ),
    grad_name="SigmoidBackwardBackward0",
    samples=binary_tensors(),
    dtypes="float",
    reference=lambda torch, g, out: torch.ops.aten.sigmoid_backward(
        *torch.broadcast_tensors(g, out)
    ),
)


# The gradient of relu. An op of its own, because PyTorch's counts as depending on the output too.
gate: Op = define(
    "gate",
    inputs="gradient output",
    infer=arithmetic,
    # Told apart by what is at most 0, so that the gradient passes where the output is NaN.
    numpy=lambda g, out: blend(out <= 0, np.zeros((), g.dtype), g),
    emit=lambda s, g, out: s.select(s.le(out, s.const(0, out)), s.const(0, g), g),
    vjp=(
        lambda g, out, gradient, output: gate(g, output),
        lambda g, out, gradient, output: fill(g, 0.0),
    ),
    grad_name="ThresholdBackwardBackward0",
    samples=binary_tensors(),
    dtypes="float",
    reference=lambda torch, g, out: torch.ops.aten.threshold_backward(
        *torch.broadcast_tensors(g, out), 0
    ),
)


def _no_bools(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    if inputs[0].dtype is dtypes.bool_:
        raise RuntimeError(
            f"Boolean inputs not supported for {op.name}; convert the tensor first, for example "
            "with .float()"
        )
    return same(op, inputs, attrs)


relu = define_unary(
    "relu",
    lambda x: np.maximum(0, x),
    lambda s, x: s.max(s.const(0, x), x),
    lambda g, out, x: gate(g, out),
    infer=_no_bools,
    doc="""max(x, 0); the gradient at 0 is 0.

    >>> torch.relu(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """,
)
