"""A derivative may be made of the result or of the inputs: what is differentiated with respect to a
result shows which. It is as in PyTorch, and so are derivatives of products with factors of zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tidu
from tests.ops import table
from tidu.ir.op import Op

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")

# Where PyTorch composes what is one operation here.
_COMPOSED = {"gru_layer", "lstm_layer", "rnn_layer", "recurrence", "cofactors"}
_OTHER_FORMULAS = {
    "det",  # PyTorch's divides by a matrix that may be singular
    "log_ndtr",  # PyTorch's loses all digits far from 0
    "qr",
    "scaled_dot_product_attention",
}
_COMPARED = [
    op
    for op in table.tested_ops()
    if op.differentiable
    and op.grad_name != "NotImplemented"
    and op.name not in _COMPOSED | _OTHER_FORMULAS
]


def _squares(module: Any, tensors: list[Any]) -> Any:
    """A sum in which every element counts differently."""
    total = module.zeros((), dtype=module.float64)
    for x in tensors:
        weights = (0.5 + np.arange(x.numel()) % 7 / 4).reshape(tuple(x.shape))
        total = total + (x * x * module.from_numpy(np.asarray(weights))).sum()
    return total


def _by_results(call: Callable[..., Any], module: Any, arguments: tuple[Any, ...]) -> list[Any]:
    """The derivatives of gradients with respect to the results, 0 where there are none."""
    inputs, leaves = table.tensors(module, arguments, requires_grad=True)
    outputs = [x for x in table.as_outputs(call(*inputs)) if x.requires_grad]
    if not outputs:
        return []
    total = _squares(module, outputs)
    first = module.autograd.grad(total, leaves, create_graph=True, allow_unused=True)
    again = [g for g in first if g is not None and g.requires_grad]
    second = _squares(module, again)
    found = (
        module.autograd.grad(second, outputs, allow_unused=True)
        if second.requires_grad
        else [None] * len(outputs)
    )
    return [0.0 if g is None else table.numbers(g) for g in found]


@pytest.mark.parametrize("op", _COMPARED, ids=lambda op: op.name)
def test_gradients_depend_on_the_result_as_in_pytorch(op: Op) -> None:
    for sample, dtype in table.cases(op, ("float64",)):
        arguments = table.realize_sample(op, sample, dtype)
        if not table.tensors(tidu, arguments, requires_grad=True)[1]:
            continue
        try:
            want = _by_results(table.theirs(op, torch), torch, arguments)
        except (RuntimeError, NotImplementedError) as error:
            # PyTorch has no such derivative, or cannot do it for empty tensors.
            assert "not implemented" in str(error) or "0 elements" in str(error)
            continue
        got = _by_results(op, tidu, arguments)
        for g, w in zip(got, want, strict=True):
            np.testing.assert_allclose(g, w, 1e-7, 1e-7, err_msg=f"{op.name} {sample}")


_INDEX = [[0, 1, 1, 2], [0, 1, 2, 2], [0, 0, 2, 2]]
PRODUCTS: dict[str, Callable[[Any, Any], Any]] = {
    "prod": lambda module, x: x.prod(),
    "prod of columns": lambda module, x: x.prod(0),
    "prod of rows": lambda module, x: x.prod(1, keepdim=True),
    "cumprod of columns": lambda module, x: x.cumprod(0),
    "cumprod of rows": lambda module, x: x.cumprod(1),
    "scatter_reduce": lambda module, x: (
        (x + 1).detach().scatter_reduce(0, module.tensor(_INDEX), x, "prod")
    ),
    "scatter_reduce into": lambda module, x: x.scatter_reduce(
        0, module.tensor(_INDEX), x.detach() * 2 + 1, "prod"
    ),
}
ZEROS = {
    "none": [],
    "one": [(1, 2)],
    "two in a row": [(1, 2), (1, 3)],
    "several": [(0, 0), (1, 2), (2, 1)],
}


@pytest.mark.parametrize("zeros", ZEROS)
@pytest.mark.parametrize("call", PRODUCTS)
def test_derivatives_of_products_with_zeros_are_those_of_pytorch_up_to_the_third(
    call: str, zeros: str
) -> None:
    numbers = np.random.default_rng(0).uniform(0.5, 2.0, (3, 4))
    for place in ZEROS[zeros]:
        numbers[place] = 0.0

    def derivatives(module: Any) -> list[Any]:
        x = module.tensor(numbers.tolist(), dtype=module.float64, requires_grad=True)
        y = PRODUCTS[call](module, x)
        (first,) = module.autograd.grad(y.sum() + _squares(module, [y]), x, create_graph=True)
        square = _squares(module, [first])
        by_result = module.autograd.grad(square, y, retain_graph=True, allow_unused=True)[0]
        (second,) = module.autograd.grad(square, x, create_graph=True)
        (third,) = module.autograd.grad(_squares(module, [second]), x)
        found = [first, by_result, second, third]
        return [0.0 if g is None else table.numbers(g) for g in found]

    for got, want in zip(derivatives(tidu), derivatives(torch), strict=True):
        np.testing.assert_allclose(got, want, 1e-9, 1e-9)
