"""Layers with a batch norm in them, and orthogonal weights, agree with PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tidu

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")

PAIRS: dict[str, Callable[[Any], tuple[Any, Any, Any]]] = {
    "conv": lambda nn: (nn.Conv2d(3, 4, 2), nn.BatchNorm2d(4), (2, 3, 5, 5)),
    "no bias": lambda nn: (nn.Conv1d(3, 4, 2, bias=False), nn.BatchNorm1d(4), (2, 3, 5)),
    "plain norm": lambda nn: (nn.Conv1d(3, 4, 2), nn.BatchNorm1d(4, affine=False), (2, 3, 5)),
    "transposed": lambda nn: (nn.ConvTranspose2d(3, 4, 2), nn.BatchNorm2d(4), (2, 3, 5, 5)),
    "linear": lambda nn: (nn.Linear(3, 4), nn.BatchNorm1d(4), (6, 3)),
    "linear, no bias": lambda nn: (nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4), (6, 3)),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_a_fused_layer_does_what_both_did(pair: str) -> None:
    layer, norm, shape = PAIRS[pair](tidu.nn)
    norm.running_mean.uniform_(-1, 1)
    norm.running_var.uniform_(0.5, 2)
    if norm.weight is not None:
        norm.weight.data.uniform_(-1, 1)
        norm.bias.data.uniform_(-1, 1)
    layer, norm, utils = layer.eval(), norm.eval(), tidu.nn.utils
    if isinstance(layer, tidu.nn.Linear):
        fused = utils.fuse_linear_bn_eval(layer, norm)
    else:
        fused = utils.fuse_conv_bn_eval(layer, norm, transpose=pair == "transposed")
    x = tidu.randn(*shape)
    np.testing.assert_allclose(
        fused(x).detach().numpy(), norm(layer(x)).detach().numpy(), rtol=1e-4, atol=1e-5
    )
    assert type(fused) is type(layer) and isinstance(fused.bias, tidu.nn.Parameter)


def test_only_layers_in_evaluation_are_fused() -> None:
    layer, norm = tidu.nn.Linear(3, 4), tidu.nn.BatchNorm1d(4)
    with pytest.raises(AssertionError, match="Fusion only for eval!"):
        tidu.nn.utils.fuse_linear_bn_eval(layer.eval(), norm)
    with pytest.raises(AssertionError, match="num_features=4"):
        tidu.nn.utils.fuse_linear_bn_eval(tidu.nn.Linear(3, 5).eval(), norm.eval())
    untracked = tidu.nn.BatchNorm1d(4, track_running_stats=False).eval()
    with pytest.raises(AssertionError, match="must not be None"):
        tidu.nn.utils.fuse_linear_bn_eval(layer, untracked)


ORTHOGONAL = [
    ((4, 4), {}),
    ((4, 4), {"orthogonal_map": "cayley"}),
    ((4, 4), {"orthogonal_map": "householder"}),
    ((5, 3), {}),
    ((3, 5), {}),
    ((5, 3), {"orthogonal_map": "matrix_exp"}),
    ((3, 5), {"orthogonal_map": "cayley"}),
    ((5, 3), {"use_trivialization": False}),
    ((3, 5), {"use_trivialization": False}),
    ((4, 4), {"orthogonal_map": "householder", "use_trivialization": False}),
    ((4, 4), {"orthogonal_map": "cayley", "use_trivialization": False}),
]


def trained(library: Any, shape: tuple[int, int], options: dict[str, Any]) -> list[Any]:
    """The weights at the start and after two steps, and the names of the state."""
    library.manual_seed(0)
    layer = library.nn.Linear(shape[1], shape[0]).double()
    library.nn.utils.parametrizations.orthogonal(layer, **options)
    optimizer = library.optim.SGD(layer.parameters(), lr=0.1)
    x = library.tensor(np.random.default_rng(0).normal(size=(6, shape[1])))
    weights = [layer.weight.detach().numpy()]
    for _ in range(2):
        optimizer.zero_grad()
        layer(x).pow(2).sum().backward()
        optimizer.step()
        weights.append(layer.weight.detach().numpy())
    return [*weights, sorted(layer.state_dict())]


@pytest.mark.parametrize(("shape", "options"), ORTHOGONAL)
def test_orthogonal_weights_train_as_in_pytorch(
    shape: tuple[int, int], options: dict[str, Any]
) -> None:
    expected, found = trained(torch, shape, options), trained(tidu, shape, options)
    for ours, theirs in zip(found[:-1], expected[:-1], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-9)
        product = ours @ ours.T if shape[0] <= shape[1] else ours.T @ ours
        np.testing.assert_allclose(product, np.eye(min(shape)), atol=1e-9)
    assert found[-1] == expected[-1]


def test_a_weight_that_is_assigned_is_made_orthogonal() -> None:
    layer = tidu.nn.utils.parametrizations.orthogonal(tidu.nn.Linear(3, 3))
    given, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    layer.weight = tidu.tensor(given.astype("float32"))
    np.testing.assert_allclose(layer.weight.detach().numpy(), given, atol=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        lambda nn: nn.utils.parametrizations.orthogonal(nn.Linear(2, 2), "bias"),
        lambda nn: nn.utils.parametrizations.orthogonal(nn.Linear(2, 2), "nothing"),
        lambda nn: nn.utils.parametrizations.orthogonal(nn.Linear(2, 2), orthogonal_map="qr"),
    ],
)
def test_what_cannot_be_orthogonal_is_refused(make: Any) -> None:
    kinds = []
    for library in (torch, tidu):
        with pytest.raises(ValueError) as error:
            make(library.nn)
        kinds.append(error.type)
    assert kinds[0] is kinds[1]
