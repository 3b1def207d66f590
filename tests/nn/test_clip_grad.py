"""Clipping of gradients: PyTorch's norms and results, right where squares overflow, and nothing
read on the way.
"""

from __future__ import annotations

import math
from typing import Any

import pytest

import tidu
from tests.nn.oracle import assert_close, assert_same_answer, torch
from tidu.execute import stats

P = (
    "(lambda v, *s: (lambda p: (setattr(p, 'grad', T.full(s, v)), "
    "p)[1])(nn.Parameter(T.zeros(*s))))"
)
ANSWERS = f"""
utils.clip_grad_norm_([{P}(1.0, 2, 2), {P}(2.0, 3)], 1.0)
utils.clip_grad_norm_({P}(3.0, 4), 1.0)
utils.clip_grad_norm_([], 1.0)
utils.clip_grad_norm_([nn.Parameter(o(2))], 1.0)
utils.clip_grad_norm_([{P}(3.0, 4), {P}(4.0, 4)], 1.0, norm_type=float('inf'))
utils.clip_grad_norm_([{P}(3.0, 4), {P}(4.0, 4)], 1.0, norm_type='inf')
utils.clip_grad_norm_([{P}(3.0, 4), {P}(4.0, 4)], 1.0, norm_type=1)
utils.clip_grad_norm_([{P}(3.0, 4), {P}(4.0, 4)], 1.0, norm_type=3)
utils.clip_grad_norm_([{P}(3.0, 4), {P}(4.0, 4)], 1.0, norm_type=0)
utils.clip_grad_norm_([{P}(3.0, 4), {P}(-4.0, 4)], 1.0, norm_type=-1)
utils.clip_grad_norm_([{P}(float('nan'), 4)], 1.0)
utils.clip_grad_norm_([{P}(float('inf'), 4)], 1.0)
utils.clip_grad_norm_([{P}(float('nan'), 4)], 1.0, error_if_nonfinite=True)
(lambda p: (utils.clip_grad_norm_(p, 1.0), p.grad))({P}(3.0, 4))
(lambda p: (utils.clip_grad_norm_(p, 1.0), p.grad))({P}(0.1, 4))
(lambda p: (utils.clip_grad_norm_(p, T.tensor(1.0)), p.grad))({P}(3.0, 4))
(lambda p: (utils.clip_grad_value_([p], 1.0), p.grad))({P}(-3.0, 4))
(lambda p: (utils.clip_grads_with_norm_([p], 1.0, T.tensor(6.0)), p.grad))({P}(3.0, 4))
utils.get_total_norm([o(2), o(3)])
utils.get_total_norm(o(3))
utils.get_total_norm([o(2).half(), o(3).half()])
utils.get_total_norm([o(2).long()])
utils.get_total_norm([])
utils.parameters_to_vector([o(2, 2), o(3)])
utils.vector_to_parameters(3, [o(2)])
utils.vector_to_parameters(o(4), [nn.Parameter(o(2)), nn.Parameter(o(3))])
(lambda p: (utils.vector_to_parameters(T.arange(3.0), [p]), p))(nn.Parameter(o(3, 1)))
""".strip().split("\n")


@pytest.mark.parametrize("statement", ANSWERS)
def test_answers_are_those_of_pytorch(statement: str) -> None:
    assert_same_answer(statement)


@pytest.mark.parametrize("dtype", [tidu.float32, tidu.float64])
@pytest.mark.parametrize("size", [1e20, 1e-30, 1.0])
def test_the_norm_is_right_where_squares_overflow(dtype: Any, size: float) -> None:
    if dtype is tidu.float64:
        size = size**10
    parameters = [tidu.nn.Parameter(tidu.zeros((), dtype=dtype)) for _ in range(100)]
    for p in parameters:
        p.grad = tidu.full((), size, dtype=dtype)
    norm = tidu.nn.utils.clip_grad_norm_(parameters, size)
    assert math.isclose(float(norm), 10 * size, rel_tol=1e-6)


def test_nothing_is_read_on_the_way() -> None:
    model = tidu.nn.Linear(3, 2)
    model(tidu.ones(1, 3)).sum().backward()
    tidu.execute.realize()
    before = stats()["regions"]
    tidu.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
    tidu.nn.utils.clip_grad_value_(model.parameters(), 0.01)
    assert stats()["regions"] == before
    assert float(model.weight.grad.max()) <= 0.01


def test_a_training_step_with_clipping_follows_pytorch() -> None:
    weights = []
    for library in (torch, tidu):
        library.manual_seed(0)
        model = library.nn.Linear(4, 3).double()
        optimizer = library.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            (model(library.ones(2, 4).double()) ** 2).sum().backward()
            library.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
        weights.append(model.weight)
    assert_close(weights[1], weights[0])
