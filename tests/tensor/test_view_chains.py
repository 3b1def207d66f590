"""A view of a view of a view: what it shows, where it writes to, and what it costs."""

from __future__ import annotations

import numpy as np
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


def test_slices_of_slices_and_permutations_of_permutations_are_one() -> None:
    x = tidu.arange(120.0).view(2, 60)
    slices, turned, repeated = x, x, x.unsqueeze(0)
    for _ in range(20):
        slices = slices[:, 1:-1]
        turned = turned.t()
        repeated = repeated.expand(3, 2, 60)
    assert slices.tolist() == x.numpy()[:, 20:-20].tolist()
    assert turned.tolist() == x.tolist()
    assert repeated.shape == (3, 2, 60)
    # The reshape that `x` is (`unsqueeze` makes no other of it), and one movement more.
    assert [len(y._chain or ()) for y in (slices, turned, repeated)] == [2, 2, 2]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (slice(1, 9), slice(2, 5)),
        (slice(None, None, 2), slice(None, None, 2)),
        (slice(1, None, 3), slice(1, None)),
        (slice(0, 10, 3), slice(4, 9)),
        (slice(3, 3), slice(0, 5)),
        (slice(2, 9, 2), slice(-2, None, 3)),
    ],
)
def test_a_slice_of_a_slice_reads_and_writes_what_both_leave(first: slice, second: slice) -> None:
    numbers = np.arange(10.0)
    x = tidu.from_numpy(numbers.copy())
    part = x[first][second]
    assert part.tolist() == numbers[first][second].tolist()
    part += 100.0
    numbers[first][second] += 100.0
    assert x.tolist() == numbers.tolist()
    assert part.tolist() == numbers[first][second].tolist()


def test_gradients_pass_through_edits_of_slices_of_slices() -> None:
    x = tidu.ones(8, requires_grad=True)
    y = x * 2.0
    middle = y[1:7]
    part = middle[1:][::2]
    part *= 3.0
    middle[0] = 0.0
    (y * tidu.arange(8.0)).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 0.0, 12.0, 6.0, 24.0, 10.0, 36.0, 14.0]
    assert part.tolist() == [6.0, 6.0, 6.0]


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
