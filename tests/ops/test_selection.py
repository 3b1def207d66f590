"""Extremes, choosing, gathering and scattering as users call them, against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tidu
from tests.ops.agreement import Call, agree, array, same_error

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
pytestmark = [
    pytest.mark.filterwarnings("ignore:index_reduce"),
    pytest.mark.filterwarnings("ignore:The reduce argument"),
]

X = array(3, 4)
Y = array(3, 4, seed=1)
MASK = X > 0
ROWS = np.array([2, 0, 2])
PLACES = np.array([[0, 2, 1, 1], [2, 0, 0, 1]])

CALLS: dict[str, tuple[Call, tuple[Any, ...]]] = {
    "max": (lambda T, x: T.max(x), (X,)),
    "max of equal elements": (lambda T, x: T.max(x), (np.ones((2, 2)),)),
    "max along": (lambda T, x: x.max(1), (X,)),
    "max along, kept": (lambda T, x: T.max(x, dim=0, keepdim=True), (X,)),
    "max along, equal elements": (lambda T, x: x.max(0), (np.ones((3, 2)),)),
    "max of two": (lambda T, x, y: T.max(x, y), (X, Y)),
    "min with axis": (lambda T, x: x.min(axis=1), (X,)),
    "min of integers": (lambda T, x: x.min(0), (ROWS,)),
    "max of bools": (lambda T, x: x.max(0), (MASK,)),
    "aminmax": (lambda T, x: T.aminmax(x, dim=1), (X,)),
    "where": (lambda T, c, x, y: T.where(c, x, y), (MASK, X, Y)),
    "where of numbers": (lambda T, c: T.where(c, 1.0, 2), (MASK,)),
    "where alone": (lambda T, x: T.where(x > 0), (X.round(),)),
    "where method": (lambda T, x: x.where(x > 0, -1.0), (X,)),
    "masked_fill": (lambda T, x, m: x.masked_fill(m, -9.0), (X, MASK)),
    "masked_fill of integers": (lambda T, x: x.masked_fill(x > 1, 1.7), (ROWS,)),
    "masked_fill by tensor": (lambda T, x, m, v: x.masked_fill(m, v), (X, MASK, np.float64(3))),
    "masked_scatter": (lambda T, x, m, s: x.masked_scatter(m, s), (X, MASK, Y)),
    "masked_select": (lambda T, x, m: x.masked_select(m), (X, MASK)),
    "masked_select broadcast": (lambda T, x, m: T.masked_select(x, m), (X, MASK[0])),
    "gather": (lambda T, x, i: x.gather(0, i), (X, PLACES)),
    "gather one number": (lambda T, x, i: x[0].gather(0, i[0, 1]), (X, PLACES)),
    "take_along_dim": (lambda T, x, i: T.take_along_dim(x, i[:, :1] - 1, 1), (X[:2], PLACES)),
    "index_select": (lambda T, x, i: x.index_select(0, i), (X, ROWS)),
    "index_add": (lambda T, x, i, s: x.index_add(0, i, s, alpha=2), (X, ROWS, Y)),
    "index_copy": (lambda T, x, i, s: x.index_copy(0, i, s), (X, ROWS[:2], Y[:2])),
    "index_fill": (lambda T, x, i, v: x.index_fill(0, i, v), (X, ROWS, np.float64(3))),
    "index_put": (lambda T, x, i, v: T.index_put(x, (i,), v, accumulate=True), (X, ROWS, Y)),
    "index_put mask": (lambda T, x, m, v: T.index_put(x, (m,), v), (X, MASK, np.float64(3))),
    "index_reduce": (lambda T, x, i, s: x.index_reduce(0, i, s, "prod"), (X, ROWS, Y)),
    "take": (lambda T, x, i: x.take(i), (X, PLACES - 3)),
    "put": (lambda T, x, i, s: x.put(i, s, accumulate=True), (X, ROWS, Y[0, :3])),
    "scatter": (lambda T, x, i, s: x.scatter(0, i, s), (X, PLACES[:1], Y[:1])),
    "scatter number": (lambda T, x, i: x.scatter(0, i, 2.5), (X, PLACES)),
    "scatter and add": (
        lambda T, x, i: x.detach().scatter(0, i, 2.5, reduce="add"),
        (X, PLACES[:1]),
    ),
    "scatter_add": (lambda T, x, i, s: x.scatter_add(0, i, s), (X, PLACES, Y[:2])),
    "scatter with numbers": (
        lambda T, x, i, s: x[0].scatter(0, i[0, 0], s[0, 0]),
        (X, PLACES, Y),
    ),
    "select_scatter": (lambda T, x, s: T.select_scatter(x, s, 0, -1), (X, Y[0])),
    "slice_scatter": (lambda T, x, s: T.slice_scatter(x, s, 1, 0, 4, 2), (X, Y[:, :2])),
    "diagonal_scatter": (lambda T, x, s: T.diagonal_scatter(x, s, 1), (X, Y[0, :3])),
}
for _reduce in ("sum", "prod", "mean", "amax", "amin"):
    CALLS[f"scatter_reduce {_reduce}"] = (
        lambda T, x, i, s, reduce=_reduce: x.scatter_reduce(0, i, s, reduce),
        (X, PLACES, Y[:2]),
    )
    CALLS[f"scatter_reduce {_reduce} without self"] = (
        lambda T, x, i, s, reduce=_reduce: x.scatter_reduce(0, i, s, reduce, include_self=False),
        (X, PLACES, Y[:2]),
    )


@pytest.mark.parametrize("name", CALLS)
def test_results_and_two_gradients_are_those_of_pytorch(name: str) -> None:
    call, arrays = CALLS[name]
    agree(torch, call, *arrays, order=2)


ERRORS: dict[str, tuple[Call, tuple[Any, ...]]] = {
    "max of nothing": (lambda T, x: x.max(), (np.zeros(0),)),
    "max along an empty dimension": (lambda T, x: x.max(0), (np.zeros((0, 2)),)),
    "max with a float": (lambda T, x: x.max(1.5), (X,)),
    "where without bools": (lambda T, x: T.where(x, x, x), (X,)),
    "masked_fill without bools": (lambda T, x: x.masked_fill(x, 0.0), (X,)),
    "masked_fill by a vector": (lambda T, x: x.masked_fill(x > 0, x[0]), (X,)),
    "gather beyond the end": (lambda T, x, i: x.gather(0, i), (X, PLACES + 2)),
    "index_select of negatives": (lambda T, x, i: x.index_select(0, i - 3), (X, ROWS)),
    "index_add of another dtype": (lambda T, x, i: x.index_add(0, i, x.float()), (X, ROWS)),
    "take beyond the end": (lambda T, x, i: x.take(i + 20), (X, ROWS)),
    "put of too few": (lambda T, x, i: x.put(i, x[0, :2]), (X, ROWS)),
    "scatter of another dtype": (lambda T, x, i: x.scatter(0, i, x.float()), (X, PLACES)),
    "scatter beyond the end": (lambda T, x, i: x.scatter(0, i + 2, 0.0), (X, PLACES)),
    "index_add beyond the end": (lambda T, x, i: x.index_add(0, i + 3, x), (X, ROWS)),
    "index_copy beyond the end": (lambda T, x, i: x.index_copy(0, i + 3, x), (X, ROWS)),
    "put beyond the end": (lambda T, x, i: x.put(i + 20, x[0, :3]), (X, ROWS)),
    "scatter of fewer than indices": (lambda T, x, i: x.scatter(0, i, x[:1]), (X, PLACES)),
    "scatter_add of fewer than indices": (lambda T, x, i: x.scatter_add(0, i, x[:1]), (X, PLACES)),
    "scatter_reduce of fewer than indices": (
        lambda T, x, i: x.scatter_reduce(0, i, x[:1], "sum"),
        (X, PLACES),
    ),
    "scatter with a number as index": (lambda T, x, i: x.scatter(0, i[0, 0], 0.0), (X, PLACES)),
    "scatter_reduce by an unknown rule": (
        lambda T, x, i: x.scatter_reduce(0, i, x, "most"),
        (X, PLACES),
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_those_of_pytorch(name: str) -> None:
    call, arrays = ERRORS[name]
    same_error(torch, call, *arrays)


@pytest.mark.parametrize(
    "call",
    [
        lambda T, x, i: x.gather(1, i[:, None] + 2),
        lambda T, x, i: x.scatter(1, i[:, None] - 2, 0.0),
        lambda T, x, i: x.index_select(0, i + 2),
        lambda T, x, i: x.index_copy(0, i + 2, x[:2]),
        lambda T, x, i: x[i - 9],
        lambda T, x, i: x.take(i + 12),
        lambda T, x, i: x.put(i - 14, x[0, :2]),
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_an_index_out_of_range_is_an_error_that_begins_as_pytorchs(call: Call, known: bool) -> None:
    raised = []
    for module in (torch, tidu):
        index = module.tensor([1, 2]) if known else module.arange(2).add(1)
        with pytest.raises((IndexError, RuntimeError)) as caught:
            call(module, module.ones(3, 4), index).tolist()
        raised.append((caught.type, str(caught.value)))
    (their_type, theirs), (our_type, ours) = raised
    assert issubclass(our_type, their_type)
    assert ours.startswith(theirs) and "test_selection.py" in ours


def test_named_results_unpack_index_and_print_as_pytorchs_do() -> None:
    x = [[1.0, 5.0], [4.0, 2.0]]
    ours, theirs = tidu.tensor(x).max(1), torch.tensor(x).max(1)
    assert repr(ours) == repr(theirs)
    values, indices = ours
    assert values is ours.values is ours[0] and indices is ours.indices
    assert isinstance(ours, tidu.return_types.max) and isinstance(ours, tuple)
    with pytest.raises(TypeError, match="2-sequence"):
        tidu.return_types.max((1, 2, 3))


def test_results_can_be_written_to_given_tensors() -> None:
    x = tidu.tensor([[1.0, 5.0], [4.0, 2.0]])
    values, indices = tidu.empty(2), tidu.empty(2, dtype=tidu.int64)
    out = tidu.max(x, 1, out=(values, indices))
    assert values.tolist() == [5.0, 4.0] and indices.tolist() == [1, 0]
    assert type(out).__name__ == "max"


def test_in_place_forms_write_into_the_tensor() -> None:
    x = tidu.zeros(3)
    view = x[1:]
    x.scatter_(0, tidu.tensor([1]), 5.0).index_add_(0, tidu.tensor([2]), tidu.ones(1))
    x.masked_fill_(x == 0, -1.0)
    assert x.tolist() == [-1.0, 5.0, 1.0] and view.tolist() == [5.0, 1.0]
    with pytest.raises(RuntimeError, match="broadcast shape"):
        x.masked_fill_(tidu.ones(2, 3) > 0, 0.0)


def test_an_index_out_of_range_is_caught_as_either_error_and_shown_as_pytorch_s() -> None:
    x, index = tidu.zeros(4), tidu.tensor([7])
    for error in (IndexError, RuntimeError):
        with pytest.raises(error, match="index 7 is out of bounds") as caught:
            x.gather(0, index)
        assert caught.type.__name__ == "RuntimeError"
