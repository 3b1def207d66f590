"""More in-place edits: buffers filled in loops, stale views, in-place functions, `.data`."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.autograd.agreement import Program, assert_agrees, programs


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


def data_assigned_views_stay(torch: Any, show: Any, fails: Any) -> None:
    x = torch.arange(4.0)
    v = x[1:3]
    x.data = torch.zeros(4)
    v.add_(1)
    show(x, v)
    x.add_(5)
    show(x, v)


def out(torch: Any, show: Any, fails: Any) -> None:
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


def copy__converts_and_broadcasts(torch: Any, show: Any, fails: Any) -> None:
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


def n0_d_base(torch: Any, show: Any, fails: Any) -> None:
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


def detach_under_no_grad(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(3, requires_grad=True)
    with torch.no_grad():
        v = x.detach()[1:]
        w = x.data[0]
        z = x.view(3) + 1
    show(v, w, z)
    v.add_(1)
    show(x)


def inplace_in_no_grad_keeps_history(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    with torch.no_grad():
        y[0] = 100
        y.view(3)[1] = 50
    show(y)
    (y * y).sum().backward()


def grad_written_in_place_through_a_view(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(4, requires_grad=True)
    (x * 2).sum().backward()
    x.grad[1:3].zero_()
    x.grad.view(2, 2)[0, 0] = 9
    show(x.grad)
    (x * 2).sum().backward()
    show(x.grad)


def clip_by_hand(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(4, requires_grad=True)
    (x * 20).sum().backward()
    x.grad.data.clamp_(-1, 1)
    x.grad.mul_(0.5)
    show(x.grad)


def is_view_and_base(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(4)
    v = x[1:]
    u = v.view(3, 1)
    show(v._is_view(), x._is_view(), u._base is x, v._base is x, x._base)
    show(x.detach()._is_view(), (x + 1)._is_view(), x.reshape(2, 2)._base is x)


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


def bernoulli_like_masks_on_views(torch: Any, show: Any, fails: Any) -> None:
    torch.manual_seed(0)
    x = torch.zeros(2, 3)
    x[0].uniform_()
    x[:, 1].fill_(5)
    show(x)


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


def detach__of_leaf(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(2, requires_grad=True)
    x.detach_()
    show(x)
    y = torch.ones(2, requires_grad=True) * 2
    y.detach_()
    y.requires_grad_()
    (y * y).sum().backward()
    show(y.grad)


def retain_grad_on_view_that_is_written(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    v = y[1:]
    v.retain_grad()
    v.mul_(3)
    y.sum().backward()
    show(v.grad, x.grad)


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


@pytest.mark.parametrize("program", programs(globals()), ids=lambda program: program.__name__)
def test_agrees(program: Program) -> None:
    assert_agrees(program)
