"""Loading and saving of states: interchange with PyTorch, and every mismatch at once."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

import tidu
from tests.nn.oracle import assert_same_answer, numbers, torch

STATEMENTS = """
nn.Linear(2, 3).load_state_dict(3)
nn.Linear(2, 3).load_state_dict(nn.Linear(2, 3).state_dict())
nn.Sequential(nn.Linear(2, 3)).load_state_dict({'0.weight': o(2, 2), 'x': o(1), '1.weight': o(2)})
nn.Linear(2, 3).load_state_dict({'weight': 3, 'bias': o(3)})
nn.Linear(2, 3).load_state_dict({}, strict=False)
nn.Linear(2, 3).load_state_dict({'weight': o(2)}, strict=False)
nn.Linear(2, 1).load_state_dict({'weight': o(1, 2), 'bias': o(1), 'bias.x': o(1)})
list(nn.Linear(2, 1).state_dict(prefix='x.'))
nn.Linear(2, 1).state_dict(keep_vars=True)['weight'].requires_grad
nn.Sequential(nn.Linear(2, 1)).state_dict()._metadata
nn.Module().load_state_dict({'_extra_state': 5})
""".strip().split("\n")


@pytest.mark.parametrize("statement", STATEMENTS)
def test_answers_are_those_of_pytorch(statement: str) -> None:
    assert_same_answer(statement)


NETWORKS = [
    "nn.Linear(3, 2)",
    "nn.Sequential(nn.Embedding(5, 3), nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2))",
    "nn.GRU(3, 4, bias=False)",
    "nn.MultiheadAttention(8, 2, kdim=4, vdim=6, add_bias_kv=True)",
    "nn.ModuleDict({'a': nn.Bilinear(2, 3, 4), 'b': nn.ParameterList([T.ones(2), T.ones(3)])})",
]


@pytest.mark.parametrize("make", NETWORKS)
def test_states_go_back_and_forth(make: str) -> None:
    theirs = eval(make, {"nn": torch.nn, "T": torch})
    ours = eval(make, {"nn": tidu.nn, "T": tidu})
    want = theirs.state_dict()
    ours.load_state_dict({name: tidu.tensor(x.numpy()) for name, x in want.items()})
    state = ours.state_dict()
    assert list(state) == list(want)
    assert state._metadata == want._metadata
    theirs.load_state_dict({name: torch.tensor(numbers(x)) for name, x in state.items()})
    for name, x in state.items():
        np.testing.assert_array_equal(numbers(x), numbers(want[name]), err_msg=name)


def test_a_state_shares_memory_with_the_module() -> None:
    model = tidu.nn.Linear(2, 1)
    state = model.state_dict()
    with tidu.no_grad():
        model.weight.fill_(7.0)
    assert state["weight"].tolist() == [[7.0, 7.0]]
    assert not state["weight"].requires_grad


def test_assign_takes_the_tensors_themselves() -> None:
    model = tidu.nn.Linear(2, 1)
    weight = tidu.ones(1, 2, dtype=tidu.float64)
    model.load_state_dict({"weight": weight, "bias": tidu.zeros(1)}, assign=True)
    assert isinstance(model.weight, tidu.nn.Parameter)
    assert model.weight.dtype is tidu.float64 and model.weight.requires_grad
    weight.fill_(3.0)
    assert model.weight.tolist() == [[3.0, 3.0]]


def test_numbers_saved_as_vectors_of_one_element_load() -> None:
    model = tidu.nn.Module()
    model.register_buffer("count", tidu.tensor(0))
    model.load_state_dict({"count": tidu.tensor([5])})
    assert int(model.count) == 5


def test_extra_state_is_saved_and_loaded() -> None:
    class Counting(tidu.nn.Module):
        count = 0

        def get_extra_state(self) -> Any:
            return {"count": self.count}

        def set_extra_state(self, state: Any) -> None:
            self.count = state["count"]

    outer = tidu.nn.Sequential(Counting())
    assert outer.state_dict() == {"0._extra_state": {"count": 0}}
    outer.load_state_dict({"0._extra_state": {"count": 5}})
    assert outer[0].count == 5
    with pytest.raises(RuntimeError, match=r'Missing key.*"0\._extra_state"'):
        outer.load_state_dict({})


def test_hooks_change_states_on_their_way() -> None:
    model = tidu.nn.Linear(1, 1)
    model.register_state_dict_post_hook(
        lambda module, state, prefix, metadata: state.__delitem__("bias")
    )
    assert list(model.state_dict()) == ["weight"]
    model = tidu.nn.Linear(1, 1)
    model.register_load_state_dict_pre_hook(
        lambda module, state, prefix, *rest: state.update({prefix + "bias": tidu.full((1,), 8.0)})
    )
    copied = copy.deepcopy(model)
    copied.load_state_dict({"weight": tidu.ones(1, 1)})
    assert copied.bias.tolist() == [8.0]
    copied.register_load_state_dict_post_hook(lambda module, keys: keys.missing_keys.clear())
    copied.load_state_dict(OrderedDict(bias=tidu.ones(1)))


def test_a_lazy_module_takes_its_shapes_from_a_state() -> None:
    lazy = tidu.nn.Sequential(tidu.nn.LazyLinear(3), tidu.nn.LazyLinear(2))
    known = tidu.nn.Sequential(tidu.nn.Linear(4, 3), tidu.nn.Linear(3, 2))
    lazy.load_state_dict(known.state_dict())
    x = tidu.ones(1, 4)
    assert lazy(x).tolist() == known(x).tolist()
    assert type(lazy[0]) is tidu.nn.Linear
    assert repr(lazy) == repr(known)


def test_a_lazy_module_takes_its_shapes_from_an_input() -> None:
    torch.manual_seed(0)
    tidu.manual_seed(0)
    theirs, ours = torch.nn.LazyLinear(3), tidu.nn.LazyLinear(3)
    assert repr(ours) == repr(theirs)
    with pytest.raises(ValueError, match="uninitialized parameter"):
        ours.weight + 1
    np.testing.assert_allclose(
        numbers(ours.half().float()(tidu.ones(2, 5))), numbers(theirs(torch.ones(2, 5))), rtol=1e-6
    )
    assert repr(ours) == repr(theirs)
    assert ours._forward_pre_hooks == {}
