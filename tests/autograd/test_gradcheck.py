"""gradcheck and gradgradcheck find what is wrong, and only that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tidu
from tidu.autograd import GradcheckError, gradcheck, gradgradcheck


def inputs(*shapes: tuple[int, ...]) -> tuple[tidu.Tensor, ...]:
    tidu.manual_seed(0)
    return tuple(tidu.rand(s, dtype=tidu.float64, requires_grad=True) for s in shapes)


def custom(
    forward: Callable[..., Any], backward: Callable[..., Any], materialize: bool = True
) -> Callable[..., Any]:
    class Custom(tidu.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *args: Any) -> Any:
            ctx.save_for_backward(*args)
            ctx.set_materialize_grads(materialize)
            return forward(*args)

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            return backward(*ctx.saved_tensors, *grads)

    return Custom.apply


@pytest.mark.parametrize("fast_mode", [False, True])
@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (lambda x: x**3, [(3,)]),
        (lambda x: x.sum(), [(2, 3)]),
        (lambda x, y: x @ y, [(2, 3), (3, 2)]),
        (lambda x, y: (x * y, (x + y).exp()), [(2, 1), (3,)]),
        (lambda x: x[0] * 2, [(2, 2)]),
        (lambda x: x.sum(), [()]),
    ],
)
def test_right_derivatives_pass(function: Any, shapes: Any, fast_mode: bool) -> None:
    assert gradcheck(function, inputs(*shapes), fast_mode=fast_mode)
    assert gradgradcheck(function, inputs(*shapes), fast_mode=fast_mode)


@pytest.mark.parametrize("fast_mode", [False, True])
def test_a_wrong_derivative_is_shown(fast_mode: bool) -> None:
    half = custom(lambda x: x**2, lambda x, g: g * x)
    with pytest.raises(GradcheckError) as caught:
        gradcheck(half, inputs((2,)), fast_mode=fast_mode)
    message = str(caught.value)
    assert message.startswith("Jacobian mismatch for output 0 with respect to input 0,\nnumerical:")
    assert "analytical:" in message and "dtype=torch.float64" in message and "element 0" in message
    assert "gradcheck(half" in message
    assert gradcheck(half, inputs((2,)), raise_exception=False) is False


def test_the_wrong_pair_is_named() -> None:
    function = custom(lambda x, y: (x, x * y), lambda x, y, g, h: (g + h * y, h * x * 1.01))
    with pytest.raises(GradcheckError, match="output 1 with respect to input 1"):
        gradcheck(function, inputs((2,), (2,)))


def test_a_wrong_second_derivative_is_found() -> None:
    function = custom(lambda x: x**2, lambda x, g: g * 2 * x.detach())
    assert gradcheck(function, inputs((2,)))
    with pytest.raises(GradcheckError, match="Jacobian mismatch"):
        gradgradcheck(function, inputs((2,)))


def test_cotangents_are_drawn_as_pytorch_draws_them() -> None:
    torch = pytest.importorskip("torch")
    (x,) = inputs((3,))
    tidu.manual_seed(5)
    assert gradgradcheck(lambda x: x**3, x)
    torch.manual_seed(5)
    y = torch.rand(3, dtype=torch.float64, requires_grad=True)
    torch.manual_seed(5)
    assert torch.autograd.gradgradcheck(lambda y: y**3, y)
    assert tidu.rand(4).tolist() == torch.rand(4).tolist()


def test_a_cut_history_is_found() -> None:
    with pytest.raises(GradcheckError, match="Numerical gradient for function expected to be zero"):
        gradcheck(lambda x: x.detach() * 2, inputs((2,)))
    assert gradcheck(lambda x: (x * 2).long(), inputs((2,)))


def test_a_derivative_that_changes_is_found() -> None:
    count = iter(range(1_000_000))
    function = custom(lambda x: x * 2, lambda x, g: g * (2 + 1e-9 * next(count)))
    with pytest.raises(GradcheckError, match="not reentrant"):
        gradcheck(function, inputs((2,)))
    assert gradcheck(function, inputs((2,)), nondet_tol=1e-3)


def test_a_derivative_that_is_not_linear_is_found() -> None:
    function = custom(lambda x: x * 2, lambda x, g: g * 2 + 1e-7)
    with pytest.raises(GradcheckError, match="backward not multiplied by grad_output"):
        gradcheck(function, inputs((2,)))


def test_undefined_cotangents_are_tried() -> None:
    def backward(x: Any, g: Any, h: Any) -> Any:
        return (0 if g is None else g * 2) + (x if h is None else h * 3)

    function = custom(lambda x: (x * 2, x * 3), backward, materialize=False)
    with pytest.raises(GradcheckError, match="output 0 with respect to input 0"):
        gradcheck(function, inputs((2,)))


def test_inputs_are_put_back() -> None:
    (x,) = inputs((2, 2))
    before = x.tolist()
    gradcheck(lambda x: x.exp(), x)
    assert x.tolist() == before and x.grad is None


def test_a_function_may_know_its_inputs_by_other_ways() -> None:
    (w,) = inputs((2,))
    assert gradcheck(lambda *_: w * w, (w,))


def test_unsuitable_inputs() -> None:
    with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
        gradcheck(lambda x: x, (tidu.ones(2),))
    with pytest.raises(RuntimeError, match="0th input has a dimension with stride 0"):
        gradcheck(
            lambda x: x, (tidu.ones(1, dtype=tidu.float64).expand(3).detach().requires_grad_(),)
        )
    with pytest.warns(UserWarning, match="not a double precision"):
        gradcheck(lambda x: x * 2, (tidu.ones(2, requires_grad=True),), eps=1e-2)
    with pytest.raises(NotImplementedError):
        gradcheck(lambda x: x, inputs((2,)), check_forward_ad=True)
