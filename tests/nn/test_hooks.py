"""Hooks of modules see and replace what PyTorch's see and replace, in the same order."""

from __future__ import annotations

from typing import Any

import pytest

import tidu
from tests.nn.oracle import numbers, torch


def _net(library: Any) -> Any:
    class Net(library.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.linear = library.nn.Linear(2, 2).double()
            library.nn.init.constant_(self.linear.weight, 0.5)

        def forward(self, x: Any, scale: float = 1.0) -> Any:
            return self.linear(x) * scale

    return Net()


def _shapes(values: Any) -> list[Any]:
    return [None if v is None else tuple(v.shape) for v in values]


def _forward_log(library: Any) -> tuple[list[Any], float]:
    net, log = _net(library), []
    library.nn.init.constant_(net.linear.bias, 0.0)

    def double_input(module: Any, args: Any, kwargs: Any) -> Any:
        log.append(("first", sorted(kwargs)))
        return (args[0] * 2,), {**kwargs, "scale": 3.0}

    net.register_forward_pre_hook(lambda module, args: log.append(("pre", len(args))))
    net.register_forward_pre_hook(double_input, with_kwargs=True, prepend=True)
    net.register_forward_hook(lambda module, args, out: out + 1)
    net.register_forward_hook(
        lambda module, args, kwargs, out: log.append(("post", kwargs["scale"])), with_kwargs=True
    )
    with net.register_forward_hook(lambda module, args, out: log.append(("gone", len(args)))):
        net(library.ones(1, 2).double())
    return log, net(library.ones(1, 2).double()).detach().sum().item()


def test_forward_hooks() -> None:
    assert _forward_log(tidu) == _forward_log(torch)


def _backward_log(library: Any, input_needs_gradient: bool) -> tuple[list[Any], Any]:
    net, log = _net(library), []
    net.register_full_backward_pre_hook(lambda module, out: log.append(("pre", _shapes(out))))
    net.register_full_backward_pre_hook(lambda module, out: (out[0] * 2,))

    def scale(module: Any, grad_in: Any, grad_out: Any) -> Any:
        log.append((_shapes(grad_in), _shapes(grad_out), float(grad_out[0].sum())))
        return None if grad_in[0] is None else (grad_in[0] * 10, None)

    net.register_full_backward_hook(scale)
    x = library.ones(3, 2).double().requires_grad_(input_needs_gradient)
    out = net(x, 2.0)
    assert type(out.grad_fn).__name__ == "BackwardHookFunctionBackward"
    if input_needs_gradient:
        out.sum().backward()
    else:
        with pytest.warns(UserWarning, match="no inputs require gradients") as seen:
            out.sum().backward()
        assert seen[0].filename == __file__
    return log, (
        None if x.grad is None else numbers(x.grad).tolist(),
        numbers(net.linear.weight.grad).tolist(),
    )


@pytest.mark.parametrize("input_needs_gradient", [True, False])
def test_full_backward_hooks(input_needs_gradient: bool) -> None:
    assert _backward_log(tidu, input_needs_gradient) == _backward_log(torch, input_needs_gradient)


def test_backward_hooks_see_gradients_of_gradients() -> None:
    seen = []
    net = _net(tidu)
    net.register_full_backward_hook(lambda module, grad_in, grad_out: seen.append(grad_out[0]))
    x = tidu.ones(1, 2).double().requires_grad_()
    (gradient,) = tidu.autograd.grad((net(x) ** 2).sum(), x, create_graph=True)
    assert seen[0].requires_grad
    gradient.sum().backward()
    assert x.grad is not None


def test_several_outputs_and_arguments_that_are_no_tensors() -> None:
    class Two(tidu.nn.Module):
        def forward(self, x: Any, number: int, y: Any) -> Any:
            return x * number, None, y + x

    seen: list[Any] = []
    two = Two()
    two.register_full_backward_hook(
        lambda module, grad_in, grad_out: seen.append((_shapes(grad_in), _shapes(grad_out)))
    )
    x, y = tidu.ones(2, requires_grad=True), tidu.ones(2)
    first, nothing, last = two(x, 3, y)
    assert nothing is None
    (first.sum() + last.sum()).backward()
    assert seen == [([(2,), None, (2,)], [(2,), None, (2,)])]
    assert x.grad is not None and x.grad.tolist() == [4.0, 4.0]


def test_always_called_hooks_run_where_forward_raises() -> None:
    seen: list[Any] = []
    net = _net(tidu)
    net.register_forward_hook(lambda module, args, out: seen.append(out), always_call=True)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        net(tidu.ones(1, 7).double())
    assert seen == [None]


def test_hooks_for_all_modules() -> None:
    seen: list[str] = []
    handle = tidu.nn.hooks.register_module_forward_hook(
        lambda module, args, out: seen.append(type(module).__name__)
    )
    with handle:
        _net(tidu)(tidu.ones(1, 2).double())
    _net(tidu)(tidu.ones(1, 2).double())
    assert seen == ["Linear", "Net"]
