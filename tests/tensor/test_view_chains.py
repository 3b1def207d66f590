"""A view of a view of a view: what it shows, where it writes to, and what it costs."""

from __future__ import annotations

import pytest

import tidu


def test_a_chain_of_reshapes_does_not_grow() -> None:
    x = tidu.arange(6.0)
    y = x
    for _ in range(50):
        y = y.view(2, 3).view(3, 2)
    assert y._chain is not None
    assert len(y._chain) == 1
    assert y.tolist() == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]


def test_writing_through_a_chain_of_reshapes_reaches_the_base() -> None:
    x = tidu.arange(6.0)
    y = x.view(2, 3).view(3, 2).view(6).view(2, 3)
    y[1, 0] = 10.0
    assert x.tolist() == [0.0, 1.0, 2.0, 10.0, 4.0, 5.0]


def test_reshapes_between_other_movements_are_kept() -> None:
    x = tidu.arange(12.0).view(3, 4)
    y = x.t()[1:3].unsqueeze(0).unsqueeze(2)
    assert y.shape == (1, 2, 1, 3)
    assert y.stride(1) == 1
    assert y.stride(3) == 4
    assert y.flatten().tolist() == [1.0, 5.0, 9.0, 2.0, 6.0, 10.0]
    y.zero_()
    assert x.tolist() == [[0.0, 0.0, 0.0, 3.0], [4.0, 0.0, 0.0, 7.0], [8.0, 0.0, 0.0, 11.0]]


def test_a_view_of_memory_that_is_itself_reshaped_is_no_view_of_another_shape() -> None:
    base = tidu.arange(6.0).view(2, 3).detach()  # a tensor of its own over reshaped memory
    part = base.view(3, 2)
    part[0, 0] = 7.0
    assert base.tolist() == [[7.0, 1.0, 2.0], [3.0, 4.0, 5.0]]


def test_gradients_pass_through_edits_of_a_chain_of_reshapes() -> None:
    x = tidu.ones(6, requires_grad=True)
    y = x * 2.0
    part = y.view(2, 3).view(3, 2)
    part[0] = 0.0
    (y * tidu.arange(6.0)).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 0.0, 4.0, 6.0, 8.0, 10.0]
    assert part.requires_grad


@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (2, 0)])
def test_reshapes_of_few_elements(shape: tuple[int, ...]) -> None:
    x = tidu.zeros(shape)
    assert x.view(-1 if x.numel() else 0).view(shape).shape == shape
    with pytest.raises(RuntimeError, match="is invalid for input of size"):
        x.view(7)
    with pytest.raises(RuntimeError, match="invalid shape dimension"):
        x.view(-1, -2) if x.numel() else x.view(0, -2)


def test_a_view_may_be_what_makes_the_pending_list_overflow() -> None:
    x = tidu.zeros(4, requires_grad=True)
    with tidu.no_grad():
        for _ in range(4000):
            x.mul_(0.5)
            x[0] = 1.0
            x[1:3].add_(1.0)
    assert x.tolist() == pytest.approx([1.0, 2.0, 2.0, 0.0])
