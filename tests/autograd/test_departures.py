"""Where tidu differs from PyTorch on purpose: what the tape saved never changes."""

from __future__ import annotations

import gc
import weakref

import pytest

import tidu


def leaf(*numbers: float) -> tidu.Tensor:
    return tidu.tensor(list(numbers), requires_grad=True)


def gradient(y: tidu.Tensor, x: tidu.Tensor) -> list[float]:
    (found,) = tidu.autograd.grad(y.sum(), x)
    return found.tolist()  # type: ignore[no-any-return]


def test_an_edit_of_a_saved_result_gives_the_out_of_place_answer() -> None:
    x = leaf(1.0, 4.0)
    y = x.sqrt()
    z = y * y
    y += 5
    assert gradient(z + y, x) == [1.5, 1.25]


def test_an_edit_of_a_saved_input_gives_the_out_of_place_answer() -> None:
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = x * 1
    z = y * w
    y.zero_()
    assert gradient(z, w) == [1.0, 2.0]


def test_a_parameter_may_change_between_forward_and_backward() -> None:
    w = leaf(3.0)
    loss = w * w
    with tidu.no_grad():
        w.mul_(10)
    loss.backward()
    assert w.grad is not None and w.grad.tolist() == [6.0]


def test_an_edit_through_a_view_leaves_what_was_saved_of_the_base() -> None:
    x = leaf(1.0, 2.0, 3.0)
    y = x * 1
    z = y.exp()
    w = z * y
    z[0] = 100.0
    y.view(3)[1:] = 0.0
    expected = [(1 + n) * 2.718281828459045**n for n in (1, 2, 3)]
    assert gradient(w, x) == pytest.approx(expected)


def test_save_for_backward_keeps_the_numbers_of_its_time() -> None:
    class Square(tidu.autograd.Function):
        @staticmethod
        def forward(ctx, x):  # type: ignore[no-untyped-def]
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):  # type: ignore[no-untyped-def]
            return 2 * g * ctx.saved_tensors[0]

    x = leaf(1.0, 2.0)
    y = x * 1
    z = Square.apply(y)
    y.fill_(7.0)
    assert gradient(z, x) == [2.0, 4.0]


def test_views_that_overlap_may_both_be_written() -> None:
    w = leaf(2.0, 3.0)
    base = tidu.zeros(4)
    u, v = base[:2], base[1:3]
    u.add_(w)  # [2, 3, 0, 0]
    v.mul_(w)  # [2, 6, 0, 0]
    u.mul_(v)  # [12, 0, 0, 0]
    assert base.tolist() == [12.0, 0.0, 0.0, 0.0]
    # base[0] = w0 * (w1 * w0)
    assert gradient(base, w) == [12.0, 4.0]


def test_an_assignment_may_overlap_with_what_it_reads() -> None:
    x = tidu.arange(4.0)
    x[1:] = x[:-1]
    assert x.tolist() == [0.0, 0.0, 1.0, 2.0]


def test_a_hook_on_a_view_sees_its_gradient_from_before_it_was_written() -> None:
    seen = []
    x = leaf(1.0, 1.0, 1.0)
    y = x * 2
    v = y[1:]
    v.register_hook(lambda g: seen.append(("before", g.tolist())))
    v.mul_(3)
    v.register_hook(lambda g: seen.append(("after", g.tolist())))
    (y.sum() + v.sum()).backward()
    assert seen == [("after", [1.0, 1.0]), ("before", [6.0, 6.0])]


def test_create_graph_makes_no_cycle_of_a_parameter_and_its_gradient() -> None:
    gc.collect()
    gc.disable()
    try:
        x = leaf(1.0, 2.0)
        (x**3).sum().backward(create_graph=True)
        node = weakref.ref(x.grad.grad_fn)
        assert node() is not None
        x = None  # type: ignore[assignment]
        assert node() is None
    finally:
        gc.enable()
