"""Checkpointing, saved-tensor hooks, gradient edges."""

from __future__ import annotations

from typing import Any

import pytest

from tests.autograd.agreement import Program, assert_agrees, programs


def values_and_gradients(torch: Any, show: Any, fails: Any) -> None:
    checkpoint = torch.utils.checkpoint.checkpoint
    w = torch.tensor([0.2, 0.3], requires_grad=True)
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    calls = []

    def f(t):
        calls.append(torch.is_grad_enabled())
        return (t * w).exp() * t

    for r in (True, False):
        calls.clear()
        w.grad = x.grad = None
        y = checkpoint(f, x, use_reentrant=r)
        show(y.detach(), calls)
        y.sum().backward()
        show(x.grad, w.grad, calls)
        y = checkpoint(f, x, use_reentrant=r).sum()
        y.backward()
        fails(lambda: y.backward())
        y = checkpoint(f, x, use_reentrant=r).sum()
        y.backward(retain_graph=True)
        y.backward()
        show(x.grad, w.grad)
        show(checkpoint(f, x.detach(), use_reentrant=r).requires_grad)
        with torch.no_grad():
            show(checkpoint(f, x, use_reentrant=r))
        fails(lambda: torch.autograd.grad(checkpoint(f, x, use_reentrant=r).sum(), (x, w)))
        a, b, c = checkpoint(lambda a, b: (a * b, a + 1, 5), x, 3.0, use_reentrant=r)
        show(a.detach(), b.detach(), c)


def keywords(torch: Any, show: Any, fails: Any) -> None:
    checkpoint = torch.utils.checkpoint.checkpoint
    x = torch.tensor([1.0, 2.0], requires_grad=True)

    def f(t, k=1):
        return t * k

    fails(lambda: checkpoint(f, x, k=3, use_reentrant=True))
    show(checkpoint(f, x, k=3, use_reentrant=False).detach())
    fails(lambda: checkpoint(f, x, foo=3, use_reentrant=False))
    fails(lambda: checkpoint(f, x, use_reentrant=True, debug=True))


def random_numbers(torch: Any, show: Any, fails: Any) -> None:
    checkpoint = torch.utils.checkpoint.checkpoint
    for r in (True, False):
        torch.manual_seed(0)
        w = torch.ones(8, requires_grad=True)
        x = torch.ones(8, requires_grad=True)
        z = checkpoint(lambda t: torch.bernoulli(torch.full((8,), 0.5)) * t * w, x, use_reentrant=r)
        show(torch.rand(2))
        z.sum().backward()
        show(z.detach(), w.grad, torch.rand(2))


def second_derivatives(torch: Any, show: Any, fails: Any) -> None:
    checkpoint = torch.utils.checkpoint.checkpoint
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    (g,) = torch.autograd.grad(
        checkpoint(lambda t: t**3, x, use_reentrant=False).sum(), x, create_graph=True
    )
    show(torch.autograd.grad(g.sum(), x))


def nested(torch: Any, show: Any, fails: Any) -> None:
    checkpoint = torch.utils.checkpoint.checkpoint
    w = torch.tensor([0.2, 0.3], requires_grad=True)
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    inner = lambda t: (t * w).sin()
    outer = lambda t: checkpoint(inner, t, use_reentrant=False).exp() * w
    y = checkpoint(outer, x, use_reentrant=False)
    y.sum().backward()
    show(y.detach(), x.grad, w.grad)


def different_the_second_time(torch: Any, show: Any, fails: Any) -> None:
    checkpoint = torch.utils.checkpoint.checkpoint
    w = torch.tensor([0.2, 0.3], requires_grad=True)
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    count = [0]

    def fewer(t):
        count[0] += 1
        return (t * w).exp().sin() if count[0] == 1 else t * w

    fails(lambda: checkpoint(fewer, x, use_reentrant=False).sum().backward())
    count[0] = 0

    def other(t):
        count[0] += 1
        return (t * w).exp() if count[0] == 1 else (t.repeat(2) * w.repeat(2)).exp()

    fails(lambda: checkpoint(other, x, use_reentrant=False).sum().backward())


