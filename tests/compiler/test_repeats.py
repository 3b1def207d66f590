"""Large results that are needed much later are computed again: when that is, what it saves, and
that the numbers stay what they are.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tidu
from tests.compiler.test_memory_order import kernels, numbers
from tests.compiler.tiers import assert_same_in_both_tiers
from tests.golden.programs import graphs
from tidu import Tensor
from tidu.backends.null import VECTOR_BYTES
from tidu.compiler import costs, loops, partial, repeats
from tidu.compiler.pipeline import forms
from tidu.compiler.program import Plan
from tidu.nn import functional


def deep(width: int) -> Callable[[], list[Tensor]]:
    """The gradients of some layers, of which each needs what it has computed before."""
    x = numbers(64, width)
    weights = [numbers(width, width, seed=seed) / width**0.5 for seed in range(8)]

    def run() -> list[Tensor]:
        own = [weight.detach().requires_grad_() for weight in weights]
        made = x
        for weight in own:
            made = functional.gelu(made @ weight)
        return list(tidu.autograd.grad(made.sum(), own))

    return run


def count_as_large(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Have results of so many bytes count, and three of them be far."""
    for name, value in {"_LARGE": size, "_FAR": 3 * size, "_NEAR": size}.items():
        monkeypatch.setattr(repeats, name, value)


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """All results count as those of many elements, which are stored unless they are cheap."""
    monkeypatch.setattr(costs, "_MANY", 0)


def expressions(run: Callable[[], list[Tensor]]) -> int:
    return sum(len(kernel.roots) for kernel in kernels(run))


def arena(run: Callable[[], list[Tensor]]) -> int:
    (graph,) = graphs(lambda: run)
    plan: Plan = dict(forms(graph, VECTOR_BYTES))["plan"]
    return plan.arena


@pytest.mark.usefixtures("many")
def test_what_is_needed_much_later_is_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    run = deep(64)
    before = expressions(run)
    count_as_large(monkeypatch, 64 * 64 * 4)
    assert expressions(run) > before
    assert_same_in_both_tiers(run, 1e-4)


@pytest.mark.usefixtures("many")
def test_repeating_frees_memory_between(monkeypatch: pytest.MonkeyPatch) -> None:
    run = deep(128)
    before = arena(run)
    count_as_large(monkeypatch, 64 * 128 * 4)
    assert arena(run) < before


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("far", [1, 3])
def test_nothing_is_computed_again_where_it_was_computed_first(
    monkeypatch: pytest.MonkeyPatch, far: int
) -> None:
    size = 64 * 64 * 4
    count_as_large(monkeypatch, size)
    monkeypatch.setattr(repeats, "_FAR", far * size)
    for kernel in kernels(deep(64)):
        whole = [root for root in kernel.roots if root.reduction is None]
        assert len({root.expression.number for root in whole}) == len(whole)


@pytest.mark.usefixtures("many")
def test_a_part_counts_for_what_it_is_and_not_for_the_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, weight = numbers(64, 64), numbers(64, 64, seed=1)
    others = [numbers(8, 64, seed=number) for number in range(8)]

    def run() -> list[Tensor]:
        made = functional.gelu(x)
        results = [made @ weight, tidu.cat([other.exp() for other in others])]
        return [*results, made.t() @ weight]

    before = expressions(run)
    count_as_large(monkeypatch, 64 * 64 * 4)
    assert expressions(run) == before


@pytest.mark.usefixtures("many")
def test_parameters_are_read_as_they_were_before_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    count_as_large(monkeypatch, 64 * 64 * 4)
    x = numbers(64, 64)

    def run() -> list[Tensor]:
        weights = [(numbers(64, 64, seed=i) / 8).requires_grad_() for i in range(6)]
        optimizer = tidu.optim.SGD(weights, lr=0.1, momentum=0.9)
        for _ in range(3):
            optimizer.zero_grad()
            made = x
            for weight in weights:
                made = functional.gelu(made @ tidu.tanh(weight))
            made.square().mean().backward()
            optimizer.step()
        return weights

    assert_same_in_both_tiers(run, 1e-4)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_layers_have_the_same_gradients_in_both_tiers(data: st.DataObject) -> None:
    rows, width = (data.draw(st.sampled_from([16, 24, 32])) for _ in range(2))
    names = st.sampled_from(["linear", "gelu", "norm", "heads", "sum", "add", "drop", "sort"])
    layers = data.draw(st.lists(names, min_size=3, max_size=12))
    x = numbers(rows, width, dtype=tidu.float64)
    weights = [numbers(width, width, dtype=tidu.float64, seed=i) / width**0.5 for i in range(12)]

    def layer(name: str, made: Tensor, weight: Tensor) -> Tensor:
        if name == "linear":
            return functional.linear(made, weight, weight[0])
        if name == "gelu":
            return functional.gelu(made)
        if name == "norm":
            return functional.layer_norm(made, (width,), weight[0], weight[1])
        if name == "heads":
            heads = made.reshape(rows, 2, -1).transpose(0, 1)
            weighed = tidu.softmax(heads @ heads.transpose(1, 2), -1) @ heads
            return weighed.transpose(0, 1).reshape(rows, width)
        if name == "sum":
            return made - tidu.sigmoid(made).sum(0)
        if name == "drop":
            return functional.dropout(made, 0.3)
        return made + x if name == "add" else tidu.sort(made, 1)[0]

    def run() -> list[Tensor]:
        tidu.manual_seed(0)
        own = [weight.detach().requires_grad_() for weight in weights]
        made = x @ own[-1]
        for name, weight in zip(layers, own, strict=False):
            made = layer(name, made, weight)
        found = tidu.autograd.grad(made.square().mean(), own, allow_unused=True)
        return [g for g in found if g is not None]

    with pytest.MonkeyPatch.context() as monkeypatch:
        count_as_large(monkeypatch, data.draw(st.sampled_from([0, 1 << 10, 1 << 12])))
        for module, name in ((partial, "_LARGE"), (loops, "_MUCH_TO_ADD"), (costs, "_MANY")):
            monkeypatch.setattr(module, name, 0)
        monkeypatch.setattr(partial, "_FEWEST_ROWS", 1)
        assert_same_in_both_tiers(run, 1e-6)
