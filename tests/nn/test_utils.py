"""nn.utils beyond clipping and sequences:
parametrizations, weight and spectral norm, calls with other parameters.
"""

from __future__ import annotations

import copy
import importlib
import warnings
from typing import Any

import numpy as np
import pytest

import tidu
from tests.nn.oracle import assert_close, numbers, torch


class Symmetric:
    """Made a module class of either library by `_symmetric`."""

    def forward(self, x: Any) -> Any:
        return x.triu() + x.triu(1).transpose(-1, -2)


def _symmetric(library: Any) -> Any:
    return type("Symmetric", (Symmetric, library.nn.Module), {})()


class Double(tidu.nn.Module):
    def forward(self, x: Any) -> Any:
        return x * 2

    def right_inverse(self, x: Any) -> Any:
        return x / 2


def test_a_parametrized_weight_is_computed_and_trains_its_original() -> None:
    made = []
    for library in (torch, tidu):
        library.manual_seed(0)
        layer = library.nn.Linear(3, 3)
        library.nn.utils.parametrize.register_parametrization(layer, "weight", _symmetric(library))
        layer(library.ones(1, 3)).sum().backward()
        made.append(layer)
    theirs, ours = made
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert_close(ours.weight, theirs.weight)
    original = ours.parametrizations.weight.original
    assert_close(original.grad, theirs.parametrizations.weight.original.grad)
    parametrize = tidu.nn.utils.parametrize
    assert parametrize.is_parametrized(ours, "weight")
    assert not parametrize.is_parametrized(ours, "bias")
    with parametrize.cached():
        assert ours.weight is ours.weight
    assert ours.weight is not ours.weight
    shown = numbers(ours.weight)
    parametrize.remove_parametrizations(ours, "weight")
    assert type(ours) is tidu.nn.Linear
    assert ours.weight is original
    np.testing.assert_array_equal(numbers(ours.weight), shown)


def test_assignment_goes_through_the_inverse() -> None:
    parametrize = tidu.nn.utils.parametrize
    layer = tidu.nn.Linear(2, 2)
    before = numbers(layer.weight)
    for _ in range(2):
        parametrize.register_parametrization(layer, "weight", Double())
    np.testing.assert_allclose(numbers(layer.weight), before)
    layer.weight = tidu.ones(2, 2)
    assert layer.parametrizations.weight.original.tolist() == [[0.25, 0.25], [0.25, 0.25]]
    assert copy.deepcopy(layer).weight.tolist() == [[1.0, 1.0], [1.0, 1.0]]
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    assert layer.weight.tolist() == [[0.25, 0.25], [0.25, 0.25]]
    with pytest.raises(ValueError, match="does not have a parametrization on weight"):
        parametrize.remove_parametrizations(layer, "weight")
    with pytest.raises(ValueError, match="element with name 'nothing'"):
        parametrize.register_parametrization(layer, "nothing", Double())


NORMS = """
nn.utils.parametrizations.weight_norm(nn.Linear(3, 4))
nn.utils.parametrizations.weight_norm(nn.Linear(3, 4), dim=1)
nn.utils.parametrizations.weight_norm(nn.Linear(3, 4), dim=None)
nn.utils.parametrizations.spectral_norm(nn.Linear(3, 4))
nn.utils.parametrizations.spectral_norm(nn.Linear(3, 4), n_power_iterations=3)
nn.utils.weight_norm(nn.Linear(3, 4))
nn.utils.weight_norm(nn.Linear(3, 4), dim=None)
nn.utils.spectral_norm(nn.Linear(3, 4))
nn.utils.spectral_norm(nn.Linear(3, 4), n_power_iterations=2)
""".strip().split("\n")


@pytest.mark.parametrize("make", NORMS)
def test_norms_of_weights(make: str) -> None:
    made: list[Any] = []
    for library in (torch, tidu):
        library.manual_seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            layer = eval(make, {"nn": library.nn})
        outputs = []
        for _ in range(3):
            out = layer(library.ones(2, 3))
            out.sum().backward()
            outputs.append(out)
        made.append((layer, outputs, layer.eval()(library.ones(2, 3))))
    (theirs, wants, last_want), (ours, gots, last) = made
    assert repr(ours) == repr(theirs)
    for want, got in zip([*wants, last_want], [*gots, last], strict=True):
        assert_close(got, want, tolerance=1e-5)
    state = ours.state_dict()
    assert list(state) == list(theirs.state_dict())
    for name, want in theirs.state_dict().items():
        assert_close(state[name], want, name, tolerance=1e-5)
    for (name, want), got in zip(theirs.named_parameters(), ours.parameters(), strict=True):
        assert_close(got.grad, want.grad, name, tolerance=1e-5)


