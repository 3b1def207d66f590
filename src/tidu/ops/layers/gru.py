"""The GRU: one layer over a whole sequence."""

from __future__ import annotations

from typing import Any

from tidu.ir.op import Inferred, Op, define
from tidu.ops.elementwise import sigmoid, tanh
from tidu.ops.layers.packed import (
    Returning,
    Sizes,
    blocks,
    columns,
    entering,
    in_order,
    previous,
    rows,
    spans,
)
from tidu.ops.layers.recurrent import (
    check_layer,
    on_the_way_back,
    or_zeros,
    way_back,
    weight_cotangent,
)
from tidu.ops.layers.recurrent_samples import gru_samples, torch_gru
from tidu.ops.linear_algebra.contract import matmul
from tidu.ops.moving.joining import cat_
from tidu.ops.moving.movement import permute
from tidu.ops.reductions.reduce import sum_


def _gru(
    x: Any, h0: Any, weight: Any, bias: Any, batch_sizes: Sizes, reverse: bool
) -> tuple[Any, Any]:
    size = h0.shape[1]
    transposed = permute(weight, (1, 0))
    states, gates, h = [], [], h0
    for start, n in spans(batch_sizes, reverse):
        h = entering(h, h0, n)
        projected = rows(x, start, start + n)
        recurrent = matmul(h, transposed)
        recurrent = recurrent if bias is None else recurrent + bias
        both = sigmoid(columns(projected, 0, 2 * size) + columns(recurrent, 0, 2 * size))
        candidate = columns(recurrent, 2 * size, 3 * size)
        new = tanh(columns(projected, 2 * size, 3 * size) + columns(both, 0, size) * candidate)
        h = new + columns(both, size, 2 * size) * (h - new)
        states.append(h)
        gates.append(cat_((both, new, candidate), 1))
    return in_order(states, reverse), in_order(gates, reverse)


def _gru_back(
    g_state: Any,
    g_gates: Any,
    states: Any,
    gates: Any,
    h0: Any,
    weight: Any,
    batch_sizes: Sizes,
    reverse: bool,
) -> tuple[Any, ...]:
    size = h0.shape[1]
    r, z, new, candidate = blocks(gates, 4)
    slope_r, slope_z, slope_new = r * (1.0 - r), z * (1.0 - z), 1.0 - new * new
    new_from_state = (1.0 - z) * slope_new
    z_from_state = (previous(states, h0, batch_sizes, reverse) - new) * slope_z
    r_from_new = candidate * slope_r
    directly = None
    if g_gates is not None:
        directly = g_gates * cat_((slope_r, slope_z, slope_new, new * 0.0 + 1.0), 1)
    into, into_recurrent = [], []
    h_back = Returning()
    for start, n in spans(batch_sizes, not reverse):
        stop = start + n
        g_h = h_back.after(n, rows(g_state, start, stop))
        g_new = g_h * rows(new_from_state, start, stop)
        g_z = g_h * rows(z_from_state, start, stop)
        at_r, at_candidate = None, None
        if directly is not None:
            at_r, at_z, at_new, at_candidate = blocks(rows(directly, start, stop), 4)
            g_new, g_z = g_new + at_new, g_z + at_z
        g_r = g_new * rows(r_from_new, start, stop)
        g_candidate = g_new * rows(r, start, stop)
        if directly is not None:
            g_r, g_candidate = g_r + at_r, g_candidate + at_candidate
        recurrent = cat_((g_r, g_z, g_candidate), 1)
        h_back.now = matmul(recurrent, weight) + g_h * rows(z, start, stop)
        into.append(g_new)
        into_recurrent.append(recurrent)
    recurrent = in_order(into_recurrent, not reverse)
    dx = cat_((columns(recurrent, 0, 2 * size), in_order(into, not reverse)), 1)
    return dx, recurrent, h_back.at_start()


gru_layer_back = define(
    "gru_layer_back",
    inputs="g_state g_gates states gates h0 weight",
    attrs="batch_sizes reverse",
    decompose=_gru_back,
    outputs=3,
    **on_the_way_back(
        lambda op, inputs, attrs: (
            inputs,
            ((inputs[3].shape[0], 3 * inputs[4].shape[1]),) * 2 + (inputs[4].shape,),
            (inputs[3].dtype,) * 3,
        )
    ),
)


def _gru_vjp(
    g: Any, out: Any, x: Any, h0: Any, weight: Any, bias: Any, batch_sizes: Sizes, reverse: bool
) -> Any:
    states, gates = out
    g_state = or_zeros(g[0], (x.shape[0], h0.shape[1]), x.dtype)
    dx, recurrent, dh0 = way_back(
        gru_layer_back, g_state, g[1], states, gates, h0, weight, batch_sizes, reverse
    )
    dweight = weight_cotangent(recurrent, previous(states, h0, batch_sizes, reverse))
    return dx, dh0, dweight, None if bias is None else sum_(recurrent, (0,), False)


def _gru_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, h0, weight, _ = inputs
    check_layer(op, inputs, weight, attrs[0])
    count, size = x.shape[0], h0.shape[1]
    return inputs, ((count, size), (count, 4 * size)), (x.dtype,) * 2  # type: ignore[return-value]


# x (N, 3H) projected inputs, h0 (B, H), weight (3H, H), bias (3H,) or None, all in the order r, z,
# n: states (N, H), and (N, 4H) of r, z, n and of what r lets through.
gru_layer = define(
    "gru_layer",
    inputs="x h0 weight bias",
    attrs="batch_sizes reverse",
    kind="composite",
    infer=_gru_infer,
    decompose=_gru,
    vjp=_gru_vjp,
    outputs=2,
    samples=gru_samples,
    dtypes="float",
    grad_name="CatBackward0",
    reference=torch_gru,
    tolerance=8.0,
)
