"""``torch.func``: transforms of functions, alone and inside of each other, as in PyTorch."""

from __future__ import annotations

import re
import warnings
from typing import Any

import pytest

import tidu

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")

EXPRESSIONS = [
    "grad(f)(x), grad_and_value(f)(x), f(x).requires_grad",
    "grad(lambda x: grad(T.sin)(x))(x[0]), grad(grad(grad(T.sin)))(x[0])",
    "grad(lambda a, b: (a * b).sum(), argnums=1)(x, x)",
    "grad(lambda a, b: (a * b).sum(), argnums=(0, -1))(x, 2 * x)",
    "grad(lambda x: (x.sum(), x * 2), has_aux=True)(x)",
    "grad_and_value(lambda x: (x.sum(), x * 2), has_aux=True)(x)",
    "grad(lambda d: (d['a'] * d['b'][0]).sum())({'a': x, 'b': [x]})",
    "grad(lambda x, y: x.sum() * 0 + y)(x, x[0]), grad(lambda x: T.tensor(3.0))(x)",
    "grad(f)(w), jacrev(T.sin)(w).requires_grad",
    "jacrev(lambda x: x**2)(x), jacfwd(lambda x: x**2)(x), hessian(f)(x)",
    "jacrev(lambda x: (x**2, {'s': x.sum()}))(x), jacrev(lambda x: x.sum())(x)",
    "jacrev(lambda a, b: a * b, argnums=(0, 1))(x, x), jacrev(jacrev(f))(x)",
    "jacrev(lambda x: (x * 2, x + 1), has_aux=True)(x)",
    "vjp(T.sin, x)[0], vjp(T.exp, x)[1](T.ones(3))",
    "vjp(lambda a, b: (a * b, a.sum()), x, x)[1]((T.ones(3), T.tensor(1.0)))",
    "vjp(lambda x: (x.sum(), x), x, has_aux=True)[2]",
    "jvp(T.sin, (x,), (T.ones(3),)), jvp(lambda a, b: a * b, (x, x), (T.ones(3), 2 * x))",
    "jvp(lambda x: jvp(T.sin, (x,), (T.ones(3),))[1], (x,), (T.ones(3),))",
    "jvp(lambda x: grad(f)(x), (x,), (x,))",
    "vmap(T.dot)(T.ones(3, 2), T.ones(3, 2)), vmap(lambda x: x.sum())(T.ones(3, 2))",
    "vmap(lambda x, y: x + y, in_dims=(0, None))(T.ones(3, 2), T.ones(2))",
    "vmap(lambda x: x * 2, in_dims=1, out_dims=1)(T.ones(3, 2))",
    "vmap(lambda x: (x, x.sum()), out_dims=(1, 0))(T.ones(3, 2))",
    "vmap(vmap(lambda a, b: a * b, in_dims=(0, None)), in_dims=(None, 0))(x, x)",
    "vmap(lambda d, y: d['a'] + y, in_dims=({'a': 0}, None))({'a': x}, 1)",
    "vmap(grad(lambda x: x**2))(x), T.vmap(T.neg)(x), vmap(jacrev(T.sin))(T.zeros(2, 3))",
    "functional_call(net, zeros, (x,)), functional_call(net, ({}, zeros), x)",
    "grad(lambda p: functional_call(net, p, (x,)).pow(2).sum())(params)",
    "vmap(grad(loss), in_dims=(None, 0))(params, T.arange(1.0, 7.0).view(2, 3))",
    "stack_module_state([net, net])[0]['bias'], stack_module_state([net])[1]",
]
MISTAKES = [
    "grad(lambda x: x)(x)",
    "grad(lambda x: 3.0)(x)",
    "grad(f, argnums=2)(x)",
    "grad(lambda x: x.sum(), has_aux=True)(x)",
    "vmap(lambda a, b: a + b)(T.ones(2), T.ones(3))",
    "vmap(lambda a: a, in_dims=None)(x)",
    "vmap(lambda a: a)(3)",
    "vmap(lambda a: a, in_dims=(0, 0))(x)",
    "vmap(lambda a: 3)(x)",
    "vmap(lambda a: a, randomness='some')(x)",
    "vmap(lambda a: a + T.rand(()))(x)",
    "vmap(T.nn.functional.dropout)(x)",
    "jvp(T.sin, x, x)",
    "jvp(T.sin, (x,), (x, x))",
    "vjp(T.sin, x)[1]((x, x))",
    "stack_module_state([])",
    "stack_module_state([net, T.nn.ReLU()])",
]


def outcome(library: Any, expression: str) -> tuple[str, str]:
    """The text of the result, or the type of the exception."""
    library.manual_seed(0)
    net = library.nn.Linear(3, 2)
    params = {name: p.detach().clone() for name, p in net.named_parameters()}
    names = {
        **vars(library.func),
        "T": library,
        "x": library.tensor([1.0, 2.0, 3.0]),
        "w": library.ones(3, requires_grad=True),
        "f": lambda x: (x**3).sum(),
        "net": net,
        "params": params,
        "zeros": {name: library.zeros_like(p) for name, p in params.items()},
        "loss": lambda p, x: library.func.functional_call(net, p, (x,)).pow(2).sum(),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            shown = repr(eval(expression, names))
        except Exception as error:
            return "raised", type(error).__name__
    # What is on the tape is the same in kind only: PyTorch's transforms have nodes of their own.
    return "gave", re.sub(r"grad_fn=<\w+>", "grad_fn", shown)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_transforms_give_what_pytorch_gives(expression: str) -> None:
    kind, expected = outcome(torch, expression)
    assert kind == "gave"
    assert outcome(tidu, expression) == (kind, expected)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_raise_as_in_pytorch(mistake: str) -> None:
    kind, expected = outcome(torch, mistake)
    assert kind == "raised"
    assert outcome(tidu, mistake) == (kind, expected)


def test_gradients_are_taken_inside_no_grad_too() -> None:
    with tidu.no_grad():
        found = tidu.func.grad(lambda x: (x**2).sum())(tidu.ones(2))
    assert found.tolist() == [2.0, 2.0] and not found.requires_grad


def test_vmap_draws_the_same_or_other_numbers() -> None:
    def noise(x: Any) -> Any:
        return x + tidu.rand(())

    same = tidu.vmap(noise, randomness="same")(tidu.zeros(3))
    assert len(set(same.tolist())) == 1
    different = tidu.vmap(noise, randomness="different")(tidu.zeros(3))
    assert len(set(different.tolist())) == 3


def test_vmap_that_may_not_draw_leaves_the_generator_alone() -> None:
    tidu.manual_seed(0)
    expected = tidu.rand(2)
    tidu.manual_seed(0)
    with pytest.raises(RuntimeError, match="randomness error mode"):
        tidu.vmap(lambda x: x + tidu.rand(()))(tidu.zeros(3))
    assert tidu.equal(tidu.rand(2), expected)


def test_results_of_an_outer_transform_reach_through_an_inner_one() -> None:
    def inner(scale: Any) -> Any:
        return tidu.func.grad(lambda x: (scale * x**3).sum())(tidu.tensor(2.0))

    assert tidu.func.grad(inner)(tidu.tensor(5.0)).item() == 12.0
