"""Strides of results, against PyTorch's, for operands that lie in memory in any way."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidu.base.strides import (
    channels_are_last,
    contiguous_strides,
    is_dense,
    memory_order,
    result_strides,
    strides_like,
)

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")


@st.composite
def operands(draw: st.DrawFn, most: int = 3) -> list[Any]:
    """Tensors that broadcast: permuted, sliced, repeated, with sizes of 1 and fewer dimensions."""
    shape = draw(st.lists(st.sampled_from([1, 1, 2, 3, 4]), min_size=1, max_size=5))
    count = draw(st.integers(1, most))
    return [_operand(draw, shape) for _ in range(count)]


def _operand(draw: st.DrawFn, shape: list[int]) -> Any:
    order = draw(st.permutations(range(len(shape))))
    sizes = [shape[d] for d in order]
    steps = [slice(None)] * len(sizes)
    how = draw(st.sampled_from(["dense", "dense", "sliced", "repeated", "broadcast"]))
    if how == "sliced":
        place = draw(st.integers(0, len(sizes) - 1))
        steps[place] = slice(None, None, 2)
        sizes[place] *= 2
    made = torch.zeros(sizes)[tuple(steps)]
    if how == "repeated":
        place = draw(st.integers(0, len(sizes) - 1))
        made = made.narrow(place, 0, 1).expand([shape[d] for d in order])
    made = made.permute([list(order).index(d) for d in range(len(order))])
    if how == "broadcast":
        for d in range(made.dim()):
            if draw(st.booleans()):
                made = made.narrow(d, 0, 1)
        while made.dim() > 1 and made.shape[0] == 1 and draw(st.booleans()):
            made = made[0]
    return made


def _described(tensors: list[Any]) -> tuple[Any, ...]:
    return tuple((tuple(x.shape), x.stride()) for x in tensors)


def _full(shape: Any, strides: Any) -> Any:
    return contiguous_strides(tuple(shape)) if strides is None else strides


@settings(max_examples=400, deadline=None)
@given(operands())
def test_results_of_elementwise_operations_lie_as_pytorchs(tensors: list[Any]) -> None:
    one, two, three = (tensors * 3)[:3]
    result = (torch.neg, torch.mul, torch.addcmul)[len(tensors) - 1](
        *(one, two, three)[: len(tensors)]
    )
    found = result_strides(tuple(result.shape), _described(tensors))
    assert _full(result.shape, found) == result.stride()


@settings(max_examples=300, deadline=None)
@given(operands(most=1))
def test_copies_and_fresh_tensors_lie_as_pytorchs(tensors: list[Any]) -> None:
    (x,) = tensors
    found = _full(x.shape, strides_like(tuple(x.shape), x.stride()))
    assert found == torch.empty_like(x).stride() == x.clone().stride() == x.double().stride()


@settings(max_examples=300, deadline=None)
@given(operands(most=1))
def test_memory_without_gaps_is_told_from_other_memory(tensors: list[Any]) -> None:
    (x,) = tensors
    places = {
        sum(i * s for i, s in zip(at, x.stride(), strict=True))
        for at in torch.ones(x.shape).nonzero().tolist()
    }
    assert is_dense(tuple(x.shape), x.stride()) == (places == set(range(x.numel())))


@settings(max_examples=200, deadline=None)
@given(operands(most=1))
def test_random_numbers_fill_memory_in_its_order(tensors: list[Any]) -> None:
    x = torch.empty_like(tensors[0])
    torch.manual_seed(0)
    x.uniform_()
    torch.manual_seed(0)
    order = memory_order(tuple(x.shape), x.stride()) or range(x.dim())
    drawn = torch.empty([x.shape[d] for d in order]).uniform_()
    assert torch.equal(x.permute(*order), drawn)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(2, 4), min_size=4, max_size=4), st.permutations(range(4)))
def test_images_with_their_channels_last_are_recognised(shape: list[int], order: Any) -> None:
    x = torch.zeros([shape[d] for d in order]).permute([list(order).index(d) for d in range(4)])
    pooled = torch.nn.functional.max_pool2d(x, 1)
    suggested = not pooled.is_contiguous()
    assert channels_are_last(tuple(x.shape), x.stride()) == suggested
