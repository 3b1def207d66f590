"""Both ways in which PyTorch's products are added up, whichever the processor here asks for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tidu
from tests.compiler.tiers import tier
from tidu.ir import product_order

# Rows, inputs and outputs of a linear layer: plans of one order do not serve the other.
LAYERS = {False: [(33, 64, 10), (29, 96, 7), (40, 500, 21)],
          True: [(35, 64, 10), (27, 96, 7), (36, 500, 21)]}  # fmt: skip
CASES = [(by_intel, layer) for by_intel, layers in LAYERS.items() for layer in layers]


def _normal(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _layer(rows: int, inputs: int, outputs: int) -> list[Any]:
    """A linear layer without a bias: what it gives, and the gradients of input and weight."""
    leaves = [
        tidu.from_numpy(x).requires_grad_()
        for x in (_normal(rows, inputs), _normal(outputs, inputs, seed=1))
    ]
    out = tidu.nn.functional.linear(*leaves)
    out.backward(tidu.from_numpy(_normal(rows, outputs, seed=2)))
    return [out.detach().numpy(), *(x.grad.numpy() for x in leaves)]


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("by_intel", [False, True])
@pytest.mark.parametrize("kind, inputs", [("f4", 32), ("f4", 400), ("f8", 24)])
def test_many_small_products_with_one_operand_have_the_bits_of_each_alone(
    kind: str, inputs: int, by_intel: bool, transposed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their right operand is laid out once, by rows or in strips."""
    monkeypatch.setattr(product_order, "_BY_INTEL", by_intel)
    shape = (128, inputs) if transposed else (inputs, 128)
    w = tidu.from_numpy(_normal(*shape, seed=3).astype(kind))
    rows = [tidu.from_numpy(_normal(48, inputs, seed=i).astype(kind)) for i in range(8)]

    def product(x: Any) -> Any:
        return x @ (w.T if transposed else w)

    with tier(1):
        products = list(map(product, rows))  # in one region
        together = [y.numpy() for y in products]
        alone = [product(x).numpy() for x in rows]
    with tier(0):
        by_numpy = [product(x).numpy() for x in rows]
    for found, one, expected in zip(together, alone, by_numpy, strict=True):
        np.testing.assert_array_equal(found, one)
        np.testing.assert_allclose(found, expected, rtol=0, atol=3e-4 if kind == "f4" else 1e-12)


def _chains(a: Any, b: Any, longest: int) -> Any:
    total = None
    for start in range(0, a.shape[1], longest):
        chain = np.zeros((len(a), b.shape[1]), np.float32)
        for i in range(start, min(start + longest, a.shape[1])):
            exact = a[:, None, i].astype(np.float64) * b[None, i]
            chain = (chain + exact).astype(np.float32)
        total = chain if total is None else total + chain
    return total


@pytest.mark.parametrize(("by_intel", "layer"), CASES)
def test_both_tiers_add_in_the_same_order(
    by_intel: bool, layer: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(product_order, "_BY_INTEL", by_intel)
    found = []
    for number in (0, 1):
        with tier(number):
            found.append(_layer(*layer))
    for ours, others in zip(*found, strict=True):
        np.testing.assert_array_equal(ours, others)


@pytest.mark.parametrize("layer", LAYERS[True])
def test_as_on_processors_of_intel_every_product_is_made_of_chains(
    layer: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(product_order, "_BY_INTEL", True)
    rows, inputs, outputs = layer
    x, weight, g = (
        _normal(rows, inputs),
        _normal(outputs, inputs, seed=1),
        _normal(rows, outputs, seed=2),
    )
    with tier(1):
        found = _layer(*layer)
    wanted = [_chains(x, weight.T, 250), _chains(g, weight, 250), _chains(g.T, x, 250)]
    for ours, chained in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(ours, chained)
