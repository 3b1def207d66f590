"""Norms, as functions and as layers, beside PyTorch's."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import tidu
from tests.nn.numeric import compare
from tests.nn.oracle import assert_close, assert_same_answer, both
from tidu.base.source import line_of
from tidu.base.state import state

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")

STATEMENTS = """
F.batch_norm(x, None, None, training=True)
F.batch_norm(x, None, None, w, b, True)
F.batch_norm(x, None, None, w, b, True, eps=0.3)
F.batch_norm(x, None, None, w, None, True)
F.batch_norm(x, m, v, w, b)
F.batch_norm(x, m, v)
F.batch_norm(x[:, :, 0], m, v, w, b, True)
F.batch_norm(x.unsqueeze(-1), m, v, w, b, True)
F.batch_norm(x.transpose(0, 1), None, None, None, None, True)
F.layer_norm(x, (4,))
F.layer_norm(x, (6, 4))
F.layer_norm(x, [4], q, None)
F.layer_norm(x, (4,), q, r, 0.1)
F.layer_norm(x, (5, 6, 4))
F.layer_norm(x.transpose(0, 2), (5,))
F.group_norm(x, 3)
F.group_norm(x, 2, w, b)
F.group_norm(x, 6, w, b, 0.1)
F.group_norm(x[:, :, 0], 2, w)
F.instance_norm(x)
F.instance_norm(x, weight=w, bias=b)
F.instance_norm(x, m, v, w, b, False)
F.instance_norm(x, eps=0.2)
F.rms_norm(x, (4,))
F.rms_norm(x, (6, 4))
F.rms_norm(x, (4,), q)
F.rms_norm(x, (4,), q, 0.1)
F.local_response_norm(x, 2)
F.local_response_norm(x, 3, 0.1, 0.5, 2.0)
F.local_response_norm(x, 1)
T.batch_norm(x, w, b, m, v, True, 0.1, 1e-5, False)
T.layer_norm(x, (4,), q, r)
T.group_norm(x, 2, w, b)
T.instance_norm(x, w, b, None, None, True, 0.1, 1e-5, False)
T.rms_norm(x, (4,), q)
T.native_batch_norm(x, w, b, m, v, True, 0.1, 1e-5)
T.native_batch_norm(x, w, b, m, v, False, 0.1, 1e-5)
T.native_layer_norm(x, (6, 4), None, None, 1e-5)
T.native_group_norm(x, w, b, 5, 6, 4, 2, 1e-5)[0]
""".strip().splitlines()


def _arrays() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    arrays = {
        name: rng.standard_normal(shape)
        for name, shape in (("x", (5, 6, 4)), ("w", 6), ("b", 6), ("q", 4), ("r", 4))
    }
    return {**arrays, "m": rng.standard_normal(6), "v": rng.random(6) + 0.5}


# Running statistics are no leaves of a graph.
DETACHED = {"m": "m.detach()", "v": "v.detach()"}


def _detached(statement: str) -> str:
    for name, text in DETACHED.items():
        statement = statement.replace(f" {name},", f" {text},").replace(f" {name})", f" {text})")
    return statement


@pytest.mark.parametrize("statement", STATEMENTS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_values_and_derivatives(statement: str, dtype: str) -> None:
    order = 2 if dtype == "float64" else 1
    compare(_detached(statement), _arrays(), dtype=dtype, order=order, names="rms" not in statement)


@pytest.mark.parametrize("statement", [s for s in STATEMENTS if "native" not in s])
@pytest.mark.parametrize("special", [np.nan, np.inf, 1e30, -1e-30])
def test_values_where_one_number_is_extreme(statement: str, special: float) -> None:
    arrays = _arrays()
    arrays["x"][1, 2, 3] = special
    compare(_detached(statement), arrays, order=0)


@pytest.mark.parametrize("statement", [s for s in STATEMENTS if "native" not in s])
def test_halves(statement: str) -> None:
    compare(_detached(statement), _arrays(), dtype="bfloat16", order=1, names=False)


def test_large_means_do_not_swallow_the_deviation() -> None:
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((64, 3, 5)) + 1000.0).astype(np.float32)
    want = torch.nn.functional.batch_norm(torch.tensor(x).double(), None, None, training=True)
    got = tidu.nn.functional.batch_norm(tidu.tensor(x), None, None, training=True)
    np.testing.assert_allclose(got.numpy(), want.numpy(), atol=2e-3)


MODULES = [
    ("nn.BatchNorm1d(3)", (6, 3)),
    ("nn.BatchNorm1d(3)", (6, 3, 4)),
    ("nn.BatchNorm1d(3, momentum=0.3, eps=0.1)", (6, 3)),
    ("nn.BatchNorm1d(3, momentum=None)", (6, 3)),
    ("nn.BatchNorm1d(3, affine=False)", (6, 3)),
    ("nn.BatchNorm1d(3, bias=False)", (6, 3)),
    ("nn.BatchNorm1d(3, track_running_stats=False)", (6, 3)),
    ("nn.BatchNorm2d(3)", (2, 3, 4, 5)),
    ("nn.BatchNorm3d(3)", (2, 3, 2, 4, 5)),
    ("nn.InstanceNorm1d(3)", (2, 3, 4)),
    ("nn.InstanceNorm1d(3)", (3, 4)),
    ("nn.InstanceNorm2d(3, affine=True, track_running_stats=True)", (2, 3, 4, 5)),
    ("nn.InstanceNorm2d(3, track_running_stats=True, momentum=0.3)", (2, 3, 4, 5)),
    ("nn.InstanceNorm3d(3, affine=True)", (2, 3, 2, 4, 5)),
    ("nn.LayerNorm(5)", (2, 3, 5)),
    ("nn.LayerNorm((3, 5), eps=0.1, bias=False)", (2, 3, 5)),
    ("nn.LayerNorm(5, elementwise_affine=False)", (2, 3, 5)),
    ("nn.GroupNorm(2, 4)", (2, 4, 5)),
    ("nn.GroupNorm(2, 4, affine=False)", (2, 4, 5)),
    ("nn.GroupNorm(4, 4, bias=False)", (2, 4, 5)),
    ("nn.RMSNorm(5)", (2, 3, 5)),
    ("nn.RMSNorm((3, 5), eps=0.1)", (2, 3, 5)),
    ("nn.LocalResponseNorm(2)", (2, 4, 5, 3)),
    ("nn.LazyBatchNorm1d()", (6, 3)),
    ("nn.LazyBatchNorm2d(affine=False)", (2, 3, 4, 5)),
    ("nn.LazyBatchNorm3d(track_running_stats=False)", (2, 3, 2, 4, 5)),
    ("nn.LazyInstanceNorm1d()", (2, 3, 4)),
    ("nn.LazyInstanceNorm2d(track_running_stats=True)", (2, 3, 4, 5)),
    ("nn.LazyInstanceNorm3d()", (2, 3, 2, 4, 5)),
]


@pytest.mark.parametrize(("make", "shape"), MODULES)
def test_layers_in_training_and_in_evaluation(make: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    if "Lazy" in make:
        modules: Any = tuple(eval(make, {"nn": library.nn}).double() for library in (torch, tidu))
    else:
        modules = both(make)
    for step in range(4):
        x = rng.standard_normal(shape) * 2 + 1
        inputs = (torch.tensor(x, requires_grad=True), tidu.tensor(x, requires_grad=True))
        want, got = (module(input) for module, input in zip(modules, inputs, strict=True))
        assert_close(got, want, f"{make}, step {step}")
        for result, input in ((want, inputs[0]), (got, inputs[1])):
            (result * result * input).sum().backward()
        assert_close(inputs[1].grad, inputs[0].grad, f"{make}, step {step}")
        states = [module.state_dict() for module in modules]
        assert list(states[0]) == list(states[1])
        for name in states[0]:
            assert_close(states[1][name], states[0][name], f"{make}, step {step}: {name}")
        for theirs, ours in zip(modules[0].parameters(), modules[1].parameters(), strict=True):
            assert_close(ours.grad, theirs.grad, f"{make}, step {step}")
        if step == 2:
            for module in modules:
                module.eval()
    assert repr(modules[0]) == repr(modules[1])


def test_running_statistics_take_no_part_in_the_graph() -> None:
    layer = tidu.nn.BatchNorm1d(2)
    layer(tidu.randn(4, 2, requires_grad=True)).sum().backward()
    assert not layer.running_mean.requires_grad
    assert layer.running_mean.grad_fn is None
    assert copy.deepcopy(layer).state_dict().keys() == layer.state_dict().keys()


@pytest.mark.parametrize("layer", [tidu.nn.BatchNorm1d(3), tidu.nn.LayerNorm(3)])
def test_all_that_a_layer_records_belongs_to_the_line_that_calls_it(layer: Any) -> None:
    x = tidu.randn(4, 3)
    tidu.realize()
    y = layer(x)
    z = y + 1.0
    recorded = state.own.pending.values
    assert len(recorded) > 4
    lines = [line_of(value.position)[1] for value in recorded]
    assert set(lines[:-1]) == {lines[-1] - 1}
    assert state.own.position is None
    del z


def test_a_state_of_the_first_version_has_no_count_of_batches() -> None:
    state = tidu.nn.BatchNorm1d(2).state_dict()
    plain = {name: x for name, x in state.items() if name != "num_batches_tracked"}
    layer = tidu.nn.BatchNorm1d(2)
    layer.load_state_dict(plain)
    assert layer.num_batches_tracked.item() == 0


ANSWERS = """
F.batch_norm(o(1, 3), T.zeros(3), o(3), training=True)
F.batch_norm(o(1, 3, 1), T.zeros(3), o(3), training=True)
F.batch_norm(o(4, 3), None, o(3))
F.batch_norm(o(4, 3), T.zeros(3), None)
F.batch_norm(o(4, 3), None, None)
F.batch_norm(o(4, 3), T.zeros(4), o(4))
F.batch_norm(o(4, 3), T.zeros(3), o(3), weight=o(4))
F.batch_norm(o(4, 3), T.zeros(3), o(3), bias=o(4))
F.batch_norm(o(4, 3), T.zeros(3), o(3), weight=o(3).double())
F.batch_norm(o(4, 3).double(), T.zeros(3), o(3), weight=o(3))
F.batch_norm(o(4, 3), T.zeros(3), o(3), eps=-1.)
F.batch_norm(o(4, 3).long(), T.zeros(3), o(3), training=True)
F.batch_norm(o(0, 3), T.zeros(3), o(3), training=True)
F.batch_norm(o(0, 3, 2), T.zeros(3), o(3))
F.layer_norm(o(2, 3), (4,))
F.layer_norm(o(2, 3), 3)
F.layer_norm(o(2, 3), (3,), o(4))
F.layer_norm(o(2, 3), (3,), None, o(4))
F.layer_norm(o(2, 3), ())
F.layer_norm(o(2, 3), (3,), o(3).double())
F.layer_norm(o(2, 3).bfloat16(), (3,), o(3))
F.layer_norm(o(2, 3).long(), (3,))
F.layer_norm(o(0, 3), (3,))
F.layer_norm(o(3, 0), (0,))
F.group_norm(o(2, 3), 2)
F.group_norm(o(1, 3), 3)
F.group_norm(o(1, 3), 1)
F.group_norm(o(2, 3), 3)
F.group_norm(o(2, 3, 4), 3, o(2))
F.group_norm(o(3), 3)
F.group_norm(o(0, 4, 3), 2)
F.instance_norm(o(2, 3, 1))
F.instance_norm(o(2, 3))
F.instance_norm(o(2, 3, 4), use_input_stats=False)
F.rms_norm(o(2, 3), (4,))
F.rms_norm(o(2, 3), (3,), o(4))
F.rms_norm(o(2, 3).long(), (3,))
F.rms_norm(o(2, 3), ())
F.rms_norm(T.zeros(2, 3), (3,))
F.local_response_norm(o(0, 3, 4), 2)
nn.BatchNorm1d(3)(o(1, 3))
nn.BatchNorm1d(3)(o(2, 3, 4, 5))
nn.BatchNorm2d(3)(o(2, 3, 4))
nn.BatchNorm3d(3)(o(2, 3, 4))
nn.BatchNorm2d(4)(o(2, 3, 4, 5))
nn.BatchNorm1d(3).eval()(o(1, 3))
nn.BatchNorm1d(3).state_dict()
nn.BatchNorm1d(3, affine=False, track_running_stats=False)
nn.BatchNorm1d(3, affine=False).weight
nn.BatchNorm2d(3, bias=False).state_dict()
nn.BatchNorm2d(3)._version
nn.BatchNorm1d(2).half().num_batches_tracked.dtype
nn.LazyBatchNorm2d()
nn.LazyBatchNorm2d().state_dict()
nn.LazyInstanceNorm1d(affine=False)
nn.InstanceNorm1d(3)(o(2, 3, 4, 5))
nn.InstanceNorm2d(3)(o(2, 3))
nn.InstanceNorm3d(3)(o(3, 4, 5))
nn.InstanceNorm2d(4)(o(2, 3, 4, 4))
nn.InstanceNorm2d(4, affine=True)(o(2, 3, 4, 4))
nn.InstanceNorm2d(4, affine=True)(o(3, 4, 4))
nn.InstanceNorm1d(3).load_state_dict(dict(running_mean=T.zeros(3), running_var=o(3)))
nn.InstanceNorm1d(3, True, track_running_stats=True).load_state_dict(dict(running_mean=o(3)))
nn.LayerNorm(3)(o(2, 4))
nn.LayerNorm([2, 3]).normalized_shape
nn.LayerNorm(3, bias=False)
nn.LayerNorm(3, bias=False).state_dict()
nn.GroupNorm(2, 3)
nn.GroupNorm(2, 4)(o(2, 3, 2))
nn.GroupNorm(2, 4, bias=False)
nn.RMSNorm(3)
nn.RMSNorm((3, 2), eps=1e-3, elementwise_affine=False)
nn.LocalResponseNorm(2)
T.native_layer_norm(o(2, 3).bfloat16(), (3,), None, None, 1e-5)[1].dtype
T.native_batch_norm(o(2, 3).bfloat16(), o(3), None, None, None, True, .1, 1e-5)[1].dtype
""".strip().splitlines()


@pytest.mark.parametrize("statement", ANSWERS)
def test_answers(statement: str) -> None:
    assert_same_answer(statement)
