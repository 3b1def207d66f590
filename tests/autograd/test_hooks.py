"""Hooks of tensors and nodes, retain_grad, and how gradients accumulate."""

from __future__ import annotations

from typing import Any

import pytest

from tests.autograd.agreement import Program, assert_agrees, programs


def tensor_hooks_in_order_of_registration(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    y.register_hook(lambda g: show("a", g))
    y.register_hook(lambda g: g * 2)
    y.register_hook(lambda g: show("b", g))
    y.sum().backward()
    show(x.grad)


def hook_on_a_leaf(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    x.register_hook(lambda g: g * 10)
    (x * 3).sum().backward()
    show(x.grad)
    (x * 3).sum().backward()
    show(x.grad)


def a_hook_sees_the_whole_gradient(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    y.register_hook(lambda g: show("y", g))
    x.register_hook(lambda g: show("x", g))
    (y * 3 + y * 4 + x).sum().backward()


def remove_hooks(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    h1 = x.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: g + 1)
    h1.remove()
    h1.remove()
    (x * 3).sum().backward()
    show(x.grad)
    with x.register_hook(lambda g: g * 100):
        (x * 3).sum().backward()
    (x * 3).sum().backward()
    show(x.grad)


def retain_grad_sees_what_hooks_made_whatever_the_order(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda g: g * 5)
    y.sum().backward()
    show(y.grad, x.grad)
    z = x * 2
    z.register_hook(lambda g: g * 5)
    z.retain_grad()
    z.retain_grad()
    z.sum().backward()
    show(z.grad, x.grad)


def retain_grad_accumulates(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    y.retain_grad()
    y.sum().backward(retain_graph=True)
    y.sum().backward(retain_graph=True)
    show(y.grad, y.retains_grad, x.retains_grad)
    x.retain_grad()
    show(x.retains_grad)
    fails(lambda: torch.ones(2).retain_grad())


def retain_grad_of_a_leaf_has_no_effect(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    x.retain_grad()
    (x * 2).sum().backward()
    show(x.grad)


def hook_errors(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    fails(lambda: torch.ones(2).register_hook(lambda g: g))
    y = x * 2
    y.register_hook(lambda g: torch.ones(3))
    fails(lambda: y.sum().backward())
    show(x.grad, torch.is_grad_enabled())
    y = x * 2
    y.register_hook(lambda g: 3)
    fails(lambda: y.sum().backward())
    y = x * 2
    y.register_hook(lambda g: g.double())
    fails(lambda: y.sum().backward())


def hook_raising(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2

    def bad(g):
        raise KeyError("mine")

    y.register_hook(bad)
    fails(lambda: y.sum().backward())
    show(torch.is_grad_enabled(), x.grad)
    (x * 3).sum().backward()
    show(x.grad)


def grad_mode_in_hooks(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    y.register_hook(lambda g: show(torch.is_grad_enabled(), g.requires_grad))
    y.sum().backward(retain_graph=True)
    y.sum().backward(create_graph=True)
    show(torch.is_grad_enabled())


def node_hooks(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    y.grad_fn.register_hook(lambda gi, go: show("post", gi, go))
    y.grad_fn.register_prehook(lambda go: show("pre", go))
    y.register_hook(lambda g: show("tensor", g))
    y.retain_grad()
    y.sum().backward()
    show(x.grad)


def node_hooks_replace(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    w = torch.tensor([3.0, 4.0], requires_grad=True)
    y = x * w
    y.grad_fn.register_hook(lambda gi, go: (gi[0] * 2, gi[1] * 3))
    y.grad_fn.register_prehook(lambda go: (go[0] * 10,))
    y.sum().backward()
    show(x.grad, w.grad)


def node_hooks_errors(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    w = torch.tensor([3.0, 4.0], requires_grad=True)
    y = x * w
    y.grad_fn.register_hook(lambda gi, go: (gi[0] * 2,))
    fails(lambda: y.sum().backward())
    y = x * w
    y.grad_fn.register_prehook(lambda go: (go[0], go[0]))
    fails(lambda: y.sum().backward())
    y = x * w
    y.grad_fn.register_hook(lambda gi, go: (None, gi[1]))
    y.sum().backward()
    show(x.grad, w.grad)


def node_hook_on_the_last_node_sums(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([[1.0, 2.0]], requires_grad=True)
    w = torch.tensor([[3.0], [4.0]], requires_grad=True)
    y = x * w
    y.grad_fn.register_hook(
        lambda gi, go: show("post", [tuple(g.shape) for g in gi], [tuple(g.shape) for g in go])
    )
    y.sum().backward()


def accumulator_hooks(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    a = x.view_as(x).grad_fn.next_functions[0][0]
    a.register_hook(lambda gi, go: show("acc", gi, go, x.grad))
    a.register_prehook(lambda go: show("pre", go, x.grad))
    x.register_post_accumulate_grad_hook(lambda t: show("post", t.grad, t is x))
    x.register_hook(lambda g: show("hook", g))
    (x * 3).sum().backward()


def post_accumulate(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)

    def step(p):
        with torch.no_grad():
            p.sub_(p.grad * 0.1)
        p.grad = None

    h = x.register_post_accumulate_grad_hook(step)
    (x * x).sum().backward()
    show(x, x.grad)
    h.remove()
    (x * x).sum().backward()
    show(x, x.grad)
    y = x * 2
    fails(lambda: y.register_post_accumulate_grad_hook(step))
    fails(lambda: torch.ones(1).register_post_accumulate_grad_hook(step))


def gradient_identity(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    (x * 3).sum().backward()
    g = x.grad
    (x * 3).sum().backward()
    show(g, g is x.grad, g.requires_grad)
    x.grad = None
    (x * 3).sum().backward()
    show(g, x.grad)
    x.grad.zero_()
    show(x.grad)
    (x * 5).sum().backward()
    show(x.grad)


def gradient_given_as_tensor_is_not_aliased(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    g = torch.ones(2)
    x.backward(g)
    x.backward(g)
    show(g, x.grad)
    x.grad = g
    (x * 3).sum().backward()
    show(g, x.grad, x.grad is g)


def same_gradient_reaches_two_leaves(torch: Any, show: Any, fails: Any) -> None:
    a = torch.tensor([1.0, 2.0], requires_grad=True)
    b = torch.tensor([1.0, 2.0], requires_grad=True)
    (a + b).sum().backward()
    a.grad.mul_(5)
    show(a.grad, b.grad)
    a.grad = b.grad = None
    (a + b).sum().backward(create_graph=True)
    a.grad.detach().mul_(5)
    show(a.grad, b.grad)


def create_graph_grads(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    (x**3).sum().backward(create_graph=True)
    g = x.grad
    show(g)
    x.grad = None
    g.sum().backward()
    show(x.grad)
    (x**3).sum().backward(create_graph=True)
    show(x.grad)


def create_graph_accumulation_into_existing(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    (x**2).sum().backward()
    g = x.grad
    (x**2).sum().backward(create_graph=True)
    show(x.grad, x.grad is g, g)


def backward_with_inputs(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * w
    z = y * 2
    z.sum().backward(inputs=[x], retain_graph=True)
    show(x.grad, w.grad)
    z.sum().backward(inputs=[y, w], retain_graph=True)
    show(x.grad, w.grad, y.grad)
    z.sum().backward(inputs=w)
    show(x.grad, w.grad)


def backward_inputs_hooks(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * w
    y.register_hook(lambda g: show("y", g))
    x.register_hook(lambda g: show("x", g))
    w.register_hook(lambda g: show("w", g))
    y.sum().backward(inputs=[x])
    show(x.grad, w.grad)


def hooks_of_several_outputs(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([[1.0, 5.0], [4.0, 3.0]], requires_grad=True)
    v, i = x.max(1)
    v.register_hook(lambda g: show("v", g))
    show(v, i)
    v.sum().backward()
    show(x.grad)


def in_place_edit_of_the_gradient_in_a_hook(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([4.0, 1.0, 3.0], requires_grad=True)
    y = x * 2

    def h(g):
        g.mul_(10)

    y.register_hook(h)
    y.backward(torch.ones(3))
    show(x.grad)


def hook_and_views(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([4.0, 1.0, 3.0], requires_grad=True)
    y = x * 2
    v = y[1:]
    v.register_hook(lambda g: show("v", g))
    y.register_hook(lambda g: show("y", g))
    (v.sum() + y.sum()).backward()


def grad_setter(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([4.0, 1.0, 3.0], requires_grad=True)

    def set(g):
        x.grad = g

    fails(lambda: set(torch.ones(2)))
    fails(lambda: set(torch.ones(3, dtype=torch.float64)))
    fails(lambda: set(3))
    fails(lambda: set(x))
    set(torch.ones(3))
    set(None)
    del x.grad
    show(x.grad)


def grad_of_non_leaf(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([4.0, 1.0, 3.0], requires_grad=True)
    y = x * 2
    show(y.grad)
    y.grad = torch.ones(3)
    show(y.grad)
    y.sum().backward()
    show(y.grad, x.grad)


def zero_dim(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor(3.0, requires_grad=True)
    (x * x).backward()
    show(x.grad)
    (x * x).reshape(1).backward()
    (x * x).reshape(1, 1).backward()
    show(x.grad)


def node_identity(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor(3.0, requires_grad=True)
    y = x * 2
    show(y.grad_fn is y.grad_fn)
    z = y + 1
    show(z.grad_fn.next_functions[0][0] is y.grad_fn, z.grad_fn.next_functions[0][1])
    a = (x * 1).grad_fn.next_functions[0][0]
    b = (x * 2).grad_fn.next_functions[0][0]
    show(a is b, a.variable is x)
    y.grad_fn.metadata["k"] = 3
    show(y.grad_fn.metadata, y.grad_fn.name())
    show((x * x).grad_fn._saved_self is x, (x * x).grad_fn._saved_other)
    show(x.exp().grad_fn._saved_result)
    show((x**2).grad_fn._saved_exponent, (x**2).grad_fn._saved_self)


@pytest.mark.parametrize("program", programs(globals()), ids=lambda program: program.__name__)
def test_agrees(program: Program) -> None:
    assert_agrees(program)
