"""Recurrent layers, a whole sequence in one operation:
what is left to do once the inputs are projected.

The rows are packed as described in `tidu.ops.packed`; H is the hidden size. Each operation is one
node on the tape with its own derivative, which walks back in one operation as well. Where that
derivative is to be differentiated again, it is called on tensors, and its steps go onto the tape
one by one.
"""

from __future__ import annotations

from typing import Any

from tidu.ir.op import Inferred, Op, Sample, define
from tidu.ops.elementwise import relu, sigmoid, tanh, where
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
from tidu.ops.layers.recurrent_samples import (
    gru_samples,
    lstm_samples,
    rnn_samples,
    torch_gru,
    torch_lstm,
    torch_rnn,
)
from tidu.ops.linear_algebra.contract import matmul
from tidu.ops.moving.movement import cat_, permute, reshape
from tidu.ops.pick import pick
from tidu.ops.reductions.reduce import sum_
from tidu.ops.rules import class_name
from tidu.ops.sources import full


def _check(op: Op, inputs: tuple[Any, ...], weight: Any, batch_sizes: Sizes) -> None:
    x, h0 = inputs[0], inputs[1]
    for y in inputs[1:]:
        if y is not None and y.dtype is not x.dtype:
            raise RuntimeError(
                f"mat1 and mat2 must have the same dtype, but got {class_name(x.dtype)} and "
                f"{class_name(y.dtype)} ({op.name}: inputs and states have to have the dtype of "
                "the weights)"
            )
    count, width = x.shape
    if count != sum(batch_sizes) or width != weight.shape[0] or weight.shape[1] != h0.shape[1]:
        raise RuntimeError(
            f"{op.name}: projected inputs {list(x.shape)}, states {list(h0.shape)}, recurrent "
            f"weight {list(weight.shape)} and batch sizes {batch_sizes} do not fit together"
        )


def _way_back(op: Op, *arguments: Any) -> tuple[Any, ...]:
    """The derivative in one operation on Values;
    on tensors step by step, so that it has a derivative itself.
    """
    if any(hasattr(x, "apply_op") for x in arguments[: op.arity]):
        assert op.decompose is not None
        return tuple(op.decompose(*arguments))
    packed = op(*arguments)
    return tuple(pick(packed, number) for number in range(op.outputs))


def _weight_cotangent(rows_of_g: Any, states: Any) -> Any:
    """Σ over all rows of the outer products: (N, G) and (N, H) give (G, H)."""
    return matmul(permute(rows_of_g, (1, 0)), states)


def _on_the_way_back(infer: Any) -> dict[str, Any]:
    """What the derivatives have in common:
    the gradients of the layers above are what tests them.
    """
    return {"kind": "composite", "infer": infer, "samples": lambda: [Sample(())], "reference": ""}


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
    **_on_the_way_back(
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
    dx, dh0 = _way_back(rnn_layer_back, g, out, weight, batch_sizes, reverse, nonlinearity)
    return dx, dh0, _weight_cotangent(dx, previous(out, h0, batch_sizes, reverse))


def _rnn_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    _check(op, inputs, inputs[2], attrs[0])
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


def _lstm(
    x: Any, h0: Any, c0: Any, weight: Any, projection: Any, batch_sizes: Sizes, reverse: bool
) -> tuple[Any, ...]:
    size = c0.shape[1]
    transposed = permute(weight, (1, 0))
    project = None if projection is None else permute(projection, (1, 0))
    states, cells, gates = [], [], []
    h, c = h0, c0
    for start, n in spans(batch_sizes, reverse):
        before = rows(x, start, start + n) + matmul(entering(h, h0, n), transposed)  # (n, 4H)
        in_forget = sigmoid(columns(before, 0, 2 * size))
        new = tanh(columns(before, 2 * size, 3 * size))
        opened = sigmoid(columns(before, 3 * size, 4 * size))
        c = (
            columns(in_forget, size, 2 * size) * entering(c, c0, n)
            + columns(in_forget, 0, size) * new
        )
        h = opened * tanh(c)
        if project is not None:
            h = matmul(h, project)
        states.append(h)
        cells.append(c)
        gates.append(cat_((in_forget, new, opened), 1))
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
    size = c0.shape[1]
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
        three = reshape(rows(gates_from_cell, start, stop), (n, 3, size)) * reshape(
            g_c, (n, 1, size)
        )
        before = cat_((reshape(three, (n, 3 * size)), g_h * rows(gate_from_state, start, stop)), 1)
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
    **_on_the_way_back(_lstm_back_infer),
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
    g_state = _or_zeros(g[0], (x.shape[0], h0.shape[1]), x.dtype)
    dx, dh0, dc0, g_states = _way_back(
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
    dweight = _weight_cotangent(dx, previous(states, h0, batch_sizes, reverse))
    if projection is None:
        return dx, dh0, dc0, dweight, None
    size = c0.shape[1]
    unprojected = columns(gates, 3 * size, 4 * size) * tanh(cells)
    return dx, dh0, dc0, dweight, _weight_cotangent(g_states, unprojected)


def _or_zeros(g: Any, shape: tuple[int, ...], d: Any) -> Any:
    return full(0.0, shape, d) if g is None else g


def _lstm_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, h0, c0, weight, projection = inputs
    _check(op, inputs, weight, attrs[0])
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
    **_on_the_way_back(
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
    g_state = _or_zeros(g[0], (x.shape[0], h0.shape[1]), x.dtype)
    dx, recurrent, dh0 = _way_back(
        gru_layer_back, g_state, g[1], states, gates, h0, weight, batch_sizes, reverse
    )
    dweight = _weight_cotangent(recurrent, previous(states, h0, batch_sizes, reverse))
    return dx, dh0, dweight, None if bias is None else sum_(recurrent, (0,), False)


def _gru_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, h0, weight, _ = inputs
    _check(op, inputs, weight, attrs[0])
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
