"""Samples for the recurrent layers, and what they are compared with:
the formulas, step by step in PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tidu.ir.op import Array, Sample

# Equal lengths; unequal ones; unequal ones backwards; a single step.
_WALKS = (((2, 2, 2), False), ((3, 2, 2, 1), False), ((3, 1, 1), True), ((2,), True))


def rnn_samples() -> list[Sample]:
    return [
        Sample(
            (
                Array((sum(sizes), 3)),
                Array((sizes[0], 3)),
                Array((3, 3), -1, 1),
                sizes,
                reverse,
                act,
            )
        )
        for (sizes, reverse), act in zip(_WALKS, ("tanh", "relu", "tanh", "relu"), strict=True)
    ]


def lstm_samples() -> list[Sample]:
    samples = []
    for (sizes, reverse), out in zip(_WALKS, (3, 2, 3, 1), strict=True):
        projection = None if out == 3 else Array((out, 3))
        x, h0, c0 = Array((sum(sizes), 12)), Array((sizes[0], out)), Array((sizes[0], 3))
        samples.append(Sample((x, h0, c0, Array((12, out), -1, 1), projection, sizes, reverse)))
    return samples


def gru_samples() -> list[Sample]:
    samples = []
    for number, (sizes, reverse) in enumerate(_WALKS):
        bias = None if number == 1 else Array((9,))
        x, h0 = Array((sum(sizes), 9)), Array((sizes[0], 3))
        samples.append(Sample((x, h0, Array((9, 3), -1, 1), bias, sizes, reverse)))
    return samples


def _walk(
    torch: Any,
    x: Any,
    start: tuple[Any, ...],
    sizes: tuple[int, ...],
    reverse: bool,
    step: Callable[..., Any],
) -> tuple[Any, ...]:
    """Run `step(rows of x, state) -> (new state, results)` over packed rows;
    the results, packed.
    """
    cuts = torch.split(x, list(sizes))
    state = tuple(s[:0] for s in start)
    collected: list[Any] = []
    for rows in cuts[::-1] if reverse else cuts:
        n = len(rows)
        state = tuple(
            torch.cat((s[:n], s0[len(s) : n])) for s, s0 in zip(state, start, strict=True)
        )
        state, results = step(rows, state)
        collected.append(results)
    collected = collected[::-1] if reverse else collected
    return tuple(torch.cat(parts) for parts in zip(*collected, strict=True))


def torch_rnn(
    torch: Any, x: Any, h0: Any, weight: Any, sizes: Any, reverse: bool, nonlinearity: str
) -> Any:
    def step(rows: Any, state: Any) -> Any:
        h = getattr(torch, nonlinearity)(rows + state[0] @ weight.T)
        return (h,), (h,)

    return _walk(torch, x, (h0,), sizes, reverse, step)[0]


def torch_lstm(
    torch: Any, x: Any, h0: Any, c0: Any, weight: Any, projection: Any, sizes: Any, reverse: bool
) -> Any:
    def step(rows: Any, state: Any) -> Any:
        i, f, g, o = (rows + state[0] @ weight.T).chunk(4, 1)
        i, f, g, o = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
        c = f * state[1] + i * g
        h = o * torch.tanh(c)
        h = h if projection is None else h @ projection.T
        return (h, c), (h, c, torch.cat((i, f, g, o), 1))

    return _walk(torch, x, (h0, c0), sizes, reverse, step)


def torch_gru(
    torch: Any, x: Any, h0: Any, weight: Any, bias: Any, sizes: Any, reverse: bool
) -> Any:
    def step(rows: Any, state: Any) -> Any:
        (h,) = state
        x_r, x_z, x_n = rows.chunk(3, 1)
        h_r, h_z, h_n = (h @ weight.T + (0 if bias is None else bias)).chunk(3, 1)
        r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
        n = torch.tanh(x_n + r * h_n)
        h = (1 - z) * n + z * h
        return (h,), (h, torch.cat((r, z, n, h_n), 1))

    return _walk(torch, x, (h0,), sizes, reverse, step)
