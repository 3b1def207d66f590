"""In-place edits of leaves and results, and the functions that make them, as PyTorch does them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.autograd.agreement import Program, assert_agrees, programs


def leaf_inplace(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    fails(lambda: x.add_(1))
    fails(lambda: x.__setitem__(0, 1.0))
    fails(lambda: x[0].add_(1))
    fails(lambda: x.zero_())
    with torch.no_grad():
        x.add_(1)
    show(x)


def nonleaf(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    y.mul_(3)
    show(y)
    y.sum().backward()
    show(x.grad)


def no_grad_on_nonleaf(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    with torch.no_grad():
        y.mul_(10)
    show(y)
    y.sum().backward()
    show(x.grad)


def retain_grad_inplace(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    y.retain_grad()
    y.mul_(3)
    show(y.retains_grad)
    y.sum().backward()
    show(y.grad, x.grad)


def hooks_inplace(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    y.register_hook(lambda g: show("before", g))
    y.mul_(3)
    y.register_hook(lambda g: show("after", g))
    y.sum().backward()
    show(x.grad)


def copy_zero_fill(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    w = torch.tensor(2.0, requires_grad=True)
    y = x * 2
    y.copy_(x * 3)
    show(y)
    y.fill_(4)
    show(y)
    y.zero_()
    show(y)
    y.add_(x)
    show(y)
    y.fill_(w)
    show(y)
    y.sum().backward()
    show(x.grad, w.grad)


def requires_grad_on_nonleaf(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    y = x * 2
    y.requires_grad_()
    show(y)
    fails(lambda: y.requires_grad_(False))

    def f():
        y.requires_grad = False

    fails(f)

    def f():
        y.requires_grad = True

    fails(f)


def requires_grad_after_ops(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, -2.0, 3.0])
    y = x * 2
    x.requires_grad_()
    show(x, y)
    (x * y).sum().backward()
    show(x.grad)


def inference_tensors(torch: Any, show: Any, fails: Any) -> None:
    with torch.inference_mode():
        x = torch.ones(2)
        y = x * 2
        v = y[0]
    show(x.is_inference(), y.is_inference(), v.is_inference())
    w = torch.ones(2, requires_grad=True)
    fails(lambda: w * x)
    fails(lambda: w + x)
    fails(lambda: x.add_(1))
    fails(lambda: x.requires_grad_())
    show((x + 1).is_inference())
    show(x[0].is_inference())
    show(x.clone().is_inference(), x.detach().is_inference())


def inference_of_ordinary_tensors(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(2)
    with torch.inference_mode():
        x.add_(1)
        v = x[0]
        show(v.is_inference(), x.is_inference())
        z = x + 1
        fails(lambda: z.requires_grad_())
        show(z.requires_grad)
        z.add_(1)
    fails(lambda: v.add_(1))
    w = torch.ones(2, requires_grad=True)
    with torch.inference_mode():
        y = w * 2
        fails(lambda: w.add_(1))
    show(y)
    fails(lambda: w.mul(y))
    fails(lambda: y.add_(w))


def written_after_another_use(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    y = x * 2
    z = y + 1
    y += 5
    (z * y).sum().backward()
    show(x.grad)


def out_of_dtype(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1, 2])
    fails(lambda: x.add_(1.5))
    fails(lambda: x.requires_grad_())
    fails(lambda: torch.tensor([1, 2], requires_grad=True))
    fails(lambda: torch.zeros(2, dtype=torch.bool, requires_grad=True))
    x.mul_(2)
    show(x)
    fails(lambda: x.div_(2))


def shape_change_inplace(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(3)
    fails(lambda: x.add_(torch.ones(2, 3)))
    fails(lambda: torch.ones(1).add_(torch.ones(3)))


def inplace_returns_self(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(3)
    show(x.add_(1) is x)
    y = x
    y += 1
    show(y is x, x)


def shape_inplace_leaf(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(2, 3, requires_grad=True)
    fails(lambda: x.t_())


def double_backward_through_inplace(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x**3
    v = y[1:]
    v.mul_(2)
    (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    show(g.detach())
    (h,) = torch.autograd.grad(g.sum(), x)
    show(h)


def out_argument(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(2, requires_grad=True)
    z = torch.zeros(2)
    fails(lambda: torch.add(x, x, out=z))
    with torch.no_grad():
        torch.add(x, x, out=z)
    show(z)
    fails(lambda: torch.add(z, z, out=x))


def in_place_random_on_leaf(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(2, requires_grad=True)
    fails(lambda: x.normal_())
    fails(lambda: x.uniform_())
    y = x * 1
    torch.manual_seed(0)
    y.normal_()
    show(y.detach(), y.requires_grad)
    y.sum().backward()
    show(x.grad)


def in_place_unary_functions(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([-1.0, 0.5, 2.0], requires_grad=True)
    for name in ("exp_", "sin_", "abs_", "neg_", "relu_", "sigmoid_", "tanh_", "floor_"):
        y = x * 1
        getattr(y, name)()
        show(name, y)
        x.grad = None
        y.sum().backward()
        show(x.grad)
    y = x * 1
    y.clamp_(0, 1)
    show(y)
    y.pow_(2)
    show(y)
    y.sum().backward()
    show(x.grad)


def in_place_index_functions(torch: Any, show: Any, fails: Any) -> None:
    x = torch.arange(4.0, requires_grad=True)
    s = torch.ones(2, requires_grad=True)
    i = torch.tensor([0, 2])
    y = x * 1
    y.index_add_(0, i, s)
    y.index_copy_(0, i, s * 3)
    y.index_fill_(0, torch.tensor([1]), 9.0)
    y.scatter_(0, i, s * 2)
    y.scatter_add_(0, i, s * 5)
    y.index_put_((i,), s)
    y.masked_fill_(torch.tensor([False, False, False, True]), 3.0)
    show(y)
    y.sum().backward()
    show(x.grad, s.grad)


def copy_converts_and_broadcasts(torch: Any, show: Any, fails: Any) -> None:
    x = torch.zeros(2, 3, dtype=torch.float64)
    w = torch.arange(3.0, requires_grad=True)
    x.copy_(w)
    show(x)
    x.sum().backward()
    show(w.grad)
    fails(lambda: torch.zeros(3).copy_(torch.zeros(2, 3)))
    y = torch.zeros(2, dtype=torch.int64)
    y.copy_(torch.tensor([1.5, 2.5]))
    show(y)


def in_place_addcmul_and_friends(torch: Any, show: Any, fails: Any) -> None:
    x = torch.arange(3.0, requires_grad=True)
    y = x * 1
    y.addcmul_(x, x, value=2)
    y.addcdiv_(x, x + 1)
    y.lerp_(x, 0.5)
    show(y)
    y.sum().backward()
    show(x.grad)


def augmented_assignment_on_leaf_attribute(torch: Any, show: Any, fails: Any) -> None:
    x = torch.arange(3.0, requires_grad=True)

    def f(t):
        t += 1

    fails(lambda: f(x))
    y = x * 1
    z = y
    y += 1
    y -= x
    y *= 2
    y /= 3
    y **= 2
    show(y, z, y is z)
    y.sum().backward()
    show(x.grad)


def inplace_in_no_grad_keeps_history(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    with torch.no_grad():
        y[0] = 100
        y.view(3)[1] = 50
    show(y)
    (y * y).sum().backward()


def clip_by_hand(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(4, requires_grad=True)
    (x * 20).sum().backward()
    x.grad.data.clamp_(-1, 1)
    x.grad.mul_(0.5)
    show(x.grad)


def versions(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(4)
    v = x[1:]
    show(x._version)
    x.add_(1)
    v.mul_(2)
    show(x._version, v._version)
    with torch.no_grad():
        x.zero_()
    x.detach().add_(1)
    show(x._version)


@pytest.mark.parametrize("program", programs(globals()), ids=lambda program: program.__name__)
def test_agrees(program: Program) -> None:
    assert_agrees(program)
