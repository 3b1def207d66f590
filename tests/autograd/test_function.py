"""Custom functions."""

from __future__ import annotations

from typing import Any

import pytest

import tidu
from tests.autograd.agreement import Program, assert_agrees, programs


def clamping_relu_with_a_masked_gradient(torch: Any, show: Any, fails: Any) -> None:
    class MyReLU(torch.autograd.Function):
        @staticmethod
        def forward(ctx, input):
            ctx.save_for_backward(input)
            return input.clamp(min=0)

        @staticmethod
        def backward(ctx, grad_output):
            (input,) = ctx.saved_tensors
            grad_input = grad_output.clone()
            grad_input[input < 0] = 0
            return grad_input

    x = torch.tensor([-1.0, 2.0, -3.0, 4.0], requires_grad=True)
    y = MyReLU.apply(x)
    show(y, repr(y).split("grad_fn=")[1], y.grad_fn.name())
    (y * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    show(x.grad)
    (g,) = torch.autograd.grad(MyReLU.apply(x * x).sum(), x, create_graph=True)
    show(torch.autograd.grad(g.sum(), x))


def context_attributes_and_non_tensor_arguments(torch: Any, show: Any, fails: Any) -> None:
    class Scale(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, k, mode="a"):
            show(ctx.needs_input_grad, torch.is_grad_enabled(), x.requires_grad)
            ctx.k = k
            ctx.shape = x.shape
            ctx.outputs = 3
            ctx.edges = "mine"
            ctx.number = 7
            ctx.position = 8
            return x * k

        @staticmethod
        def backward(ctx, g):
            show(
                ctx.k,
                tuple(ctx.shape),
                ctx.outputs,
                ctx.edges,
                ctx.number,
                ctx.position,
                ctx.needs_input_grad,
                torch.is_grad_enabled(),
                g,
            )
            return (g * ctx.k, None, None)

    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = Scale.apply(x, 3, "b")
    show(y, y.grad_fn.k, len(y.grad_fn.next_functions))
    y.sum().backward()
    show(x.grad)
    y.sum().backward()
    show(x.grad)


def wrong_gradients(torch: Any, show: Any, fails: Any) -> None:
    def make(bw, n=1):

        class A(torch.autograd.Function):
            @staticmethod
            def forward(ctx, *a):
                return a[0] * 2 if n == 1 else tuple(a[0] * i for i in range(n))

            backward = staticmethod(bw)

        return A

    x = torch.tensor([1.0, 2.0], requires_grad=True)

    def one(bw, nargs=1, n=1):
        x.grad = None
        o = make(bw, n).apply(x, *[3.0] * (nargs - 1))
        o = o if n == 1 else sum(t.sum() for t in o)
        o.sum().backward()
        return x.grad

    fails(lambda: one(lambda ctx, g: (g, g)))
    fails(lambda: one(lambda ctx, g: (g, None)))
    fails(lambda: one(lambda ctx, g: (g, None, g)))
    fails(lambda: one(lambda ctx, g: ()))
    fails(lambda: one(lambda ctx, g: None))
    fails(lambda: one(lambda ctx, g: 3.0))
    fails(lambda: one(lambda ctx, g: [g]))
    fails(lambda: one(lambda ctx, g: g, nargs=2))
    fails(lambda: one(lambda ctx, g: (g, g), nargs=2))
    fails(lambda: one(lambda ctx, g: (g, 3.0), nargs=2))
    fails(lambda: one(lambda ctx, g: torch.ones(3)))
    fails(lambda: one(lambda ctx, g: torch.ones(2, dtype=torch.float64)))
    fails(lambda: one(lambda ctx, g: torch.ones(3, 2)))
    fails(lambda: one(lambda ctx, g: torch.ones(1)))
    fails(lambda: one(lambda ctx, g: torch.ones(())))
    fails(lambda: one(lambda ctx, g: torch.ones(2, dtype=torch.int64)))
    fails(lambda: one(lambda ctx, g: (g, g, g), n=3))
    fails(lambda: one(lambda ctx, *g: g[0], n=3))
    fails(lambda: one(lambda ctx, g: g, n=2))


def materialized_gradients(torch: Any, show: Any, fails: Any) -> None:
    for on in (True, False):

        class F(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.set_materialize_grads(on)
                return (x * 2, x.sum())

            @staticmethod
            def backward(ctx, ga, gb):
                show(ga, gb)
                return ga

        x = torch.tensor([1.0, 2.0], requires_grad=True)
        a, _ = F.apply(x)
        show(torch.autograd.grad(a.sum(), x))


def missing_parts(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)

    class NoB(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

    fails(lambda: NoB.apply(x).sum().backward())

    class NoF(torch.autograd.Function):
        pass

    fails(lambda: NoF.apply(x))

    class Old(torch.autograd.Function):
        def forward(self, x):
            return x * 2

        def backward(self, g):
            return g

    fails(lambda: Old()(x))
    show(Old.apply(x))

    class Both(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def vjp(ctx, g):
            return g * 2

    Both.apply(x).sum().backward()
    show(x.grad)

    class TooMany(Both):
        @staticmethod
        def backward(ctx, g):
            return g * 2

    fails(lambda: TooMany.apply(x).sum().backward())


def setup_context(torch: Any, show: Any, fails: Any) -> None:
    class SC(torch.autograd.Function):
        @staticmethod
        def forward(x, k, extra=4):
            return x * k

        @staticmethod
        def setup_context(ctx, inputs, output):
            show(inputs, output, torch.is_grad_enabled(), ctx.needs_input_grad)
            ctx.k = inputs[1]
            ctx.save_for_backward(inputs[0], output)

        @staticmethod
        def backward(ctx, g):
            show([t.requires_grad for t in ctx.saved_tensors])
            return (g * ctx.k, None, None)

    x = torch.tensor([1.0, 2.0], requires_grad=True)
    SC.apply(x, 2).sum().backward()
    show(x.grad)
    show(SC.apply(x, k=3))


def once_differentiable(torch: Any, show: Any, fails: Any) -> None:
    once_differentiable = torch.autograd.function.once_differentiable

    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        @once_differentiable
        def backward(ctx, g):
            show(torch.is_grad_enabled())
            return g * 2 * ctx.saved_tensors[0]

    x = torch.tensor([1.0, 2.0], requires_grad=True)
    show(torch.autograd.grad(Once.apply(x).sum(), x))
    (g,) = torch.autograd.grad(Once.apply(x).sum(), x, create_graph=True)
    show(g)
    (g,) = torch.autograd.grad((Once.apply(x) ** 2).sum(), x, create_graph=True)
    show(g.detach(), g.requires_grad)
    fails(lambda: g.sum().backward())


def grad_modes(torch: Any, show: Any, fails: Any) -> None:
    class F(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, y, z):
            show(ctx.needs_input_grad)
            return x * y

        @staticmethod
        def backward(ctx, g):
            return (g, g, None)

    x = torch.tensor([1.0, 2.0], requires_grad=True)
    w = torch.ones(2)
    with torch.no_grad():
        show(F.apply(x, w, 3))
    show(F.apply(w, w, 3))
    F.apply(x, w, 3).sum().backward()
    show(x.grad, w.grad)


def an_exception_in_backward(torch: Any, show: Any, fails: Any) -> None:
    class Boom(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            raise ValueError("boom")

    x = torch.tensor([1.0, 2.0], requires_grad=True)
    fails(lambda: Boom.apply(x).sum().backward())
    show(torch.is_grad_enabled(), x.grad)
    (x * 2).sum().backward()
    show(x.grad)


def a_backward_pass_inside_backward(torch: Any, show: Any, fails: Any) -> None:
    class In(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            with torch.enable_grad():
                a = torch.ones(2, requires_grad=True)
                (a * a).sum().backward()
            return g * a.grad

    x = torch.tensor([1.0, 2.0], requires_grad=True)
    In.apply(x).sum().backward()
    show(x.grad)


def double_backward_through_saved_input_and_output(torch: Any, show: Any, fails: Any) -> None:
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x**3
            ctx.save_for_backward(x, y)
            return y

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            return g * 3 * y / x

    x = torch.tensor([1.0, 2.0], requires_grad=True)
    (g,) = torch.autograd.grad(Cube.apply(x).sum(), x, create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), x, create_graph=True)
    (k,) = torch.autograd.grad(h.sum(), x)
    show(g, h, k)


def broadcasting_gradients_are_summed(torch: Any, show: Any, fails: Any) -> None:
    class Add(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            return x + y

        @staticmethod
        def backward(ctx, g):
            return (g, g)

    x = torch.ones(3, 1, requires_grad=True)
    y = torch.ones(2, requires_grad=True)
    Add.apply(x, y).sum().backward()
    show(x.grad, y.grad)


def straight_through_estimator(torch: Any, show: Any, fails: Any) -> None:
    class Sign(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.sign()

        @staticmethod
        def backward(ctx, g):
            return (
                torch.nn.functional.hardtanh(g)
                if hasattr(torch.nn.functional, "hardtanh")
                else g.clamp(-1, 1)
            )

    x = torch.tensor([0.5, -2.0], requires_grad=True)
    (Sign.apply(x) * torch.tensor([5.0, 0.3])).sum().backward()
    show(x.grad)


def gradient_reversal(torch: Any, show: Any, fails: Any) -> None:
    class Reverse(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, alpha):
            ctx.alpha = alpha
            return x.view_as(x)

        @staticmethod
        def backward(ctx, g):
            return (g.neg() * ctx.alpha, None)

    x = torch.tensor([0.5, -2.0], requires_grad=True)
    y = Reverse.apply(x, 0.1)
    show(y)
    (y * y).sum().backward()
    show(x.grad)


@pytest.mark.parametrize("program", programs(globals()), ids=lambda program: program.__name__)
def test_agrees(program: Program) -> None:
    assert_agrees(program)


def test_an_instance_is_warned_of_and_cannot_be_called() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    for library in (torch, tidu):

        class Twice(library.autograd.Function):  # type: ignore[misc]
            @staticmethod
            def forward(ctx, x):  # type: ignore[no-untyped-def]
                return x * 2

        with pytest.warns(DeprecationWarning, match="Twice'> should not be instantiated") as seen:
            instance = Twice()
        assert seen[0].filename == __file__
        with pytest.raises(RuntimeError, match="Legacy autograd function with non-static"):
            instance(library.ones(1))


def test_apply_takes_no_keyword_arguments() -> None:
    class Scale(tidu.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor=2.0):  # type: ignore[no-untyped-def]
            return x * factor

    with pytest.raises(TypeError, match=r"Scale.apply\(\) takes no keyword arguments.*factor"):
        Scale.apply(tidu.ones(1), factor=3.0)
