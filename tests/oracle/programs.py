"""Random programs of arithmetic, views, in-place writes, cuts and backward passes, for any library
with PyTorch's interface.

A program is a list of steps, each four integers; a step picks its tensors among those made so far.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

SHAPES = [(), (3,), (2, 3), (3, 2), (2, 1, 3), (1, 3), (4,)]


class Machine:
    """The state of one program under one library."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.tensors: list[Any] = []
        self.rng = np.random.default_rng(0)

    def new(self, shape: tuple[int, ...], requires_grad: bool) -> None:
        array = self.rng.uniform(-1.0, 1.0, shape)
        tensor = self.module.tensor(array.tolist(), dtype=self.module.float64)
        self.tensors.append(tensor.requires_grad_() if requires_grad else tensor)


# Each operation gets the machine and two tensors (and a third number to vary it), and returns a
# tensor or None.


def _views(t: Any, how: int) -> Any:
    """A view of t (of its first dimension or two), by one of the ways to make one."""
    choices = [
        lambda: t.reshape(-1),
        lambda: t.t() if t.dim() <= 2 else t.transpose(0, 2),
        lambda: t[0],
        lambda: t[1:],
        lambda: t[..., :2],
        lambda: t.unsqueeze(how % (t.dim() + 1)),
        lambda: t.squeeze(),
        lambda: t.expand(2, *t.shape),
        lambda: t[::2],
        lambda: t.view(t.shape),
        lambda: t.detach(),
        lambda: t.transpose(-1, 0),
        lambda: t.narrow(0, 0, 1),
        lambda: t.diagonal(),
        lambda: t.flatten(),
        lambda: t.data,
        lambda: t.select(-1, 0),
        lambda: t[None],
        lambda: t.permute(tuple(range(t.dim())[::-1])),
        lambda: t.movedim(0, -1),
        lambda: t.unflatten(0, (-1, 1)),
        lambda: t.view(-1),
    ]
    return choices[how % len(choices)]()


def _unary(m: Any, t: Any, how: int) -> Any:
    choices = [
        lambda: t * 0.5 + 1.0,
        lambda: t.tanh(),
        lambda: m.sigmoid(t),
        lambda: -t,
        lambda: t**2 * 0.3,
        lambda: m.sin(t),
        lambda: t.clone(),
        lambda: t.relu(),
        lambda: t.abs(),
        lambda: m.exp(-t * t),
        lambda: t.clamp(-0.5, 0.5),
        lambda: 1.0 / (t * t + 1.0),
        lambda: m.where(t > 0, t, t * 0.1),
        lambda: t.flip(0),
        lambda: t.repeat(2, *[1] * max(t.dim() - 1, 0)),
        lambda: m.sqrt(t * t + 0.5),
        lambda: t.contiguous(),
    ]
    return choices[how % len(choices)]()


def _binary(m: Any, a: Any, b: Any, how: int) -> Any:
    choices = [
        lambda: a + b,
        lambda: a * b * 0.5,
        lambda: a - b,
        lambda: a / (b * b + 1.0),
        lambda: m.maximum(a, b),
        lambda: m.stack([a, b]),
        lambda: m.cat([a, b]),
        lambda: (a @ b) * 0.3,
        lambda: m.where(a < b, a, b),
    ]
    return choices[how % len(choices)]()


def _reduce(m: Any, t: Any, how: int) -> Any:
    choices = [
        lambda: t.sum(),
        lambda: t.mean(),
        lambda: t.sum(0),
        lambda: t.mean(-1, keepdim=True),
        lambda: t.amax(0) if t.numel() else t,
        lambda: t.var(unbiased=False) if t.numel() else t,
        lambda: t.sum(-1, keepdim=True),
        lambda: t.prod(),
    ]
    return choices[how % len(choices)]()


def _in_place(a: Any, b: Any, how: int) -> None:
    choices = [
        lambda: a.add_(b),
        lambda: a.mul_(b),
        lambda: a.copy_(b),
        lambda: a.zero_(),
        lambda: a.fill_(0.7),
        lambda: a.__setitem__(0, 0.25),
        lambda: a.__setitem__(slice(1, None), b),
        lambda: a.__setitem__(a > 0, 0.1),
        lambda: a.sub_(0.5),
        lambda: a.tanh_(),
        lambda: a.add_(b, alpha=2),
        lambda: a.clamp_(-0.4, 0.4),
        lambda: a.__setitem__(Ellipsis, b),
        lambda: a.__imul__(0.5),
        lambda: a.__setitem__([0, 0], b.clone()) if len(a) else None,
        lambda: a.exp_(),
        lambda: a.neg_(),
    ]
    choices[how % len(choices)]()


def _special(machine: Machine, a: Any, b: Any, how: int) -> Any:
    m = machine.module

    def backward() -> None:
        a.sum().backward(retain_graph=bool(how // 16 % 2))

    def grad_zero() -> None:
        if a.is_leaf and a.grad is not None:
            a.grad.zero_() if how // 16 % 2 else setattr(a, "grad", None)

    def second_order() -> Any:
        (g,) = m.autograd.grad(a.sum(), b, create_graph=True, allow_unused=True)
        # Gradients lie by rows, where PyTorch's may lie as results on the way did.
        return None if g is None else g.clone(memory_format=m.contiguous_format)

    def set_data() -> None:
        if a.shape == b.shape and a._base is None:
            a.data = b.data

    def update() -> None:
        if a.is_leaf and a.grad is not None:
            with m.no_grad():
                a.sub_(a.grad * 0.1)

    def no_grad() -> Any:
        with m.no_grad():
            return a * 0.5

    def write_unseen() -> None:
        a.data.mul_(0.5)

    def write_under_no_grad() -> None:
        with m.no_grad():
            a.add_(0.125)

    choices = [
        backward,
        grad_zero,
        second_order,
        set_data,
        update,
        no_grad,
        write_unseen,
        write_under_no_grad,
        backward,
        lambda: a.retain_grad(),
        backward,
        lambda: a.detach().requires_grad_(),
    ]
    return choices[how % len(choices)]()


STEP = st.tuples(st.integers(0, 9), st.integers(0, 63), st.integers(0, 63), st.integers(0, 63))


def run_step(machine: Machine, step: tuple[int, int, int, int]) -> str | None:
    """One step; returns the type of the exception it raised, if any."""
    kind, first, second, how = step
    if not machine.tensors or kind == 0:
        machine.new(SHAPES[first % len(SHAPES)], bool(second % 2))
        return None
    a = machine.tensors[first % len(machine.tensors)]
    b = machine.tensors[second % len(machine.tensors)]
    m = machine.module
    try:
        result = None
        if kind in (1, 2):
            result = _views(a, how)
        elif kind in (3, 4, 5):
            choose = {3: _unary, 4: _binary, 5: _reduce}[kind]
            result = choose(m, a, b, how) if kind == 4 else choose(m, a, how)
        elif kind in (6, 7):
            if any(n > 1 and s == 0 for n, s in zip(a.shape, a.stride(), strict=True)):
                how = 0  # of the writes to expanded memory, PyTorch refuses only some
            # PyTorch refuses sources that overlap what is written; Values cannot overlap, so tidu
            # need not.
            _in_place(a, b if b is a else b.clone(), how)
        else:
            result = _special(machine, a, b, how)
    except (RuntimeError, IndexError, ValueError, TypeError) as error:
        return type(error).__name__
    if result is not None:
        machine.tensors.append(result)
    return None
