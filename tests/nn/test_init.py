"""Initialization: the same seed gives the same weights, for functions and for layers; the same
errors and warnings.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import tidu
from tests.nn.oracle import assert_same_answer, numbers, torch

FUNCTIONS = """
uniform_(T.empty(3, 4), 1.0, 2.0)
normal_(T.empty(30, 4), 1.0, 2.0)
normal_(T.empty(3, 4, dtype=T.float64))
trunc_normal_(T.empty(30, 4))
trunc_normal_(T.empty(30, 4), 0.0, 1.0, 1.5, 3.0)
trunc_normal_(T.empty(3, 4), 0.5, 0.1, 0.0, 1.0)
trunc_normal_(T.empty(30, 4, dtype=T.float64), 0.0, 1.0, 1.0, 3.0)
trunc_normal_(T.empty(30, 4, dtype=T.bfloat16))
constant_(T.empty(3), 2.0)
ones_(T.empty(2))
zeros_(T.empty(2))
eye_(T.empty(3, 2))
dirac_(T.empty(4, 2, 3))
dirac_(T.empty(4, 2, 3, 3), 2)
xavier_uniform_(T.empty(3, 4), 2.0)
xavier_normal_(T.empty(3, 4, 2))
kaiming_uniform_(T.empty(3, 4, 2), mode='fan_out', nonlinearity='relu')
kaiming_normal_(T.empty(3, 4, 2), a=0.3)
kaiming_normal_(T.empty(20, 3), generator=T.Generator().manual_seed(3))
sparse_(T.empty(5, 4), 0.3)
orthogonal_(T.empty(5, 3))
orthogonal_(T.empty(3, 5), gain=2.0)
orthogonal_(T.empty(3, 2, 4))
""".strip().split("\n")


@pytest.mark.parametrize("call", FUNCTIONS)
def test_the_same_seed_gives_the_same_numbers(call: str) -> None:
    drawn = []
    for library in (torch, tidu):
        library.manual_seed(5)
        filled = eval(f"init.{call}", {"T": library, "init": library.nn.init})
        drawn.append((numbers(filled.float()), numbers(library.rand(3))))
    tolerance = 2e-6 if "orthogonal" in call else 0.0
    np.testing.assert_allclose(drawn[1][0], drawn[0][0], rtol=0, atol=tolerance)
    np.testing.assert_array_equal(drawn[1][1], drawn[0][1], err_msg="the generator after it")


LAYERS = """
Linear(5, 3)
Linear(5, 3, bias=False)
Bilinear(2, 3, 4)
Embedding(5, 3, padding_idx=2)
EmbeddingBag(5, 3)
RNN(2, 3, 2)
LSTM(3, 4, 2, bidirectional=True, proj_size=2)
GRU(3, 5, bias=False)
LSTMCell(3, 4)
GRUCell(3, 4)
RNNCell(3, 4)
MultiheadAttention(8, 2)
MultiheadAttention(8, 2, kdim=4, vdim=6, add_bias_kv=True)
TransformerEncoderLayer(8, 2, 16)
TransformerDecoderLayer(8, 2, 16)
Transformer(8, 2, 1, 2, 16)
""".strip().split("\n")


@pytest.mark.parametrize("make", LAYERS)
def test_the_same_seed_gives_the_same_layer(make: str) -> None:
    made = []
    for library in (torch, tidu):
        library.manual_seed(3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's advice on how to be faster
            made.append(eval(f"nn.{make}", {"nn": library.nn}))
    theirs, ours = made
    assert repr(ours) == repr(theirs)
    for (name, want), (our_name, got) in zip(
        theirs.named_parameters(), ours.named_parameters(), strict=True
    ):
        assert our_name == name
        np.testing.assert_array_equal(numbers(got), numbers(want), err_msg=name)


ERRORS = """
init.calculate_gain('foo')
init.calculate_gain('leaky_relu', 'a')
init.calculate_gain('leaky_relu', True)
[init.calculate_gain(n) for n in ('linear', 'sigmoid', 'tanh', 'relu', 'leaky_relu', 'selu')]
init.calculate_gain('leaky_relu', 0.3)
init.kaiming_uniform_(o(2, 3), mode='x')
init.kaiming_uniform_(o(2, 3), nonlinearity='x')
init.xavier_uniform_(o(3))
init.eye_(o(3))
init.dirac_(o(3, 4))
init.dirac_(o(3, 4, 5), groups=2)
init.orthogonal_(o(3))
init.sparse_(o(3), 0.1)
init.normal_(o(3), 0.0, -1.0)
init._calculate_fan_in_and_fan_out(o(3, 4, 5))
init.orthogonal_(o(0, 3)).shape
""".strip().split("\n")


@pytest.mark.parametrize("statement", ERRORS)
def test_errors_are_those_of_pytorch(statement: str) -> None:
    assert_same_answer(statement)


@pytest.mark.parametrize(
    "call",
    [
        "trunc_normal_(T.ones(2), 5.0, 1.0)",
        "kaiming_uniform_(T.ones(0, 3))",
        "normal(T.ones(2))",
        "xavier_normal(T.ones(2, 2))",
    ],
)
def test_warnings_are_those_of_pytorch(call: str) -> None:
    given: list[Any] = []
    for library in (torch, tidu):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            eval(f"init.{call}", {"T": library, "init": library.nn.init})
        given.append([(w.category, str(w.message)) for w in caught])
    assert given[1] == given[0]


def test_initialization_stays_off_the_tape() -> None:
    weight = tidu.nn.Parameter(tidu.empty(3, 3))
    assert tidu.nn.init.normal_(weight) is weight
    assert weight.is_leaf and weight.requires_grad
