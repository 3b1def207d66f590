"""Recurrent layers: values and gradients, with packed sequences, in all forms; errors;
packing and padding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tidu
from tests.nn.oracle import (
    assert_close,
    assert_same_answer,
    assert_same_results_and_gradients,
    both,
    numbers,
    pair,
    torch,
)

FORMS = [
    "3, 4",
    "3, 4, num_layers=2",
    "3, 4, num_layers=2, bidirectional=True",
    "3, 4, bias=False, batch_first=True",
]
LAYERS = [f"nn.{kind}({form})" for kind in ("RNN", "LSTM", "GRU") for form in FORMS]
LAYERS += [
    "nn.RNN(3, 4, nonlinearity='relu')",
    "nn.LSTM(3, 4, num_layers=2, bidirectional=True, proj_size=2)",
]


def _start(module: Any, batch: int, rng: np.random.Generator) -> list[tuple[Any, Any]]:
    directions = module.num_layers * (2 if module.bidirectional else 1)
    sizes = [module.proj_size or 4, 4] if module.mode == "LSTM" else [4]
    return [pair(rng, directions, batch, size) for size in sizes]


@pytest.mark.parametrize("packed", ["padded", "packed"])
@pytest.mark.parametrize("start", ["zeros", "given"])
@pytest.mark.parametrize("make", LAYERS)
def test_values_and_gradients_are_those_of_pytorch(make: str, start: str, packed: str) -> None:
    rng = np.random.default_rng(0)
    modules = both(make)
    batch_first = modules[0].batch_first
    length, batch = (4, 5) if batch_first else (5, 4)
    xs = pair(rng, batch, length, 3) if batch_first else pair(rng, length, batch, 3)
    states = _start(modules[0], batch, rng)
    lengths = rng.integers(1, length, batch).tolist()
    lengths[2] = length

    def run(number: int, library: Any) -> Any:
        given = tuple(state[number] for state in states)
        hx = None if start == "zeros" else given if len(given) == 2 else given[0]
        x, pack = xs[number], library.nn.utils.rnn
        if packed == "padded":
            return modules[number](x, hx)
        x = pack.pack_padded_sequence(
            x, library.tensor(lengths), batch_first=batch_first, enforce_sorted=False
        )
        out, hx = modules[number](x, hx)
        return pack.pad_packed_sequence(out, batch_first=batch_first)[0], hx

    leaves = [xs, *states] if start == "given" else [xs]
    assert_same_results_and_gradients((run(0, torch), run(1, tidu)), leaves, modules, make)


@pytest.mark.parametrize("make", ["nn.RNN(3, 4)", "nn.LSTM(3, 4)", "nn.GRU(3, 4, 2)"])
def test_sequences_without_a_batch(make: str) -> None:
    modules = both(make)
    xs = pair(np.random.default_rng(0), 5, 3)
    results = tuple(module(x) for module, x in zip(modules, xs, strict=True))
    assert_same_results_and_gradients(results, [xs], modules, make)


@pytest.mark.parametrize("rows", [(2, 3), (3,)])
@pytest.mark.parametrize("start", ["zeros", "given"])
@pytest.mark.parametrize(
    "make",
    [
        "nn.RNNCell(3, 4)",
        "nn.RNNCell(3, 4, nonlinearity='relu')",
        "nn.LSTMCell(3, 4)",
        "nn.GRUCell(3, 4, bias=False)",
    ],
)
def test_cells_are_those_of_pytorch(make: str, start: str, rows: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    modules = both(make)
    xs, h, c = pair(rng, *rows), pair(rng, *rows[:-1], 4), pair(rng, *rows[:-1], 4)

    def run(number: int) -> Any:
        if start == "zeros":
            return modules[number](xs[number])
        hx = (h[number], c[number]) if "LSTM" in make else h[number]
        return modules[number](xs[number], hx)

    leaves = [xs, h, c] if start == "given" else [xs]
    assert_same_results_and_gradients((run(0), run(1)), leaves, modules, make)


@pytest.mark.parametrize("make", ["nn.RNN(2, 3)", "nn.LSTM(2, 3, proj_size=2)", "nn.GRU(2, 3)"])
def test_gradients_of_gradients(make: str) -> None:
    modules = both(make)
    xs = pair(np.random.default_rng(0), 4, 2, 2)
    seconds = []
    for library, module, x in zip((torch, tidu), modules, xs, strict=True):
        total = (module(x)[0] ** 2).sum()
        (first,) = library.autograd.grad(total, x, create_graph=True)
        seconds.append(library.autograd.grad((first**2).sum(), [x, *module.parameters()]))
    for want, got in zip(*seconds, strict=True):
        assert_close(got, want)


def test_dropout_between_layers_draws_as_pytorch_does() -> None:
    modules = both("nn.LSTM(3, 4, 3, dropout=0.5)")
    xs = pair(np.random.default_rng(0), 5, 2, 3)
    results = []
    for library, module, x in zip((torch, tidu), modules, xs, strict=True):
        library.manual_seed(7)
        results.append(module(x))
    assert_same_results_and_gradients((results[0], results[1]), [xs], modules, "dropout")
    for module in modules:
        module.eval()
    assert_close(modules[1](xs[1])[0], modules[0](xs[0])[0])


def test_one_layer_is_one_operation_on_the_tape() -> None:
    out, _ = tidu.nn.LSTM(3, 4)(tidu.ones(6, 2, 3))
    nodes, found = [out.grad_fn], set()
    while nodes:
        node = nodes.pop()
        found.add(node)
        nodes += [following for following, _ in node.next_functions if following is not None]
    assert len([node for node in found if node.name() != "torch::autograd::AccumulateGrad"]) < 6


ANSWERS = """
nn.LSTM(3, 4)
nn.LSTM(3, 4, 2, bias=False, batch_first=True, dropout=0.5, bidirectional=True, proj_size=2)
nn.RNN(3, 4, nonlinearity='relu')
nn.RNN(3, 4, nonlinearity='x')
nn.LSTM(3, 4, 2, dropout=2)
nn.LSTM(3, 4, 2, dropout=True)
nn.LSTM(3, 0)
nn.LSTM(3, 4, 0)
nn.LSTM(3, 4, proj_size=4)
nn.LSTM(3, 4, proj_size=-1)
nn.GRU(3, 4, proj_size=1)
nn.LSTM(3, 'a')
nn.LSTM()
nn.LSTM(3, 4)(o(5))
nn.GRU(3, 4)(o(2, 2, 2, 3))
nn.RNN(3, 4)(o(5))
nn.GRU(3, 4)(o(5, 2, 4))
nn.GRU(3, 4)(o(5, 2, 3).double())
nn.GRU(3, 4)(o(0, 2, 3))
nn.GRU(3, 4)(o(5, 0, 3))[1].shape
nn.GRU(3, 4)(o(5, 2, 3), o(2, 3, 4))
nn.GRU(3, 4)(o(5, 2, 3), o(2, 4))
nn.GRU(3, 4)(o(5, 3), o(2, 2, 4))
nn.LSTM(3, 4)(o(5, 2, 3), (o(1, 3, 4), o(1, 2, 4)))
nn.LSTM(3, 4)(o(5, 2, 3), (o(1, 2, 4), o(1, 3, 4)))
nn.LSTM(3, 4)(o(5, 2, 3), (o(2, 4), o(2, 4)))
nn.LSTM(3, 4)(o(5, 3), (o(1, 2, 4), o(1, 2, 4)))
nn.RNNCell(3, 4)
nn.RNNCell(3, 4, nonlinearity='relu')
nn.LSTMCell(3, 4, bias=False)
nn.RNNCell(3, 4)(o(2, 3, 3))
nn.GRUCell(3, 4)(o(2, 4))
nn.GRUCell(3, 4)(o(2, 3), o(3, 4))
nn.GRUCell(3, 4)(o(2, 3), o(4))
nn.GRUCell(3, 4)(o(3), o(1, 4))
nn.LSTMCell(3, 4)(o(2, 3), (o(2, 4), o(2, 5)))
rnn.pack_padded_sequence(o(3, 2, 3), [3, 2])
rnn.pack_padded_sequence(o(3, 2, 3), [2, 3])
rnn.pack_padded_sequence(o(3, 2, 3), [2, 3], enforce_sorted=False)
rnn.pack_padded_sequence(o(3, 2, 3), [3, 0])
rnn.pack_padded_sequence(o(3, 2, 3), [3])
rnn.pack_padded_sequence(o(0, 2), [3, 1])
rnn.pack_padded_sequence(o(3, 2, 3), [3, 2]).to(T.float64)
rnn.pad_packed_sequence(rnn.pack_padded_sequence(o(3, 2, 3), [3, 2]), True, -1.0, 5)
rnn.pad_packed_sequence(rnn.pack_padded_sequence(o(3, 2, 3), [3, 2]), total_length=2)
rnn.pad_sequence([o(2, 2), o(3, 2)])
rnn.pad_sequence([o(2), o(3)], True, -1.0, 'left')
rnn.pad_sequence([o(2).long(), o(3).long()], True, 7)
rnn.pad_sequence([])
rnn.pad_sequence(3)
rnn.pad_sequence([o(2), o(1)], padding_side='x')
rnn.pack_sequence([o(2, 2), o(3, 2)])
rnn.pack_sequence([o(2, 2), o(3, 2)], enforce_sorted=False)
rnn.unpad_sequence(o(3, 2), T.tensor([3, 1]))
rnn.unpack_sequence(rnn.pack_sequence([o(3, 2), o(2, 2)]))
rnn.invert_permutation(T.tensor([2, 0, 1]))
""".strip().split("\n")


@pytest.mark.parametrize("statement", ANSWERS)
def test_answers_are_those_of_pytorch(statement: str) -> None:
    assert_same_answer(statement)


def test_a_length_beyond_the_input_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="a length of 4 was given, but the input has only 3"):
        tidu.nn.utils.rnn.pack_padded_sequence(tidu.ones(3, 2), [4, 1])


def test_packing_and_padding_are_differentiable() -> None:
    x = tidu.ones(3, 2, requires_grad=True)
    rnn = tidu.nn.utils.rnn
    padded, lengths = rnn.pad_packed_sequence(rnn.pack_padded_sequence(x, [3, 1]))
    assert lengths.tolist() == [3, 1]
    (padded * 2).sum().backward()
    assert x.grad is not None
    np.testing.assert_array_equal(numbers(x.grad), [[2, 2], [2, 0], [2, 0]])


@pytest.mark.parametrize("form", ["", "bidirectional=True", "batch_first=True", "num_layers=2"])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("shape", [(5, 2, 3), (5, 3)])
def test_results_print_the_gradients_of_pytorch(
    kind: str, form: str, shape: tuple[int, ...]
) -> None:
    found = []
    for library in (torch, tidu):
        layer = eval(f"nn.{kind}(3, 4, {form})", {"nn": library.nn})
        for d in (library.float32, library.float64):
            result, state = layer.to(d)(library.zeros(shape, dtype=d))
            states = state if isinstance(state, tuple) else (state,)
            found.append([type(x.grad_fn).__name__ for x in (result, *states)])
    assert found[2:] == found[:2]
