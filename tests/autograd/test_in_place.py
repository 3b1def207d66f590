"""In-place edits of leaves, results, views and bases, as PyTorch does them."""

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


def nonleaf_view_write(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 2
    v = y[1:]
    v.mul_(3)
    show(y, v, y.grad_fn.next_functions[0][0])
    (y * torch.tensor([1.0, 10.0, 100.0])).sum().backward()
    show(x.grad)


def base_written_then_view_used(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 2
    v = y[1:]
    y.mul_(3)
    show(y, v)
    (v * torch.tensor([10.0, 100.0])).sum().backward()
    show(x.grad)


def view_of_view_write(torch: Any, show: Any, fails: Any) -> None:
    x = torch.arange(12.0, requires_grad=True)
    y = x * 2
    v = y.view(3, 4)
    w = v[1]
    u = w[1:3]
    u.mul_(5)
    show(y, v, w, u)
    ((y * torch.arange(12.0)).sum() + v.sum() * 2 + w.sum() * 3 + u.sum() * 5).backward()
    show(x.grad)


def gradient_written_into_zeros(torch: Any, show: Any, fails: Any) -> None:
    b = torch.zeros(4)
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    b[1:3] = w * w
    show(b)
    b.sum().backward()
    show(w.grad)


def view_of_zeros_made_before(torch: Any, show: Any, fails: Any) -> None:
    b = torch.zeros(4)
    v = b[1:3]
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    v.mul_(2)
    v.add_(w)
    show(b, v)
    (b * b).sum().backward()
    show(w.grad)


def detach_shares(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    d = x.detach()
    d.mul_(5)
    show(x, d)
    y = x * x
    y.sum().backward()
    show(x.grad)


def data_edit(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    x.data.mul_(4)
    x.data[0] = 7
    show(x, x.data)


def data_assign(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    x.data = torch.tensor([5.0, 6.0])
    show(x)


def no_grad_on_nonleaf(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    with torch.no_grad():
        y.mul_(10)
    show(y)
    y.sum().backward()
    show(x.grad)


def multi_output(torch: Any, show: Any, fails: Any) -> None:
    x = torch.arange(4.0, requires_grad=True)
    y = x * 2
    a, b = y.chunk(2)
    fails(lambda: a.mul_(2))
    a, b = y.split(2)
    show(a, b)
    fails(lambda: a.mul_(2))
    c = y.unbind()
    show(c[0])
    fails(lambda: c[0].mul_(2))


def multi_output_no_grad(torch: Any, show: Any, fails: Any) -> None:
    x = torch.arange(4.0)
    a, b = x.chunk(2)
    a.mul_(3)
    show(x, a, b)


def multi_output_no_grad_then_grad(torch: Any, show: Any, fails: Any) -> None:
    x = torch.arange(4.0)
    w = torch.ones(2, requires_grad=True)
    a, b = x.chunk(2)
    fails(lambda: a.mul_(w))
    show(x, a, b)


def multi_output_base_write(torch: Any, show: Any, fails: Any) -> None:
    x = torch.arange(4.0, requires_grad=True)
    y = x * 2
    a, b = y.chunk(2)
    y.mul_(3)
    show(a, b)
    a.sum().backward()
    show(x.grad)


def multi_output_under_no_grad_then_inplace(torch: Any, show: Any, fails: Any) -> None:
    x = torch.arange(4.0, requires_grad=True)
    y = x * 2
    with torch.no_grad():
        a, _ = y.chunk(2)
    show(a)
    fails(lambda: a.mul_(2))


def view_in_no_grad_then_inplace(torch: Any, show: Any, fails: Any) -> None:
    x = torch.arange(4.0, requires_grad=True)
    y = x * 2
    with torch.no_grad():
        a = y[1:]
    show(a)
    fails(lambda: a.mul_(2))
    show(y)


def view_in_no_grad_of_leaf(torch: Any, show: Any, fails: Any) -> None:
    x = torch.arange(4.0, requires_grad=True)
    with torch.no_grad():
        a = x[1:]
    show(a)
    fails(lambda: a.mul_(2))
    with torch.no_grad():
        a.mul_(2)
    show(x, a)


def view_in_no_grad_of_non_grad(torch: Any, show: Any, fails: Any) -> None:
    x = torch.arange(4.0)
    w = torch.ones(3, requires_grad=True)
    with torch.no_grad():
        a = x[1:]
    fails(lambda: a.mul_(w))
    a.mul_(2)
    show(x, a)


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


def retain_grad_on_view_base_write(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    v = y[:1]
    v.retain_grad()
    v.register_hook(lambda g: show("h", g))
    y.mul_(3)
    v.sum().backward()
    show(v.grad, x.grad)


def retain_grad_base_view_write(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda g: show("h", g))
    v = y[:1]
    v.mul_(3)
    y.sum().backward()
    show(y.grad, x.grad)


def mask(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    y = x * 2
    y[y < 0] = 0
    show(y)
    y.sum().backward()
    show(x.grad)


def mask_tensor_value(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    v = torch.tensor([5.0, 6.0], requires_grad=True)
    y = x * 2
    y[torch.tensor([True, False, True])] = v
    show(y)
    y.sum().backward()
    show(x.grad, v.grad)


def idx(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    v = torch.tensor([5.0, 6.0], requires_grad=True)
    y = x * 2
    idx = torch.tensor([0, 2])
    y[idx] += v
    show(y)
    y.sum().backward()
    show(x.grad, v.grad)


def slice(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    y = x * 2
    y[1:] += x[:2]
    show(y)
    y.sum().backward()
    show(x.grad)


def int(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    y = x * 2
    y[1] += x[2]
    y[0] *= 3
    show(y)
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


def detach(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    y = x * 2
    z = y * 3
    y.detach_()
    show(y)
    z.sum().backward()
    show(x.grad)


def detach__view(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    y = x * 2
    v = y[1:]
    fails(lambda: v.detach_())
    y.detach_()
    show(y)
    show(v)
    v.sum().backward()
    show(x.grad)


def detach__then_write(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    y = x * 2
    v = y[1:]
    y.detach_()
    y.mul_(2)
    show(y, v.detach())


def inference(torch: Any, show: Any, fails: Any) -> None:
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


def inference_2(torch: Any, show: Any, fails: Any) -> None:
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


def leaf_view_requires_grad(torch: Any, show: Any, fails: Any) -> None:
    x = torch.zeros(3)
    v = x[0]
    v.requires_grad_()
    show(v, x)
    fails(lambda: v.mul_(2))
    show(v.is_leaf)
    x.mul_(2)
    show(v, x)


def leaf_view_whose_base_gets_history(torch: Any, show: Any, fails: Any) -> None:
    x = torch.zeros(3)
    w = torch.ones(3, requires_grad=True)
    v = x[0]
    v.requires_grad_()
    fails(lambda: x.add_(w))
    show(x)
    fails(lambda: show(v))


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


def swap_data_in_views(torch: Any, show: Any, fails: Any) -> None:
    x = torch.zeros(4)
    v = x.view(2, 2)
    v[0] = 5
    v.t()[1] = 7
    show(x, v)


def t_view_chain_write_with_grad(torch: Any, show: Any, fails: Any) -> None:
    x = torch.arange(6.0, requires_grad=True)
    y = (x * 1).view(2, 3)
    t = y.t()
    t[1] = torch.tensor([10.0, 20.0])
    show(y, t)
    (y * torch.arange(6.0).view(2, 3)).sum().backward()
    show(x.grad)


def diagonal(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(3, 3, requires_grad=True)
    y = x * 2
    y.diagonal().mul_(5)
    show(y)
    y.sum().backward()
    show(x.grad)


def transposed_and_unsqueezed(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(2, 3, requires_grad=True)
    y = x * 2
    y.t_()
    show(y)
    y.unsqueeze_(0)
    show(y)
    y.sum().backward()
    show(x.grad)


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


@pytest.mark.parametrize("program", programs(globals()), ids=lambda program: program.__name__)
def test_agrees(program: Program) -> None:
    assert_agrees(program)
