"""The LSTM: one layer over a whole sequence."""

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
from tidu.ops.layers.recurrent_samples import lstm_samples, torch_lstm
from tidu.ops.linear_algebra.contract import matmul
from tidu.ops.moving.joining import cat_
from tidu.ops.moving.movement import permute


def _lstm(
    x: Any, h0: Any, c0: Any, weight: Any, projection: Any, batch_sizes: Sizes, reverse: bool
) -> tuple[Any, ...]:
    transposed = permute(weight, (1, 0))
    project = None if projection is None else permute(projection, (1, 0))
    states, cells, gates = [], [], []
    h, c = h0, c0
    for start, n in spans(batch_sizes, reverse):
        before = rows(x, start, start + n) + matmul(entering(h, h0, n), transposed)  # (n, 4H)
        i, f, new, opened = blocks(before, 4)
        i, f, new, opened = sigmoid(i), sigmoid(f), tanh(new), sigmoid(opened)
        c = f * entering(c, c0, n) + i * new
        h = opened * tanh(c)
        if project is not None:
            h = matmul(h, project)
        states.append(h)
        cells.append(c)
        gates.append(cat_((i, f, new, opened), 1))
    return in_order(states, reverse), in_order(cells, reverse), in_order(gates, reverse)


def _lstm_back(
    g_state: Any,
    g_cell: Any,
    g_gates: Any,
    cells: Any,
    gates: Any,
    c0: Any,
    weight: Any,
    projection: Any,
    batch_sizes: Sizes,
    reverse: bool,
) -> tuple[Any, ...]:
    i, f, new, o = blocks(gates, 4)
    slopes = i * (1.0 - i), f * (1.0 - f), 1.0 - new * new, o * (1.0 - o)
    # What does not depend on the way back, for all steps at once.
    bounded = tanh(cells)
    cell_from_state = o * (1.0 - bounded * bounded)
    gate_from_state = bounded * slopes[3]
    cells_before = previous(cells, c0, batch_sizes, reverse)
    gates_from_cell = cat_((new * slopes[0], cells_before * slopes[1], i * slopes[2]), 1)  # (N, 3H)
    directly = None if g_gates is None else g_gates * cat_(slopes, 1)
    into, onto_states = [], []
    h_back, c_back = Returning(), Returning()
    for start, n in spans(batch_sizes, not reverse):
        stop = start + n
        g_h = h_back.after(n, rows(g_state, start, stop))
        onto_states.append(g_h)
        g_h = g_h if projection is None else matmul(g_h, projection)
        g_c = c_back.after(n, g_h * rows(cell_from_state, start, stop))
        g_c = g_c if g_cell is None else g_c + rows(g_cell, start, stop)
        three = (x * g_c for x in blocks(rows(gates_from_cell, start, stop), 3))
        before = cat_((*three, g_h * rows(gate_from_state, start, stop)), 1)
        before = before if directly is None else before + rows(directly, start, stop)
        h_back.now = matmul(before, weight)
        c_back.now = g_c * rows(f, start, stop)
        into.append(before)
    dx = in_order(into, not reverse)
    # Only a projection needs the cotangents of the states.
    last = dx if projection is None else in_order(onto_states, not reverse)
    return dx, h_back.at_start(), c_back.at_start(), last


def _lstm_back_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    g_state, gates, c0, projection = inputs[0], inputs[4], inputs[5], inputs[7]
    start = (c0.shape[0], g_state.shape[1])
    last = gates.shape if projection is None else g_state.shape
    return inputs, (gates.shape, start, c0.shape, last), (gates.dtype,) * 4  # type: ignore[return-value]


lstm_layer_back = define(
    "lstm_layer_back",
    inputs="g_state g_cell g_gates cells gates c0 weight projection",
    attrs="batch_sizes reverse",
    decompose=_lstm_back,
    outputs=4,
    **on_the_way_back(_lstm_back_infer),
)


def _lstm_vjp(
    g: Any,
    out: Any,
    x: Any,
    h0: Any,
    c0: Any,
    weight: Any,
    projection: Any,
    batch_sizes: Sizes,
    reverse: bool,
) -> Any:
    states, cells, gates = out
    g_state = or_zeros(g[0], (x.shape[0], h0.shape[1]), x.dtype)
    dx, dh0, dc0, g_states = way_back(
        lstm_layer_back,
        g_state,
        g[1],
        g[2],
        cells,
        gates,
        c0,
        weight,
        projection,
        batch_sizes,
        reverse,
    )
    dweight = weight_cotangent(dx, previous(states, h0, batch_sizes, reverse))
    if projection is None:
        return dx, dh0, dc0, dweight, None
    size = c0.shape[1]
    unprojected = columns(gates, 3 * size, 4 * size) * tanh(cells)
    return dx, dh0, dc0, dweight, weight_cotangent(g_states, unprojected)


def _lstm_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, h0, c0, weight, projection = inputs
    check_layer(op, inputs, weight, attrs[0])
    count, size = x.shape[0], c0.shape[1]
    if weight.shape[0] != 4 * size or (projection is None and h0.shape != c0.shape):
        raise RuntimeError(
            f"lstm_layer: states {list(h0.shape)} and cells {list(c0.shape)} do not fit the "
            f"recurrent weight {list(weight.shape)}"
        )
    return inputs, ((count, h0.shape[1]), (count, size), x.shape), (x.dtype,) * 3  # type: ignore[return-value]


# x (N, 4H) projected inputs, h0 (B, P), c0 (B, H), weight (4H, P), projection (P, H) or None with P
# = H: states (N, P), cells (N, H) and gates (N, 4H) in the order i, f, g, o.
lstm_layer = define(
    "lstm_layer",
    inputs="x h0 c0 weight projection",
    attrs="batch_sizes reverse",
    kind="composite",
    infer=_lstm_infer,
    decompose=_lstm,
    vjp=_lstm_vjp,
    outputs=3,
    samples=lstm_samples,
    dtypes="float",
    grad_name="CatBackward0",
    reference=torch_lstm,
    tolerance=8.0,
)