def test_norms_can_be_taken_off() -> None:
    utils = tidu.nn.utils
    with pytest.warns(FutureWarning, match="weight_norm` is deprecated"):
        layer = utils.weight_norm(tidu.nn.Linear(2, 2))
    shown = numbers(layer.weight)
    utils.remove_weight_norm(layer)
    np.testing.assert_allclose(numbers(layer.weight), shown, rtol=1e-6)
    with pytest.raises(ValueError, match="weight_norm of 'weight' not found"):
        utils.remove_weight_norm(layer)
    layer = utils.remove_spectral_norm(utils.spectral_norm(layer))
    assert [name for name, _ in layer.named_parameters()] == ["bias", "weight"]


PRUNING = """
prune.l1_unstructured(layer, 'weight', 0.3)
prune.l1_unstructured(layer, 'weight', 2, importance_scores=T.arange(12.0).reshape(3, 4))
prune.random_unstructured(layer, 'weight', 0.5)
prune.ln_structured(layer, 'weight', 0.3, n=2, dim=0)
prune.ln_structured(layer, 'weight', 1, n=1, dim=1)
prune.random_structured(layer, 'weight', 2, dim=1)
prune.identity(layer, 'weight')
prune.custom_from_mask(layer, 'weight', T.ones(3, 4).triu())
prune.global_unstructured([(layer, 'weight'), (layer, 'bias')], prune.L1Unstructured, amount=0.4)
""".strip().split("\n")


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("statement", PRUNING)
def test_pruning_chooses_what_pytorch_chooses(statement: str, again: bool) -> None:
    layers = []
    for library in (torch, tidu):
        library.manual_seed(0)
        layer = library.nn.Linear(4, 3)
        prune = importlib.import_module(f"{library.__name__}.nn.utils.prune")
        eval(statement, {"prune": prune, "layer": layer, "T": library})
        if again:
            prune.l1_unstructured(layer, "weight", 2)
        layer(library.ones(2, 4)).sum().backward()
        layers.append((layer, prune))
    (theirs, their_prune), (ours, our_prune) = layers
    assert_close(ours.weight_mask, theirs.weight_mask)
    assert_close(ours.weight, theirs.weight)
    assert_close(ours.weight_orig.grad, theirs.weight_orig.grad)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert our_prune.is_pruned(ours)
    assert_close(
        our_prune.remove(ours, "weight").weight, their_prune.remove(theirs, "weight").weight
    )
    with pytest.raises(ValueError, match="has to be pruned before"):
        our_prune.remove(ours, "weight")


@pytest.mark.parametrize("amount", [1.5, -1, 100, "a"])
def test_impossible_amounts_are_refused(amount: Any) -> None:
    errors = []
    for library in (torch, tidu):
        prune = importlib.import_module(f"{library.__name__}.nn.utils.prune")
        with pytest.raises((ValueError, TypeError)) as caught:
            prune.l1_unstructured(library.nn.Linear(4, 3), "weight", amount)
        errors.append((caught.type, str(caught.value)))
    assert errors[1] == errors[0]


def test_calls_with_other_parameters() -> None:
    call = tidu.nn.utils.stateless.functional_call
    layer = tidu.nn.Linear(2, 2)
    before = layer.weight
    weight = tidu.zeros(2, 2, requires_grad=True)
    out = call(layer, {"weight": weight}, tidu.ones(1, 2))
    assert out.tolist() == [layer.bias.tolist()]
    out.sum().backward()
    assert weight.grad is not None and before.grad is None
    assert layer.weight is before
    with pytest.raises(RuntimeError, match=r"Unexpected key\(s\): 'x'.\s+Missing key\(s\): 'bias'"):
        call(layer, {"weight": weight, "x": weight}, tidu.ones(1, 2), strict=True)
    assert layer.weight is before


def test_tied_parameters_are_replaced_together() -> None:
    model = tidu.nn.Sequential(tidu.nn.Linear(2, 2, bias=False), tidu.nn.Linear(2, 2, bias=False))
    model[1].weight = model[0].weight
    twice = tidu.eye(2) * 2
    call = tidu.nn.utils.stateless.functional_call
    assert call(model, {"0.weight": twice}, tidu.ones(1, 2)).tolist() == [[4.0, 4.0]]


def test_data_parallel_calls_the_module() -> None:
    wrapped = tidu.nn.DataParallel(tidu.nn.Linear(2, 2))
    assert list(wrapped.state_dict()) == ["module.weight", "module.bias"]
    x = tidu.ones(1, 2)
    assert wrapped(x).tolist() == wrapped.module(x).tolist()


def test_skipping_initialization_leaves_the_generator_alone() -> None:
    tidu.manual_seed(0)
    want = tidu.rand(1).tolist()
    tidu.manual_seed(0)
    assert tidu.nn.utils.skip_init(tidu.nn.Linear, 2, 3).weight.shape == (3, 2)
    assert tidu.rand(1).tolist() == want
