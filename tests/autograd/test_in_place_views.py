"""In-place edits through views and under them: which of them the tape then knows."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.autograd.agreement import Program, assert_agrees, programs


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


def what_was_written_goes_back_once(torch: Any, show: Any, fails: Any) -> None:
    def filled(x: Any) -> None:
        x[1:].fill_(3.0)

    for write in (lambda b: b[0].add_(w), lambda b: b[:].mul_(w), lambda b: b.view(3).add_(w)):
        w = torch.tensor(2.0, requires_grad=True)
        for base in (torch.zeros(3), torch.zeros(3) + w):
            write(base)
            filled(base)
            base.sum().backward(retain_graph=True)
            base.sum().backward()
            show(w.grad)
            fails(base.sum().backward)


def the_whole_written_at_once_is_a_copy(torch: Any, show: Any, fails: Any) -> None:
    w = torch.tensor(2.0, requires_grad=True)
    for key in (..., (), (...,), slice(None), (..., slice(None)), slice(0, 3)):
        base = torch.zeros(3)
        base[key] = w
        base.sum().backward()
        base.sum().backward()
        base[key] = w + torch.ones(3)
        show(w.grad, base.tolist())
        base[key] = 0.5
        show(base.tolist())
    scaled = torch.tensor(1.0)
    scaled.add_(w, alpha=2)
    scaled.backward()
    scaled.backward()
    show(w.grad, scaled)


def view_of_zeros_made_before(torch: Any, show: Any, fails: Any) -> None:
    b = torch.zeros(4)
    v = b[1:3]
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    v.mul_(2)
    v.add_(w)
    show(b, v)
    (b * b).sum().backward()
    show(w.grad)


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


def stale_view_of_a_leaf(torch: Any, show: Any, fails: Any) -> None:
    p = torch.ones(4, requires_grad=True)
    v = p.view(2, 2)
    for _ in range(3):
        loss = (v * v).sum()
        loss.backward()
        with torch.no_grad():
            p.sub_(0.1 * p.grad)
        p.grad = None
    show(p, v)


def view_of_a_leaf_twice_no_update(torch: Any, show: Any, fails: Any) -> None:
    p = torch.ones(4, requires_grad=True)
    v = p.view(2, 2)
    v.sum().backward()
    v.sum().backward()
    show(p.grad)


def transposed_in_place_with_views(torch: Any, show: Any, fails: Any) -> None:
    x = torch.arange(6.0, requires_grad=True)
    y = (x * 1).view(2, 3) * 1
    v = y[0]
    y.t_()
    show(y, v.detach())
    y.mul_(2)
    show(y, v)
    (y * torch.arange(6.0).view(3, 2)).sum().backward(retain_graph=True)
    show(x.grad)
    x.grad = None
    (v * torch.tensor([1.0, 10.0, 100.0])).sum().backward()
    show(x.grad)


def write_through_a_view_of_what_was_transposed_in_place(torch: Any, show: Any, fails: Any) -> None:
    x = torch.arange(6.0, requires_grad=True)
    y = (x * 1).view(2, 3) * 1
    v = y[0]
    y.t_()
    v.mul_(10)
    show(y, v)
    (y * torch.arange(6.0).view(3, 2)).sum().backward()
    show(x.grad)


def unsqueeze_squeeze_in_place(torch: Any, show: Any, fails: Any) -> None:
    x = torch.arange(3.0, requires_grad=True)
    y = x * 2
    y.unsqueeze_(0)
    y.mul_(3)
    y.squeeze_()
    show(y)
    y.sum().backward()
    show(x.grad)


def view_then_requires_grad_of_base(torch: Any, show: Any, fails: Any) -> None:
    x = torch.arange(3.0)
    v = x[1:]
    x.requires_grad_()
    show(v)
    y = v * 2
    show(y)


def view_before_base_gets_history_then_backward_through_view(
    torch: Any, show: Any, fails: Any
) -> None:
    b = torch.zeros(4)
    v = b.view(2, 2)
    w = torch.arange(4.0, requires_grad=True)
    b.add_(w)
    show(v)
    (v * v).sum().backward()
    show(w.grad)


def base_without_dimensions(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor(2.0, requires_grad=True)
    y = x * 1
    y[()] = y * 3
    show(y.detach())
    y.view(1)[0].mul_(5)
    show(y)
    y.backward()
    show(x.grad)


def squeeze_and_expand_views(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(1, 3, requires_grad=True)
    y = x * 1
    e = y.expand(2, 3)
    y.mul_(2)
    show(e)
    e.sum().backward()
    show(x.grad)


def expanded_views_without_elements_may_be_written(torch: Any, show: Any, fails: Any) -> None:
    w = torch.ones(3, requires_grad=True)
    y = w * 1
    y[:0].expand(4, 0).mul_(2)
    y.as_strided((0, 3), (1, 0)).add_(1)
    show(y)
    y.sum().backward()
    show(w.grad)
    fails(lambda: torch.ones(1).expand(2).add_(1))


def no_grad_view_of_leaf_used_later(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(3, requires_grad=True)
    with torch.no_grad():
        v = x[1:]
    show(v.requires_grad, v.is_leaf, v.grad_fn)
    y = v * 2
    show(y)
    y.sum().backward()
    show(x.grad)
    fails(lambda: v.numpy())


def is_view_and_base(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(4)
    v = x[1:]
    u = v.view(3, 1)
    show(v._is_view(), x._is_view(), u._base is x, v._base is x, x._base)
    show(x.detach()._is_view(), (x + 1)._is_view(), x.reshape(2, 2)._base is x)


def leaf_requires_grad_false_then_true_after_views_written(
    torch: Any, show: Any, fails: Any
) -> None:
    b = torch.zeros(3)
    v = b[1:]
    v.add_(1)
    b.requires_grad_()
    show(b, v)
    fails(lambda: v.add_(1))
    fails(lambda: b.add_(1))
    with torch.no_grad():
        v.add_(1)
    show(b)


def retain_grad_on_view_that_is_written(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    v = y[1:]
    v.retain_grad()
    v.mul_(3)
    y.sum().backward()
    show(v.grad, x.grad)


def grad_written_in_place_through_a_view(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(4, requires_grad=True)
    (x * 2).sum().backward()
    x.grad[1:3].zero_()
    x.grad.view(2, 2)[0, 0] = 9
    show(x.grad)
    (x * 2).sum().backward()
    show(x.grad)


def deepcopy_of_views(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(3, requires_grad=True)
    with torch.no_grad():
        v = x[1:]
    show(copy.deepcopy(v))
    u = torch.zeros(4)[1:]
    d = copy.deepcopy(u)
    d[0] += 1
    show(u, d, d._is_view())
    d[:1].mul_(torch.ones(1, requires_grad=True))
    show(d)


def in_place_inside_a_function_of_a_view_of_an_input(torch: Any, show: Any, fails: Any) -> None:
    def g(t):
        t[0] *= 2
        return t

    x = torch.arange(3.0, requires_grad=True)
    y = g(x * 1)
    show(y)
    y.sum().backward()
    show(x.grad)
    fails(lambda: g(x))


@pytest.mark.parametrize("program", programs(globals()), ids=lambda program: program.__name__)
def test_agrees(program: Program) -> None:
    assert_agrees(program)
