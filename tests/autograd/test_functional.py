"""Jacobians, Hessians and their products with vectors."""

from __future__ import annotations

from typing import Any

import pytest

from tests.autograd.agreement import Program, assert_agrees, programs


def shapes_and_values(torch: Any, show: Any, fails: Any) -> None:
    F = torch.autograd.functional
    x = torch.tensor([1.0, 2.0])
    y = torch.tensor([3.0, 4.0])
    f = lambda t: t**3
    s = lambda t: (t**3).sum()
    show(
        F.vjp(f, x, x),
        F.jvp(f, x, x),
        F.jacobian(f, x),
        F.hessian(s, x),
        F.vhp(s, x, x),
        F.hvp(s, x, x),
    )
    g = lambda t, u: (t * u, t.sum())
    show(F.jacobian(g, (x, y)))
    show(F.vjp(g, (x, y), (x, torch.tensor(2.0))))
    show(F.jvp(g, (x, y), (x, y)))
    h = lambda t, u: (t**2 * u).sum()
    show(F.hessian(h, (x, y)))
    show(F.hvp(h, (x, y), (y, x)), F.vhp(h, (x, y), (y, x)))
    m = torch.arange(6.0).view(2, 3)
    show(F.jacobian(lambda t: t @ t.t(), m))
    show(
        F.jacobian(lambda t: t.sum(1), m, vectorize=True),
        F.jacobian(lambda t: t.sum(1), m, vectorize=True, strategy="forward-mode"),
    )
    show(F.hessian(lambda t: (t**2).sum().reshape(1), x))
    show(
        F.vjp(s, x),
        F.jvp(lambda t: t * 2, torch.tensor(2.0)),
        F.hvp(lambda t: t**2, torch.tensor(2.0)),
    )


def independent(torch: Any, show: Any, fails: Any) -> None:
    F = torch.autograd.functional
    x = torch.tensor([1.0, 2.0])
    y = torch.tensor([3.0, 4.0])
    for strict in (False, True):
        fails(lambda: F.jacobian(lambda t: y.sum(), x, strict=strict))
        fails(lambda: F.jacobian(lambda t, u: (t**3).sum(), (x, y), strict=strict))
        fails(lambda: F.hessian(lambda t: t.sum(), x, strict=strict))
        fails(lambda: F.hessian(lambda t, u: (t**3).sum(), (x, y), strict=strict))
        fails(lambda: F.vhp(lambda t, u: (t**3).sum(), (x, y), (x, y), strict=strict))
        fails(lambda: F.hvp(lambda t: t.sum(), x, x, strict=strict))
        fails(lambda: F.vjp(lambda t: y.sum(), x, strict=strict))
        fails(lambda: F.jvp(lambda t: y.sum(), x, x, strict=strict))
        fails(lambda: F.jvp(lambda t, u: (t**3).sum(), (x, y), (x, y), strict=strict))
        fails(lambda: F.vjp(lambda t, u: (t**3).sum(), (x, y), strict=strict))


def wrong_arguments(torch: Any, show: Any, fails: Any) -> None:
    F = torch.autograd.functional
    x = torch.tensor([1.0, 2.0])
    s = lambda t: (t**3).sum()
    for name in ("vjp", "jvp", "jacobian", "hessian", "vhp", "hvp"):
        f = getattr(F, name)
        v = (x,) if name in ("vjp", "jvp", "vhp", "hvp") else ()
        fails(lambda: f(s, 3, *v))
        fails(lambda: f(s, [x], *v))
        fails(lambda: f(s, (x, 3), *v))
        fails(lambda: f(lambda t: 3, x, *v))
    for name in ("vjp", "jvp", "vhp", "hvp"):
        f = getattr(F, name)
        fails(lambda: f(lambda t: t**3, x))
        fails(lambda: f(s, x, torch.ones(3)))
        fails(lambda: f(s, x, (x, x)))
    for name in ("hessian", "vhp", "hvp"):
        f = getattr(F, name)
        v = (x,) if name != "hessian" else ()
        fails(lambda: f(lambda t: t**3, x, *v))
        fails(lambda: f(lambda t: (t.sum(), t.sum()), x, *v))
    fails(lambda: F.jacobian(lambda t: t**2, x, strict=True, vectorize=True))
    fails(lambda: F.jacobian(lambda t: t**2, x, strategy="foo"))


def create_graph(torch: Any, show: Any, fails: Any) -> None:
    F = torch.autograd.functional
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    s = lambda t: (t**4).sum()
    j = F.jacobian(lambda t: t**3, x, create_graph=True)
    show(j.detach(), j.requires_grad)
    j.sum().backward()
    show(x.grad)
    h = F.hessian(s, x, create_graph=True)
    show(torch.autograd.grad(h.sum(), x))
    for f in (F.vhp, F.hvp):
        y, p = f(s, x, x.detach(), create_graph=True)
        show(y, p.detach(), torch.autograd.grad(p.sum(), x))
    y, p = F.jvp(lambda t: t**3, x, x.detach(), create_graph=True)
    show(p.detach(), torch.autograd.grad(p.sum(), x))
    y, p = F.vjp(lambda t: t**3, x, x.detach(), create_graph=True)
    show(p.detach(), torch.autograd.grad(p.sum(), x))
    show(F.jacobian(lambda t: t**3, x), F.hessian(s, x))


def captured_tensors_are_constants(torch: Any, show: Any, fails: Any) -> None:
    F = torch.autograd.functional
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    show(F.jacobian(lambda t: t * x, x))
    show(x.grad)
    with torch.no_grad():
        show(F.jacobian(lambda t: t * x, x), F.hessian(lambda t: (t * t * x).sum(), x))


@pytest.mark.parametrize("program", programs(globals()), ids=lambda program: program.__name__)
def test_agrees(program: Program) -> None:
    assert_agrees(program)
