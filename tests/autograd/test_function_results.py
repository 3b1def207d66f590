"""What custom functions return and save: several results, views, integers, edited arguments."""

from __future__ import annotations

from typing import Any

import pytest

from tests.autograd.agreement import Program, assert_agrees, programs


def one_off(torch: Any) -> Any:
    """What makes a custom function of a forward and a backward, which lets gradients through."""

    def function(forward, backward=lambda ctx, *g: g[0]):
        members = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
        return type("MyFn", (torch.autograd.Function,), members).apply

    return function


def several_results(torch: Any, show: Any, fails: Any) -> None:
    class Two(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.save_for_backward(x, y)
            return (x * y, x + y, 5, None, "s")

        @staticmethod
        def backward(ctx, *g):
            show(*g)
            x, y = ctx.saved_tensors
            return (g[0] * y + g[1], g[0] * x + g[1])

    x = torch.tensor([1.0, 2.0], requires_grad=True)
    w = torch.tensor([3.0, 4.0], requires_grad=True)
    a, b, c, d, e = Two.apply(x, w)
    show(a, b, c, d, e, a.grad_fn is b.grad_fn, a.output_nr, b.output_nr)
    a.sum().backward(retain_graph=True)
    show(x.grad, w.grad)
    (a + b).sum().backward()
    show(x.grad, w.grad)
    fails(lambda: a.sum().backward())
    fails(lambda: a.grad_fn.saved_tensors)


def hooks_on_results(torch: Any, show: Any, fails: Any) -> None:
    class Two(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return (x * 2, x * 3)

        @staticmethod
        def backward(ctx, g, h):
            return g * 2 + h * 3

    x = torch.tensor([1.0, 2.0], requires_grad=True)
    a, b = Two.apply(x)
    a.register_hook(lambda g: g * 10)
    b.retain_grad()
    a.grad_fn.register_hook(lambda gi, go: show(gi, go))
    (a + b).sum().backward()
    show(x.grad, b.grad)


def kinds_of_results(torch: Any, show: Any, fails: Any) -> None:
    fwd = one_off(torch)
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    d = torch.ones(2)
    show(fwd(lambda ctx, x: 3)(x), fwd(lambda ctx, x: None)(x))
    show(fwd(lambda ctx, x: (x * 2, 3, None, "s"))(x))
    show(fwd(lambda ctx, x: [x * 2, x * 3])(x))
    show(fwd(lambda ctx, x: (x * 2,))(x))
    y = fwd(lambda ctx, x: x)(x)
    show(y, y is x)
    y.sum().backward()
    show(x.grad)
    y = fwd(lambda ctx, x: x)(d)
    show(y, y is d)
    y.mul_(3)
    show(d)
    show(fwd(lambda ctx, x: (x * 2).long())(x))
    show(fwd(lambda ctx, x: (x * 2, (x * 2).argmax()))(x))


def views_as_results(torch: Any, show: Any, fails: Any) -> None:
    fwd = one_off(torch)
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    o = fwd(lambda ctx, x: x)(x * 1)
    fails(lambda: o.mul_(2))
    o = fwd(lambda ctx, x: x.view(2, 1))(x * 1)
    show(o, o._is_view())
    fails(lambda: o.mul_(2))
    z = x * 1
    o = fwd(lambda ctx, x: x.view(2, 1))(z)
    z.mul_(2)
    fails(lambda: o * 2)
    show(o.detach())
    z = x * 1
    o = fwd(lambda ctx, x: (x.view(2, 1), x[0]))(z)
    fails(lambda: o[0].mul_(2))
    o = fwd(lambda ctx, x: (x * 2).view(2, 1), lambda ctx, g: g.view(2))(x)
    show(torch.autograd.grad(o.sum(), x))


def not_differentiable_results(torch: Any, show: Any, fails: Any) -> None:
    fwd = one_off(torch)
    x = torch.tensor([1.0, 2.0], requires_grad=True)

    def fw(ctx, x):
        a = x * 2
        b = x * 3
        ctx.mark_non_differentiable(b)
        return (a, b)

    def bw(ctx, ga, gb):
        show(ga, gb)
        return ga

    a, b = fwd(fw, bw)(x)
    show(a, b)
    show(torch.autograd.grad(a.sum(), x))


def in_place_functions(torch: Any, show: Any, fails: Any) -> None:
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x = torch.tensor([1.0, 2.0], requires_grad=True)
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    z = x * 1
    o = Double.apply(z)
    show(o is z, z)
    show(torch.autograd.grad((z * z).sum(), x))
    z = x * 1
    v = z[0]
    o = Double.apply(v)
    show(o is v, z, v)
    show(torch.autograd.grad((z * z).sum(), x))
    z = torch.ones(2)
    show(Double.apply(z) is z, z)


def dirty_but_not_returned(torch: Any, show: Any, fails: Any) -> None:
    class Bad(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x * 1

        @staticmethod
        def backward(ctx, g):
            return g

    x = torch.tensor([1.0, 2.0], requires_grad=True)
    fails(lambda: Bad.apply(x * 1))


def saving(torch: Any, show: Any, fails: Any) -> None:
    fwd = one_off(torch)
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    fails(lambda: fwd(lambda ctx, x: ctx.save_for_backward(3) or x * 1)(x))

    def bw(ctx, g):
        show(ctx.saved_tensors, ctx.saved_tensors[1] is x)
        return g

    fwd(lambda ctx, x: ctx.save_for_backward(None, x, x * 2) or x * 1, bw)(x).sum().backward()

    def fw(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        show(ctx.saved_tensors)
        return y

    def bw(ctx, g):
        (y,) = ctx.saved_tensors
        show(y)
        return g * y

    o = fwd(fw, bw)(x)
    (g,) = torch.autograd.grad(o.sum(), x, create_graph=True)
    show(g)
    show(torch.autograd.grad(g.sum(), x))

    def fw(ctx, x):
        ctx.save_for_backward(x)
        ctx.save_for_backward(x, x)
        return x * 2

    o = fwd(fw, lambda ctx, g: show(len(ctx.saved_tensors)) or g)(x)
    o.sum().backward()


@pytest.mark.parametrize("program", programs(globals()), ids=lambda program: program.__name__)
def test_agrees(program: Program) -> None:
    assert_agrees(program)
