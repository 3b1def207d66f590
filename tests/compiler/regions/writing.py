"""Steps that write: in place, backward passes, updates of parameters."""

from __future__ import annotations

import tidu
from tests.compiler.regions.pool import Item, Pool, broadcasts


def leaf(p: Pool, first: int, second: int, how: int) -> Item:
    return p.leaf(first, second, how)


def in_place(p: Pool, first: int, second: int, how: int) -> Item | None:
    x = p.any(first)
    a = x.tensor
    y = p.find(
        second,
        lambda y: (
            broadcasts(a.shape, y.tensor.shape)
            and len(y.tensor.shape) <= a.dim()
            and all(
                m in (1, n)
                for n, m in zip(reversed(a.shape), reversed(y.tensor.shape), strict=False)
            )
            and y.exact is not None
        ),
    )
    b = a if y is None else y.tensor
    # What is written may be seen through every view: a number that is not exact goes only where
    # none was before.
    number = 0.3 if x.exact is None else 1
    choices = [
        lambda: a.add_(b),
        lambda: a.mul_(number),
        lambda: a.copy_(b),
        lambda: a.zero_(),
        lambda: a.fill_(1),
        lambda: a.__setitem__(0, 1),
        lambda: a.__setitem__((Ellipsis, slice(None, None, 2)), 2),
        lambda: a.add_(1),
        lambda: a.neg_(),
        lambda: a.masked_fill_(a == a, 1),
        lambda: a.__setitem__((slice(1, None),), b),
        lambda: a.t_() if a.dim() == 2 else None,
        lambda: a.flip(0).add_(b),
        lambda: a.detach().mul_(2),
    ]
    # Exactness would have to be followed through all views: none is left that shares memory.
    choices[how % len(choices)]()
    p.items = [Item(z.tensor, None) if z.tensor.dtype.is_floating_point else z for z in p.items]
    return None


def backward(p: Pool, first: int, second: int, how: int) -> Item | None:
    x = p.find(first, lambda y: y.tensor.requires_grad)
    if x is None or not x.tensor.numel():
        return None
    loss = (x.tensor * 0.5).sum() if how % 2 else x.tensor.mean()
    loss.backward(retain_graph=bool(second % 2))
    return None


def second_order(p: Pool, first: int, second: int, how: int) -> Item | None:
    x = p.find(first, lambda y: y.tensor.requires_grad)
    if x is None or not p.leaves:
        return None
    leaf = p.leaves[second % len(p.leaves)]
    (slope,) = tidu.autograd.grad(
        (x.tensor * x.tensor).sum() * 0.1, leaf, create_graph=True, allow_unused=True
    )
    return None if slope is None else Item(slope, None)


def update(p: Pool, first: int, second: int, how: int) -> Item | None:
    for leaf in p.leaves:
        if leaf.grad is not None:
            with tidu.no_grad():
                leaf.sub_(leaf.grad * 0.01)
            if how % 2:
                leaf.grad = None
    p.items = [Item(z.tensor, None) if z.tensor.dtype.is_floating_point else z for z in p.items]
    return None


def realize(p: Pool, first: int, second: int, how: int) -> Item | None:
    tidu.realize()
    return None
