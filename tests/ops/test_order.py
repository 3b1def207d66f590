"""Sorting, scans, differences and statistics: the functions as users call them, against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tidu
from tests.ops.agreement import Call, agree, array, same_error

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")

X = array(3, 4)
LONG = array(50)
NAN = np.array([[2.0, np.nan, -1.0, 0.5], [1.0, 3.0, 2.0, -2.0], [np.nan] * 4])
MANY_NAN = np.array([[np.inf, 1.0, np.nan] + [0.5, np.nan] * 10])
WITH_ZEROS = np.array([[2.0, 0.0, 3.0, -1.0], [0.5, 0.0, 0.0, 2.0], [1.5, 2.0, -1.0, 0.25]])
TIES = np.array([[3.0, 1.0], [3.0, 4.0]])
TIES_AND_NAN = np.array([[3.0, np.nan], [3.0, 4.0]])
EDGES = np.array([-1.0, 0.0, 1.0])
COUNTS = np.array([2, 0, 3])

CALLS: dict[str, tuple[Call, tuple[Any, ...]]] = {
    "sort": (lambda T, x: x.sort(), (X,)),
    "sort downwards": (lambda T, x: T.sort(x, 0, descending=True), (X,)),
    "sort with NaN": (lambda T, x: x.detach().sort(descending=True), (NAN,)),
    "sort stably": (lambda T, x: x.round().sort(stable=True, dim=0, descending=True), (X,)),
    "argsort": (lambda T, x: x.argsort(1, descending=True), (X,)),
    "msort": (lambda T, x: T.msort(x), (X,)),
    "topk": (lambda T, x: x.topk(2), (X,)),
    "topk of many": (lambda T, x: x.topk(3, largest=False), (LONG,)),
    "topk of few": (lambda T, x: x.topk(40, 0), (LONG,)),
    "topk beside NaN": (lambda T, x: x.detach().topk(2, 1)[0], (MANY_NAN,)),
    "kthvalue": (lambda T, x: x.kthvalue(2, 1, keepdim=True), (X,)),
    "median": (lambda T, x: x.median(), (X,)),
    "gradient shared by equal medians": (lambda T, x: x.median(), (TIES,)),
    "gradient shared by equal medians beside NaN": (lambda T, x: x.nanmedian(), (TIES_AND_NAN,)),
    "median along": (lambda T, x: x.median(1), (X,)),
    "median with NaN": (lambda T, x: x.detach().median(1)[0], (NAN,)),
    "nanmedian": (lambda T, x: x.detach().nanmedian(1)[0], (NAN,)),
    "mode": (lambda T, x: x.round().mode(1), (X,)),
    "searchsorted": (lambda T, e, x: T.searchsorted(e, x, right=True), (EDGES, X.round())),
    "searchsorted by rows": (lambda T, x: T.searchsorted(x.sort(1)[0], x.flip(1)), (X,)),
    "bucketize": (lambda T, x, e: T.bucketize(x, e, out_int32=True), (X, EDGES)),
    "isin": (lambda T, x: T.isin(x, T.tensor([0, 3]), invert=True), (COUNTS,)),
    "quantile": (lambda T, x: x.quantile(0.3), (X,)),
    "quantiles along": (lambda T, x, q: x.quantile(q, 1), (X, np.array([0.1, 0.5, 1.0]))),
    "quantile, kept": (lambda T, x: T.quantile(x, 0.7, dim=0, keepdim=True), (X,)),
    "quantile with NaN": (lambda T, x: x.detach().quantile(0.5, 1), (NAN,)),
    "nanquantile": (lambda T, x: x.detach().nanquantile(0.5, 1), (NAN,)),
    "cumsum": (lambda T, x: x.cumsum(1), (X,)),
    "cumsum of bools": (lambda T, x: x.cumsum(0, dtype=T.int32), (X > 0,)),
    "cumprod": (lambda T, x: x.cumprod(1), (X,)),
    "cumprod with zeros": (lambda T, x: x.cumprod(1), (WITH_ZEROS,)),
    "cummax": (lambda T, x: x.cummax(1), (X,)),
    "cummin": (lambda T, x: T.cummin(x, 0), (X.round(),)),
    "logcumsumexp": (lambda T, x: x.logcumsumexp(0), (X * 20,)),
    "diff": (lambda T, x: x.diff(n=2, dim=0, prepend=x[:1]), (X,)),
    "diff of bools": (lambda T, x: T.diff(x), (X > 0,)),
    "gradient": (lambda T, x: T.gradient(x, spacing=0.5, edge_order=2), (X,)),
    "gradient at points": (
        lambda T, x, p: T.gradient(x, spacing=(p,), dim=1),
        (X, np.array([0.0, 0.5, 2.0, 3.0])),
    ),
    "trapezoid": (lambda T, y: T.trapezoid(y, dx=0.5), (X,)),
    "trapezoid at points": (lambda T, y, x: T.trapezoid(y, x), (X, np.arange(4.0) ** 2)),
    "cumulative_trapezoid": (lambda T, y: T.cumulative_trapezoid(y, dim=0), (X,)),
    "nansum": (lambda T, x: x.detach().nansum(1), (NAN,)),
    "nanmean": (lambda T, x: x.nanmean(0), (NAN,)),
    "cov": (lambda T, x: T.cov(x), (X,)),
    "cov with weights": (
        lambda T, x, a: T.cov(x, correction=0, aweights=a.detach()),
        (X, np.array([1.0, 2.0, 0.5, 1.0])),
    ),
    "cov of counts": (
        lambda T, x, f: T.cov(x, fweights=f),
        (X, np.array([1, 3, 0, 2])),
    ),
    "corrcoef": (lambda T, x: x.corrcoef(), (X,)),
    "histc": (lambda T, x: x.detach().histc(5, min=-1, max=1), (LONG,)),
    "histc of the data's range": (lambda T, x: T.histc(x.detach(), 7), (LONG,)),
    "histogram": (
        lambda T, x: tuple(T.histogram(x.detach(), 4, range=(-1.0, 1.0), density=True)),
        (LONG,),
    ),
}
for _way in ("linear", "lower", "higher", "midpoint", "nearest"):
    CALLS[f"quantile {_way}"] = (
        lambda T, x, way=_way: x.quantile(0.37, 1, interpolation=way),
        (X,),
    )


@pytest.mark.parametrize("name", CALLS)
def test_results_and_two_gradients_are_those_of_pytorch(name: str) -> None:
    call, arrays = CALLS[name]
    agree(torch, call, *arrays, order=2)


ERRORS: dict[str, tuple[Call, tuple[Any, ...]]] = {
    "topk of too many": (lambda T, x: x.topk(9), (X,)),
    "kthvalue of 0": (lambda T, x: x.kthvalue(0), (X,)),
    "median of bools": (lambda T, x: (x > 0).median(), (X,)),
    "quantile beyond 1": (lambda T, x: x.quantile(1.5), (X,)),
    "quantile of integers": (lambda T, x: x.quantile(0.5), (COUNTS,)),
    "searchsorted of other rows": (lambda T, x: T.searchsorted(x, x[:2]), (X,)),
    "histc of integers": (lambda T, x: x.histc(), (COUNTS,)),
    "cumsum beyond the dimensions": (lambda T, x: x.cumsum(2), (X,)),
    "nanmean of integers": (lambda T, x: x.nanmean(), (COUNTS,)),
    "gradient of too few": (lambda T, x: T.gradient(x[:, :1]), (X,)),
    "diff of a number": (lambda T, x: x.sum().diff(), (X,)),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_those_of_pytorch(name: str) -> None:
    call, arrays = ERRORS[name]
    same_error(torch, call, *arrays)


def test_equal_elements_keep_their_order_both_ways() -> None:
    x = tidu.tensor([2, 1, 2, 1, 2])
    assert x.argsort().tolist() == [1, 3, 0, 2, 4]
    assert x.argsort(descending=True).tolist() == [0, 2, 4, 1, 3]


def _outcome(module: Any, call: Any, numbers: Any) -> Any:
    values, places = call(module.from_numpy(numbers))
    return values.tolist(), places.tolist()


@pytest.mark.parametrize("size", [2, 7, 16, 17, 40, 300, 1000])
@pytest.mark.parametrize("distinct", [1, 3, 40])
@pytest.mark.parametrize("kind", ["f4", "f8", "i8", "u1"])
def test_of_equal_elements_the_same_are_found_as_in_pytorch(
    size: int, distinct: int, kind: str
) -> None:
    numbers = np.random.default_rng(size + distinct).integers(0, distinct, (3, size)).astype(kind)
    for k in {1, 2, (size + 1) // 2, max(size // 64, 1), size}:
        for call in (
            lambda x, k=k: x.topk(k),
            lambda x, k=k: x.t().topk(k, 0, largest=False),
            lambda x, k=k: x.kthvalue(k, 1),
        ):
            assert _outcome(tidu, call, numbers) == _outcome(torch, call, numbers)
    assert _outcome(tidu, lambda x: x.mode(1), numbers) == _outcome(
        torch, lambda x: x.mode(1), numbers
    )


@pytest.mark.parametrize("k", [1, 2, 5, 9])
def test_of_equal_elements_beside_nan_the_same_are_found_as_in_pytorch(k: int) -> None:
    numbers = np.array([[2.0, np.nan, 1.0, 2.0, np.inf, np.nan, 1.0, -np.inf, np.inf]])
    for call in (
        lambda x: x.topk(k),
        lambda x: x.topk(k, largest=False),
        lambda x: x.kthvalue(k),
        lambda x: x.mode(),
        lambda x: x.flip(1).mode(),
    ):
        want, got = _outcome(torch, call, numbers), _outcome(tidu, call, numbers)
        np.testing.assert_equal(got, want)


def test_a_norm_that_is_unknown_leaves_a_row_and_its_gradient_as_they_are() -> None:
    for p in (1, 2, np.inf):
        found = []
        for module in (torch, tidu):
            x = module.from_numpy(NAN[:2]).requires_grad_()
            (x.renorm(p, 0, 1.0) * module.from_numpy(X[:2])).sum().backward()
            found.append(x.grad.numpy())
        np.testing.assert_allclose(found[1], found[0], atol=1e-7)


def test_logcumsumexp_keeps_its_gradient_where_numbers_lie_far_apart() -> None:
    x = tidu.tensor([-10000.0, 0.0, 10000.0], requires_grad=True)
    x.logcumsumexp(0).sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 1.0]
