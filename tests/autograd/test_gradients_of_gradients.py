"""Which first gradients can be differentiated again: those that PyTorch says so of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tidu

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")

Call = Callable[[Any, Any, dict[str, Any]], Any]

# Of the library, its functional, and leaves: an image, a signal and rows, weights, classes.
CALLS: dict[str, Call] = {
    "avg_pool1d": lambda T, F, x: F.avg_pool1d(x["signal"], 2),
    "avg_pool2d": lambda T, F, x: F.avg_pool2d(x["image"], 2, 1, 1),
    "max_pool2d": lambda T, F, x: F.max_pool2d(x["image"], 2),
    "adaptive_avg_pool2d": lambda T, F, x: F.adaptive_avg_pool2d(x["image"], 2),
    "global average": lambda T, F, x: F.adaptive_avg_pool2d(x["image"], 1),
    "area": lambda T, F, x: F.interpolate(x["image"], size=(2, 2), mode="area"),
    "nearest": lambda T, F, x: F.interpolate(x["image"], scale_factor=2),
    "reflect": lambda T, F, x: F.pad(x["image"], (1, 1, 1, 1), "reflect"),
    "replicate": lambda T, F, x: F.pad(x["image"], (1, 1, 1, 1), "replicate"),
    "constant": lambda T, F, x: F.pad(x["image"], (1, 1, 1, 1)),
    "conv1d": lambda T, F, x: F.conv1d(x["signal"], x["weight1d"], x["bias"]),
    "conv2d": lambda T, F, x: F.conv2d(x["image"], x["weight2d"], x["bias"]),
    "conv2d of data": lambda T, F, x: F.conv2d(x["image"].detach(), x["weight2d"], x["bias"]),
    "conv_transpose2d": lambda T, F, x: F.conv_transpose2d(x["image"], x["weight2d"], x["bias"]),
    "linear": lambda T, F, x: F.linear(x["rows"], x["square"], x["row"]),
    "batch_norm": lambda T, F, x: F.batch_norm(
        x["rows"], None, None, x["row"], x["square"][0], True
    ),
    "layer_norm": lambda T, F, x: F.layer_norm(x["rows"], (4,), x["row"], x["square"][0]),
    "layer_norm alone": lambda T, F, x: F.layer_norm(x["rows"], (4,)),
    "prelu": lambda T, F, x: F.prelu(x["rows"], x["bias"][:1].detach()),
    "relu": lambda T, F, x: F.relu(x["rows"]),
    "leaky_relu": lambda T, F, x: F.leaky_relu(x["rows"]),
    "hardtanh": lambda T, F, x: F.hardtanh(x["rows"]),
    "grid_sample": lambda T, F, x: F.grid_sample(
        x["image"], x["square"][:2, :2].reshape(1, 1, 2, 2), mode="nearest", align_corners=False
    ),
    "nll_loss": lambda T, F, x: F.nll_loss(x["rows"], T.tensor([0, 3, 1])),
    "cross_entropy": lambda T, F, x: F.cross_entropy(x["rows"], T.tensor([0, 3, 1])),
    "multi_margin_loss": lambda T, F, x: F.multi_margin_loss(x["rows"], T.tensor([0, 3, 1])),
    "multilabel_margin_loss": lambda T, F, x: F.multilabel_margin_loss(
        x["rows"], T.tensor([[0, 1, -1, 0]] * 3)
    ),
    "ctc_loss": lambda T, F, x: F.ctc_loss(x["rows"][:, None], T.tensor([[1, 2]]), [3], [2]),
    "l1_loss": lambda T, F, x: F.l1_loss(x["rows"], T.zeros(3, 4)),
    "mse_loss": lambda T, F, x: F.mse_loss(x["rows"], T.zeros(3, 4)),
    "cdist": lambda T, F, x: T.cdist(x["rows"], x["square"], 1.0),
    "sum": lambda T, F, x: x["rows"].sum(0),
    "max": lambda T, F, x: x["rows"].max(1)[0],
    "gather": lambda T, F, x: x["rows"].gather(1, T.zeros(3, 1, dtype=T.int64)),
    "number of nonzero": lambda T, F, x: T.linalg.vector_norm(x["rows"], 0),
}


def _answer(library: Any, name: str) -> list[Any]:
    library.manual_seed(0)
    shapes = {
        "image": (1, 2, 4, 4), "signal": (2, 2, 5), "rows": (3, 4), "row": (4,), "square": (4, 4),
        "weight1d": (2, 2, 2), "weight2d": (2, 2, 2, 2), "bias": (2,),
    }  # fmt: skip
    leaves = {key: library.randn(shape).requires_grad_() for key, shape in shapes.items()}
    out = CALLS[name](library, library.nn.functional, leaves)
    gradients = library.autograd.grad(
        out.sum(), list(leaves.values()), create_graph=True, allow_unused=True
    )
    return [
        None if g is None else (g.requires_grad, g.grad_fn is None, tuple(g.shape))
        for g in gradients
    ]


@pytest.mark.parametrize("name", CALLS)
def test_a_gradient_requires_a_gradient_where_that_of_pytorch_does(name: str) -> None:
    assert _answer(tidu, name) == _answer(torch, name)


def test_the_derivative_of_a_gradient_that_is_constant_is_zero() -> None:
    for library in (torch, tidu):
        x = library.ones(1, 1, 2, 2, requires_grad=True)
        (slope,) = library.autograd.grad(
            library.nn.functional.avg_pool2d(x, 2).sum(), x, create_graph=True
        )
        (second,) = library.autograd.grad(slope.sum(), x)
        assert second.tolist() == [[[[0.0, 0.0], [0.0, 0.0]]]]
        assert type(slope.grad_fn).__name__ == "AvgPool2DBackwardBackward0"
