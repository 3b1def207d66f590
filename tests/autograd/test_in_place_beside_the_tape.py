"""Memory shared beside the tape: detach, `detach_` and `.data`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.autograd.agreement import Program, assert_agrees, programs


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


def detach_in_place(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    y = x * 2
    z = y * 3
    y.detach_()
    show(y)
    z.sum().backward()
    show(x.grad)


def detach_in_place_of_a_view(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    y = x * 2
    v = y[1:]
    fails(lambda: v.detach_())
    y.detach_()
    show(y)
    show(v)
    v.sum().backward()
    show(x.grad)


def detach_in_place_then_write(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    y = x * 2
    v = y[1:]
    y.detach_()
    y.mul_(2)
    show(y, v.detach())


def swap_data_in_views(torch: Any, show: Any, fails: Any) -> None:
    x = torch.zeros(4)
    v = x.view(2, 2)
    v[0] = 5
    v.t()[1] = 7
    show(x, v)


def data_of_views(torch: Any, show: Any, fails: Any) -> None:
    x = torch.arange(4.0)
    v = x[1:3]
    d = v.data
    d.mul_(10)
    show(x, v, d)
    v.data = torch.tensor([7.0, 8.0])
    show(x, v)
    v.add_(1)
    show(x, v)


def data_of_a_view_of_itself(torch: Any, show: Any, fails: Any) -> None:
    w = torch.tensor(0.5, requires_grad=True)
    x = torch.zeros(3)
    v = x.reshape(-1)
    x.data = v.data
    v.add_(w)
    x.sum().backward()
    show(x, v, w.grad)
    u = x.detach()[1:]
    u.data = u.data
    u.mul_(3)
    show(x, u)


def data_assigned_views_stay(torch: Any, show: Any, fails: Any) -> None:
    x = torch.arange(4.0)
    v = x[1:3]
    x.data = torch.zeros(4)
    v.add_(1)
    show(x, v)
    x.add_(5)
    show(x, v)


def view_of_detach(torch: Any, show: Any, fails: Any) -> None:
    x = torch.arange(3.0, requires_grad=True)
    y = x * 2
    d = y.detach()
    v = d[1:]
    v.mul_(5)
    show(y, d, v)
    w = torch.ones(2, requires_grad=True)
    v.mul_(w)
    show(d, v, y)
    d.sum().backward()
    show(w.grad)


def requires_grad_on_detach_alias_then_inplace_on_origin(torch: Any, show: Any, fails: Any) -> None:
    x = torch.arange(3.0)
    d = x.detach().requires_grad_()
    x.mul_(2)
    show(d, x)
    (d * d).sum().backward()
    show(d.grad)


def detach_under_no_grad(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(3, requires_grad=True)
    with torch.no_grad():
        v = x.detach()[1:]
        w = x.data[0]
        z = x.view(3) + 1
    show(v, w, z)
    v.add_(1)
    show(x)


def detach_in_place_of_a_leaf(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(2, requires_grad=True)
    x.detach_()
    show(x)
    y = torch.ones(2, requires_grad=True) * 2
    y.detach_()
    y.requires_grad_()
    (y * y).sum().backward()
    show(y.grad)


@pytest.mark.parametrize("program", programs(globals()), ids=lambda program: program.__name__)
def test_agrees(program: Program) -> None:
    assert_agrees(program)