def custom_functions_inside(torch: Any, show: Any, fails: Any) -> None:
    checkpoint = torch.utils.checkpoint.checkpoint

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            return 2 * g * ctx.saved_tensors[0]

    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = checkpoint(lambda t: Square.apply(t * 3).exp(), x * 0.1, use_reentrant=False)
    y.sum().backward()
    show(x.grad)


def sequential(torch: Any, show: Any, fails: Any) -> None:
    seq = torch.utils.checkpoint.checkpoint_sequential
    w = torch.tensor([0.2, 0.3], requires_grad=True)
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    steps = [lambda t: t * w, torch.sin, lambda t: t + w, torch.exp, lambda t: t * t]
    for r in (True, False):
        for n in (1, 2, 3, 5):
            w.grad = x.grad = None
            y = seq(steps, n, x, use_reentrant=r)
            y.sum().backward()
            show(y.detach(), x.grad, w.grad)


def contexts(torch: Any, show: Any, fails: Any) -> None:
    checkpoint = torch.utils.checkpoint.checkpoint
    import contextlib

    log = []

    @contextlib.contextmanager
    def note(name):
        log.append("in " + name)
        yield
        log.append("out " + name)

    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = checkpoint(
        lambda t: t * t, x, use_reentrant=False, context_fn=lambda: (note("a"), note("b"))
    )
    show(log)
    y.sum().backward()
    show(log[:3], x.grad)


def saved_tensor_hooks(torch: Any, show: Any, fails: Any) -> None:
    graph = torch.autograd.graph
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    w = torch.tensor([3.0, 4.0], requires_grad=True)
    log = []

    def pack(t):
        log.append(("pack", t.detach().tolist()))
        return t.detach().clone()

    def unpack(t):
        log.append(("unpack", t.tolist()))
        return t

    with graph.saved_tensors_hooks(pack, unpack):
        y = x * w
        z = y.exp()
    u = z * z
    show(sorted(log))
    u.sum().backward()
    show(sorted(log), x.grad, w.grad)
    with graph.saved_tensors_hooks(lambda t: t.detach().tolist(), lambda l: torch.tensor(l)):
        y = x * x
    y.sum().backward()
    show(x.grad)
    with graph.saved_tensors_hooks(lambda t: t, lambda l: 3):
        y = x * x
    fails(lambda: y.sum().backward())
    with graph.save_on_cpu():
        y = x * x
    y.sum().backward()
    show(x.grad)
    with graph.saved_tensors_hooks(lambda t: t.detach() * 0, lambda t: t):
        with graph.saved_tensors_hooks(lambda t: t.detach(), lambda t: t * 2):
            y = x * x
        z = x * x
    show(torch.autograd.grad(y.sum(), x), torch.autograd.grad(z.sum(), x))
    with graph.disable_saved_tensors_hooks("not here"):
        fails(lambda: graph.saved_tensors_hooks(pack, unpack).__enter__())


def graph_edges(torch: Any, show: Any, fails: Any) -> None:
    graph = torch.autograd.graph
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    z = (y * y).sum()
    e = graph.get_gradient_edge(y)
    show(e.node is y.grad_fn, e.output_nr)
    show(torch.autograd.grad(z, [e, x]))
    fails(lambda: graph.get_gradient_edge(torch.ones(1)))
    z = y * y
    torch.autograd.backward([graph.get_gradient_edge(z)], [torch.ones(2)])
    show(x.grad)
    show(isinstance(y.grad_fn, graph.Node))


def multi_hooks(torch: Any, show: Any, fails: Any) -> None:
    reg = torch.autograd.graph.register_multi_grad_hook
    a, b, c, d = (torch.tensor([float(i)], requires_grad=True) for i in range(1, 5))
    B = b * 2
    C = c * 3
    h = reg((a, B, C, d), lambda g: show("all", g))
    (a * B * C).sum().backward(retain_graph=True)
    C.sum().backward(retain_graph=True)
    h.remove()
    C.sum().backward(retain_graph=True)
    h = reg((a, B, d), lambda g: show("any", g), mode="any")
    (a * B).sum().backward(retain_graph=True)
    (a * B).sum().backward(retain_graph=True)
    fails(lambda: reg((a,), lambda g: g, mode="some"))


@pytest.mark.parametrize("program", programs(globals()), ids=lambda program: program.__name__)
def test_agrees(program: Program) -> None:
    assert_agrees(program)
