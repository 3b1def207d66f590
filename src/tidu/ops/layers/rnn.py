"""The plain recurrent network: one layer over a whole sequence."""

from __future__ import annotations

from typing import Any

from tidu.ir.op import Inferred, Op, define
from tidu.ops.elementwise import relu, tanh, where
from tidu.ops.layers.packed import Returning, Sizes, entering, in_order, previous, rows, spans
from tidu.ops.layers.recurrent import check_layer, on_the_way_back, way_back, weight_cotangent
from tidu.ops.layers.recurrent_samples import rnn_samples, torch_rnn
from tidu.ops.linear_algebra.contract import matmul
from tidu.ops.moving.movement import permute


def _rnn(x: Any, h0: Any, weight: Any, batch_sizes: Sizes, reverse: bool, nonlinearity: str) -> Any:
    act = tanh if nonlinearity == "tanh" else relu
    transposed = permute(weight, (1, 0))
    states, h = [], h0
    for start, n in spans(batch_sizes, reverse):
        h = act(rows(x, start, start + n) + matmul(entering(h, h0, n), transposed))
        states.append(h)
    return in_order(states, reverse)


def _rnn_back(
    g: Any, out: Any, weight: Any, batch_sizes: Sizes, reverse: bool, nonlinearity: str
) -> Any:
    slope = 1.0 - out * out if nonlinearity == "tanh" else where(out > 0, 1.0, 0.0)
    slope = slope if nonlinearity == "tanh" else slope.to(out.dtype)
    into, h_back = [], Returning()
    for start, n in spans(batch_sizes, not reverse):
        before_act = h_back.after(n, rows(g, start, start + n)) * rows(slope, start, start + n)
        h_back.now = matmul(before_act, weight)
        into.append(before_act)
    return in_order(into, not reverse), h_back.at_start()


rnn_layer_back = define(
    "rnn_layer_back",
    inputs="g out weight",
    attrs="batch_sizes reverse nonlinearity",
    decompose=_rnn_back,
    outputs=2,
    **on_the_way_back(
        lambda op, inputs, attrs: (
            inputs,
            (inputs[0].shape, (attrs[0][0], inputs[0].shape[1])),
            (inputs[0].dtype,) * 2,
        )
    ),
)


def _rnn_vjp(
    g: Any,
    out: Any,
    x: Any,
    h0: Any,
    weight: Any,
    batch_sizes: Sizes,
    reverse: bool,
    nonlinearity: str,
) -> Any:
    dx, dh0 = way_back(rnn_layer_back, g, out, weight, batch_sizes, reverse, nonlinearity)
    return dx, dh0, weight_cotangent(dx, previous(out, h0, batch_sizes, reverse))


def _rnn_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    check_layer(op, inputs, inputs[2], attrs[0])
    return inputs, (inputs[0].shape[0], inputs[1].shape[1]), inputs[0].dtype


# x (N, H) projected inputs, h0 (B, H), weight (H, H): all states (N, H).
rnn_layer = define(
    "rnn_layer",
    inputs="x h0 weight",
    attrs="batch_sizes reverse nonlinearity",
    kind="composite",
    infer=_rnn_infer,
    decompose=_rnn,
    vjp=_rnn_vjp,
    samples=rnn_samples,
    dtypes="float",
    grad_name="CatBackward0",
    reference=torch_rnn,
    tolerance=8.0,
)
