"""autograd.grad, autograd.backward, gradient modes and what requires a gradient."""

from __future__ import annotations

from typing import Any

import pytest

from tests.autograd.agreement import Program, assert_agrees, programs


def diamond(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor(1.1, requires_grad=True)
    y = x
    for _ in range(20):
        y = y * y * 0.5 + y * 0.5
    y.backward()
    show(x.grad)


def unused(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    fails(lambda: torch.autograd.grad((x * 2).sum(), w))
    fails(lambda: torch.autograd.grad((x * 2).sum(), (x, w)))
    show(torch.autograd.grad((x * 2).sum(), (x, w), allow_unused=True))
    show(torch.autograd.grad((x * 2).sum(), (x, w), materialize_grads=True))
    fails(lambda: torch.autograd.grad((x * 2).sum(), w, materialize_grads=True, allow_unused=False))


def grad_args(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    fails(lambda: torch.autograd.grad(x * 2, x))
    fails(lambda: torch.autograd.grad(x * 2, x, grad_outputs=torch.ones(3)))
    show(
        torch.autograd.grad(
            (x * 2, x * 3), x, grad_outputs=(torch.ones(2), torch.tensor([1.0, 5.0]))
        )
    )
    show(torch.autograd.grad((x.sum(), x * 3), [x], grad_outputs=(None, torch.tensor([1.0, 5.0]))))
    show(torch.autograd.grad([x.sum(), (x * x).sum()], [x]))
    fails(lambda: torch.autograd.grad((x * 2).sum(), torch.ones(2)))
    fails(lambda: torch.autograd.grad(torch.ones(1), x))
    fails(lambda: torch.autograd.grad((x * 2).sum(), []))
    show(torch.autograd.grad(x * 2, x, torch.ones(2, dtype=torch.float64)))
    show(torch.autograd.grad(x, x, torch.ones(2)))
    show(torch.autograd.grad((x * 2).sum(), (x, x)))


def batched(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    show(torch.autograd.grad(x * x, x, torch.eye(2), is_grads_batched=True))


def retain_and_create(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = (x**3).sum()
    (g,) = torch.autograd.grad(y, x, create_graph=True)
    show(g)
    (h,) = torch.autograd.grad(g.sum(), x, create_graph=True)
    show(h)
    (k,) = torch.autograd.grad(h.sum(), x)
    show(k)
    fails(lambda: torch.autograd.grad(h.sum(), x))


def twice(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    for make in (
        lambda: (x * x).sum(),
        lambda: (x * 2).sum(),
        lambda: x.exp().sum(),
        lambda: x.sum(),
        lambda: (x + 1).sum(),
        lambda: (-x).sum(),
        lambda: x.view(2, 1).sum(),
        lambda: (x / 2).sum(),
        lambda: (2 / x).sum(),
        lambda: (x - 1).mean(),
        lambda: x[0],
        lambda: x.expand(3, 2).sum(),
        lambda: torch.cat([x, x]).sum(),
        lambda: x.relu().sum(),
        lambda: x.abs().sum(),
        lambda: x @ x,
        lambda: torch.where(x > 0, x, -x).sum(),
        lambda: x.max(),
        lambda: x.clone().sum(),
        lambda: x.sigmoid().sum(),
        lambda: x[torch.tensor([0])].sum(),
        lambda: x.flip(0).sum(),
        lambda: x.clamp(0, 1).sum(),
        lambda: x.pow(2).sum(),
        lambda: x.sqrt().sum(),
        lambda: x.double().sum(),
        lambda: x.var(),
        lambda: x.cumsum(0).sum(),
        lambda: x.softmax(0).sum(),
    ):
        y = make()
        y.backward()
        fails(lambda: y.backward())


def shared_part_twice(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    y.sum().backward()
    fails(lambda: (y * 2).sum().backward())
    fails(lambda: torch.autograd.grad(y.sum(), x))


def backward_several(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    torch.autograd.backward([x.sum(), (x * x).sum()])
    show(x.grad)
    torch.autograd.backward([x * 2, (x * x).sum()], [torch.ones(2), None])
    show(x.grad)
    fails(lambda: torch.autograd.backward((x * 2, x * 3), [torch.ones(2)]))
    fails(lambda: torch.autograd.backward(x * 2))
    fails(lambda: torch.ones(1).backward())
    fails(lambda: x.detach().sum().backward())
    fails(lambda: (x * 2).backward(torch.ones(3)))


def same_tensor_twice_as_root(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    torch.autograd.backward([y, y])
    show(x.grad)


def root_that_leads_to_another_root(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    z = (y * 3).sum()
    torch.autograd.backward([z, y], [None, torch.tensor([1.0, 1.0])])
    show(x.grad)


def inputs_that_lead_to_each_other(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    z = y * 3
    show(torch.autograd.grad(z.sum(), [x, y, z]))


def integer_results_have_no_grad(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.5, 2.5], requires_grad=True)
    y = x.long()
    show(y, x.argmax(), x > 1, x.round())
    v, i = x.sort()
    show(v, i)


def no_grad_at_all(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.5, 2.5], requires_grad=True)
    with torch.no_grad():
        y = x * 2
        show(y, torch.is_grad_enabled())
        with torch.enable_grad():
            z = x * 2
            show(z)
    show(torch.is_grad_enabled())
    fails(lambda: y.sum().backward())

    @torch.no_grad()
    def f(t):
        return t * 2

    show(f(x))

    @torch.no_grad
    def f(t):
        return t * 2

    show(f(x))
    with torch.set_grad_enabled(False):
        show(x * 2)
    torch.set_grad_enabled(False)
    show(x * 2)
    torch.set_grad_enabled(True)

    @torch.enable_grad()
    def g(t):
        return t * 2

    with torch.no_grad():
        show(g(x))

    @torch.no_grad()
    def gen():
        yield torch.is_grad_enabled()
        yield torch.is_grad_enabled()

    out = []
    for m in gen():
        out.append((m, torch.is_grad_enabled()))
    show(out)


def set_grad_enabled_as_function(torch: Any, show: Any, fails: Any) -> None:
    show(torch.is_grad_enabled())

    @torch.set_grad_enabled(False)
    def f():
        return torch.is_grad_enabled()

    show(f(), torch.is_grad_enabled())


def requires_grad_flags(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.5, 2.5], requires_grad=True)
    show(x.detach(), x.data, x.clone(), x.detach().clone())
    y = x.detach().requires_grad_()
    show(y, y is x)
    show(torch.zeros_like(x), torch.zeros_like(x, requires_grad=True))
    show(x.new_zeros(2), torch.tensor([1.0], requires_grad=True).requires_grad_(False))


def numpy(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([1.5, 2.5], requires_grad=True)
    fails(lambda: x.numpy())
    fails(lambda: (x * 2).numpy())
    show(x.detach().numpy().tolist(), x.numpy(force=True).tolist())
    show(float(x.sum()), x.sum().item(), x.tolist())


def broadcast(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(3, 1, requires_grad=True)
    y = torch.ones(2, requires_grad=True)
    z = torch.tensor(2.0, requires_grad=True)
    (x * y * z + y).sum().backward()
    show(x.grad, y.grad, z.grad)


def dtypes_mix(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(3, requires_grad=True)
    y = torch.ones(3, dtype=torch.float64, requires_grad=True)
    (x * y).sum().backward()
    show(x.grad, y.grad)


def empty(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(0, 3, requires_grad=True)
    x.sum().backward()
    show(x.grad)
    (x * 2).mean(1).sum().backward()
    show(x.grad)


def leaf_in_two_places_with_hooks_and_accumulate(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(2, requires_grad=True)
    y = x * 1
    z = y * 2 + y * 3
    (z + x).sum().backward()
    show(x.grad)


def detached_branch(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(2, requires_grad=True)
    y = x * 3
    (y * y.detach()).sum().backward()
    show(x.grad)


def variable(torch: Any, show: Any, fails: Any) -> None:
    Variable = torch.autograd.Variable
    x = torch.ones(2)
    v = Variable(x, requires_grad=True)
    show(v, x, v is x, isinstance(x, Variable), isinstance(3, Variable))
    (v * v).sum().backward()
    show(v.grad)
    show(Variable(v * 2), Variable(torch.tensor([1, 2])))
    fails(lambda: Variable(3))


def anomaly(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor([0.0, 4.0], requires_grad=True)
    with torch.autograd.detect_anomaly():
        y = (x.sqrt() * 0).sum()
        fails(lambda: y.backward())
        show(torch.is_anomaly_enabled() if hasattr(torch, "is_anomaly_enabled") else True)
    y = (x.sqrt() * 0).sum()
    y.backward()
    show(x.grad)
    with torch.autograd.set_detect_anomaly(True):
        fails(lambda: (x.sqrt() * 0).sum().backward())
    with torch.autograd.detect_anomaly(check_nan=False):
        (x.sqrt() * 0).sum().backward()


def chain_through_python_containers(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(2, requires_grad=True)
    l = [x * i for i in range(4)]
    sum(l).sum().backward()
    show(x.grad)


def stack_cat(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(2, requires_grad=True)
    w = torch.arange(2.0, requires_grad=True)
    y = torch.stack([x, w, x * w])
    torch.cat([y, y * 2]).pow(2).sum().backward()
    show(x.grad, w.grad)


def saved_leaf_updated_before_backward_departure(torch: Any, show: Any, fails: Any) -> None:
    x = torch.ones(2, requires_grad=True)
    y = x + 1
    with torch.no_grad():
        x.mul_(5)
    y.sum().backward()
    show(x, x.grad)


def grad_of_scalar_type_promoted(torch: Any, show: Any, fails: Any) -> None:
    x = torch.tensor(2.0, dtype=torch.float16, requires_grad=True)
    (x * 3).backward()
    show(x.grad)


def whether_a_derivative_depends_on_the_result(torch: Any, show: Any, fails: Any) -> None:
    functions = (
        *(lambda x, w: x / w, lambda x, w: 1.0 / x, lambda x, w: x**2, lambda x, w: x**w),
        *(lambda x, w: 2.0**x, lambda x, w: x.exp(), lambda x, w: x.log(), lambda x, w: x.sqrt()),
        *(lambda x, w: x.rsqrt(), lambda x, w: x.tanh(), lambda x, w: x.sigmoid()),
        *(lambda x, w: x.softmax(0), lambda x, w: x.log_softmax(0), lambda x, w: x.logsumexp(0)),
        *(lambda x, w: x.norm(), lambda x, w: x.std(), lambda x, w: x.var()),
        *(lambda x, w: torch.atan2(x, w), lambda x, w: x.tan(), lambda x, w: x.erf()),
        lambda x, w: torch.nn.functional.elu(x - 0.6),
    )
    for function in functions:
        x = torch.tensor([0.5, 0.7, 0.9], dtype=torch.float64, requires_grad=True)
        w = torch.tensor([1.5, 1.7, 1.9], dtype=torch.float64, requires_grad=True)
        y = function(x, w)
        first = torch.autograd.grad((y * y).sum(), (x, w), create_graph=True, allow_unused=True)
        total = sum(g.sum() for g in first if g is not None)
        show(total, torch.autograd.grad(total, y, allow_unused=True))


@pytest.mark.parametrize("program", programs(globals()), ids=lambda program: program.__name__)
def test_agrees(program: Program) -> None:
    assert_agrees(program)
