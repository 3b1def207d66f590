"""Strides of views are PyTorch's, for random shapes, orders, cuts and repetitions."""

from __future__ import annotations

import random

import pytest

from tidu.base.strides import view_strides

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")


def _memory(pick: random.Random) -> torch.Tensor:
    """A tensor that is transposed, cut, repeated, or none of it."""
    rank = pick.randint(0, 4)
    x = torch.zeros([pick.choice([1, 1, 2, 3, 4]) for _ in range(rank)])
    if rank and pick.random() < 0.6:
        x = x.permute(pick.sample(range(rank), rank))
    if rank and pick.random() < 0.4:
        dim = pick.randrange(rank)
        x = x.narrow(dim, 0, pick.randint(1, x.shape[dim]))
    if rank and pick.random() < 0.2:
        x = x[:1].expand(pick.randint(1, 3), *x.shape[1:])
    return x.unsqueeze(pick.randint(0, x.dim())) if pick.random() < 0.3 else x


def _shape(pick: random.Random, count: int) -> list[int]:
    """Some shape of `count` elements."""
    sizes = []
    while count > 1 and pick.random() < 0.8:
        sizes.append(pick.choice([n for n in range(1, count + 1) if count % n == 0]))
        count //= sizes[-1]
    sizes += [count] if count > 1 else []
    sizes += [1] * pick.randint(0, 2)
    pick.shuffle(sizes)
    return sizes


@pytest.mark.parametrize("seed", range(10))
def test_view_strides_are_those_of_pytorch(seed: int) -> None:
    pick = random.Random(seed)
    outcomes = set()
    for _ in range(200):
        x = _memory(pick)
        shape = _shape(pick, x.numel())
        try:
            expected = x.view(shape).stride()
        except RuntimeError:
            expected = None
        outcomes.add(expected is None)
        assert view_strides(tuple(x.shape), x.stride(), tuple(shape)) == expected, (x.shape, shape)
    assert outcomes == {True, False}
