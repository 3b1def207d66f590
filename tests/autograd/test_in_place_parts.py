"""Parts written in place: rows, slices, masks, indices, and several views at once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.autograd.agreement import Program, assert_agrees, programs


def several_views_at_once(torch: Any, show: Any, fails: Any) -> None:
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


def several_views_without_gradients(torch: Any, show: Any, fails: Any) -> None:
    x = torch.arange(4.0)
    a, b = x.chunk(2)
    a.mul_(3)
    show(x, a, b)


def several_views_that_need_gradients_later(torch: Any, show: Any, fails: Any) -> None:
    x = torch.arange(4.0)
    w = torch.ones(2, requires_grad=True)
    a, b = x.chunk(2)
    fails(lambda: a.mul_(w))
    show(x, a, b)


def several_views_whose_base_is_written(torch: Any, show: Any, fails: Any) -> None:
    x = torch.arange(4.0, requires_grad=True)
    y = x * 2
    a, b = y.chunk(2)
    y.mul_(3)
    show(a, b)
    a.sum().backward()
    show(x.grad)


def several_views_made_under_no_grad(torch: Any, show: Any, fails: Any) -> None:
    x = torch.arange(4.0, requires_grad=True)
    y = x * 2
    with torch.no_grad():
        a, _ = y.chunk(2)
    show(a)
    fails(lambda: a.mul_(2))


def a_mask(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    y = x * 2
    y[y < 0] = 0
    show(y)
    y.sum().backward()
    show(x.grad)


def a_mask_and_a_tensor_of_values(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    v = torch.tensor([5.0, 6.0], requires_grad=True)
    y = x * 2
    y[torch.tensor([True, False, True])] = v
    show(y)
    y.sum().backward()
    show(x.grad, v.grad)


def an_index_array(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    v = torch.tensor([5.0, 6.0], requires_grad=True)
    y = x * 2
    idx = torch.tensor([0, 2])
    y[idx] += v
    show(y)
    y.sum().backward()
    show(x.grad, v.grad)


def a_slice(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    y = x * 2
    y[1:] += x[:2]
    show(y)
    y.sum().backward()
    show(x.grad)


def an_integer(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    y = x * 2
    y[1] += x[2]
    y[0] *= 3
    show(y)
    y.sum().backward()
    show(x.grad)


def rows_by_iteration(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(2, 2, requires_grad=True)
    y = x * 2
    row = next(iter(y))
    fails(lambda: row.mul_(2))
    z = torch.zeros(2, 2)
    for i, row in enumerate(z):
        row.add_(i)
    show(z)


def rows_by_index(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(2, 2, requires_grad=True)
    y = x * 2
    for i in range(2):
        y[i].mul_(i + 2)
    show(y)
    y.sum().backward()
    show(x.grad)


def fill_rows_of_a_buffer(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(2, requires_grad=True)
    out = torch.zeros(3, 2)
    h = x
    for t in range(3):
        h = torch.tanh(h * (t + 1))
        out[t] = h
    show(out)
    (out * torch.arange(6.0).view(3, 2)).sum().backward()
    show(x.grad)


def assign_forms(torch: Any, show: Any, fails: Any) -> None:
    x = torch.arange(4.0, requires_grad=True)
    b = torch.zeros(2, 4)
    b[:] = x
    b[0, 1] = x[3] * 2
    b[..., 2] = 7
    b[1, 1:3] = x[:2]
    b[None] *= 2
    b[-1] += x
    b[:, 0] = torch.tensor([1.0, 2.0])
    show(b)
    (b * b).sum().backward()
    show(x.grad)


def swap_rows(torch: Any, show: Any, fails: Any) -> None:
    x = torch.arange(4.0).view(2, 2)
    x[[0, 1]] = x[[1, 0]]
    show(x)
    a, b = (x[0].clone(), x[1].clone())
    x[0], x[1] = (b, a)
    show(x)


def chained_comparison_masks_with_views(torch: Any, show: Any, fails: Any) -> None:
    x = torch.arange(6.0, requires_grad=True)
    y = (x * 1).view(2, 3)
    y[y > 3] = 0
    y[0][y[0] > 0] = -1
    show(y)
    y.sum().backward()
    show(x.grad)


def mask_with_tensor_values_on_view(torch: Any, show: Any, fails: Any) -> None:
    x = torch.arange(6.0, requires_grad=True)
    v = torch.tensor([10.0, 20.0], requires_grad=True)
    y = (x * 1).view(2, 3)
    y[1][torch.tensor([True, False, True])] = v
    show(y)
    (y * y).sum().backward()
    show(x.grad, v.grad)


def bernoulli_like_masks_on_views(torch: Any, show: Any, fails: Any) -> None:
    torch.manual_seed(0)
    x = torch.zeros(2, 3)
    x[0].uniform_()
    x[:, 1].fill_(5)
    show(x)


def accumulate_into_list_of_views(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    vs = [y[i] for i in range(3)]
    vs[0].mul_(2)
    vs[1].add_(vs[0])
    show(y, vs)
    sum(vs).backward()
    show(x.grad)


def split_with_retained_gradient_written_under_no_grad(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(4, requires_grad=True)
    a, b = (x * 1).split(2)
    a.retain_grad()
    with torch.no_grad():
        a.sub_(1)
    show(a.detach(), b.detach())


@pytest.mark.parametrize("program", programs(globals()), ids=lambda program: program.__name__)
def test_agrees(program: Program) -> None:
    assert_agrees(program)
