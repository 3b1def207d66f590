"""Functions of the tensor layer: those that depend on the numbers, on memory, or on dtypes only."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from tests.ops.agreement import Call, agree, array, same_error

import tidu

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")

X = array(3, 4).round()
Y = array(3, 4)
ROWS = np.array([3, 1, 1, 3, 0])

CALLS: dict[str, tuple[Call, tuple[Any, ...]]] = {
    "nonzero": (lambda T, x: x.nonzero(), (X,)),
    "nonzero as tuple": (lambda T, x: T.nonzero(x, as_tuple=True), (X,)),
    "nonzero of a number": (lambda T, x: x[0, 0].nonzero(), (Y,)),
    "argwhere": (lambda T, x: T.argwhere(x > 0), (X,)),
    "nonzero_static": (lambda T, x: T.nonzero_static(x > 1, size=5), (X,)),
    "unique": (lambda T, x: x.unique(), (ROWS,)),
    "unique with everything": (
        lambda T, x: T.unique(x.detach(), return_inverse=True, return_counts=True),
        (X,),
    ),
    "unique along": (
        lambda T, x: T.unique(x.detach(), dim=0, return_inverse=True),
        (X[[0, 1, 0]],),
    ),
    "unique_consecutive": (
        lambda T, x: x.unique_consecutive(return_inverse=True, return_counts=True),
        (ROWS,),
    ),
    "unique_consecutive along": (
        lambda T, x: T.unique_consecutive(x.detach(), dim=1),
        (X[:, [0, 0, 1]],),
    ),
    "bincount": (lambda T, x: x.bincount(minlength=6), (ROWS,)),
    "bincount of weights": (lambda T, x, w: T.bincount(x, w.detach()), (ROWS, array(5))),
    "equal": (lambda T, x, y: [T.equal(x, x), T.equal(x, y), x.equal(x[:1])], (X, Y)),
    "allclose": (lambda T, x, y: [T.allclose(x, x + 1e-9), x.allclose(y)], (X, Y)),
    "isclose": (
        lambda T, x, y: [T.isclose(x, y, atol=0.3), x.isclose(x / 0, equal_nan=True)],
        (X, Y),
    ),
    "unravel_index": (lambda T, x: T.unravel_index(x, (2, 3)), (ROWS,)),
    "as_strided": (lambda T, x: x.as_strided((3, 2), (1, 4), 1), (Y,)),
    "as_strided that overlaps": (lambda T, x: T.as_strided(x, (4, 3), (2, 1)), (Y,)),
    "as_strided_copy": (lambda T, x: T.as_strided_copy(x, (2, 2), (5, 1)), (Y,)),
    "resize_": (lambda T, x: x.detach().clone().resize_(2, 3), (Y,)),
    "sum_to_size": (lambda T, x: x.sum_to_size(1, 4), (Y,)),
    "tril_indices": (lambda T: T.tril_indices(3, 4, 1), ()),
    "triu_indices": (lambda T: T.triu_indices(3, 2, -1, dtype=T.int32), ()),
    "empty_strided": (lambda T: T.empty_strided((2, 3), (1, 2)).stride(), ()),
    "empty_permuted": (lambda T: T.empty_permuted((2, 3, 4), (1, 2, 0)).stride(), ()),
    "adjoint": (lambda T, x: [x.adjoint(), x.mH], (Y,)),
    "range": (lambda T: T.range(1, 2, 0.25), ()),
    "frombuffer": (lambda T: T.frombuffer(b"abcdef", dtype=T.uint8, count=3, offset=1), ()),
    "map_": (lambda T, x, y: x.detach().clone().map_(y.detach(), lambda a, b: a * b), (X, Y)),
    "norm_except_dim": (lambda T, x: T.norm_except_dim(x, 2, 1), (Y,)),
    "result_type": (
        lambda T, i: [str(T.result_type(i, 1.5)), str(T.result_type(i, True))],
        (ROWS,),
    ),
    "can_cast": (lambda T: [T.can_cast(T.float32, T.int32), T.can_cast(T.int8, T.float16)], ()),
    "typename": (lambda T, i: [T.typename(i), T.typename("text")], (ROWS,)),
    "finfo": (
        lambda T: [repr(T.finfo(d)) for d in (T.float16, T.bfloat16, T.float32, T.float64)],
        (),
    ),
    "iinfo": (lambda T: [repr(T.iinfo(d)) for d in (T.uint8, T.int16, T.int64)], ()),
    "hann_window": (lambda T: T.hann_window(5), ()),
    "hamming_window": (lambda T: T.hamming_window(4, False, 0.5, 0.4), ()),
    "blackman_window": (lambda T: T.blackman_window(6, dtype=T.float64), ()),
    "bartlett_window": (lambda T: T.bartlett_window(1), ()),
    "kaiser_window": (lambda T: T.kaiser_window(7, True, 8.0), ()),
}


@pytest.mark.filterwarnings("ignore:torch.range is deprecated")
@pytest.mark.filterwarnings("ignore:The given buffer is not writable")
@pytest.mark.parametrize("name", CALLS)
def test_results_and_gradients_are_those_of_pytorch(name: str) -> None:
    call, arrays = CALLS[name]
    agree(torch, call, *arrays, tolerance=1e-6)


WINDOWS: dict[str, dict[str, Any]] = {
    "bartlett": {}, "blackman": {}, "cosine": {}, "exponential": {"tau": 2.0},
    "gaussian": {"std": 1.5}, "general_cosine": {"a": [0.4, 0.3, 0.3]},
    "general_hamming": {"alpha": 0.6}, "hamming": {}, "hann": {}, "kaiser": {"beta": 5.0},
    "nuttall": {},
}  # fmt: skip


@pytest.mark.parametrize("name", WINDOWS)
def test_signal_windows_are_those_of_pytorch(name: str) -> None:
    for size in (0, 1, 2, 7):
        for sym in (True, False):
            kinds = {**WINDOWS[name], "sym": sym}
            agree(
                torch,
                lambda T: getattr(T.signal.windows, name)(size, dtype=T.float64, **kinds),
                tolerance=1e-12,
            )
    same_error(torch, lambda T: getattr(T.signal.windows, name)(-1, **WINDOWS[name]))
    same_error(torch, lambda T: getattr(T.signal.windows, name)(3, dtype=T.int64, **WINDOWS[name]))


ERRORS: dict[str, tuple[Call, tuple[Any, ...]]] = {
    "bincount of negatives": (lambda T, x: T.bincount(x - 2), (ROWS,)),
    "bincount of floats": (lambda T, x: T.bincount(x), (X[0],)),
    "allclose of two dtypes": (lambda T, x: T.allclose(x, x.float()), (X,)),
    "masked_select without bools": (lambda T, x: x.masked_select(x), (X,)),
    "as_strided beyond the memory": (lambda T, x: x.as_strided((3, 9), (4, 1)), (X,)),
    "resize_ with a gradient": (lambda T, x: x.requires_grad_().resize_(2), (X,)),
    "finfo of integers": (lambda T: T.finfo(T.int8), ()),
    "iinfo of floats": (lambda T: T.iinfo(T.float32), ()),
    "numel of a list": (lambda T: T.numel([1]), ()),
    "solve, which is gone": (lambda T, x: T.solve(x, x), (X,)),
    "frombuffer of a part": (lambda T: T.frombuffer(b"abc", dtype=T.int16), ()),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_those_of_pytorch(name: str) -> None:
    call, arrays = ERRORS[name]
    same_error(torch, call, *arrays)


def test_writing_through_arbitrary_strides_is_seen_by_the_base() -> None:
    x = tidu.zeros(2, 3)
    x.as_strided((2, 2), (1, 3)).fill_(5.0)
    assert x.tolist() == [[5.0, 5.0, 0.0], [5.0, 5.0, 0.0]]
    with pytest.raises(RuntimeError, match="single memory location"):
        x.as_strided((2, 2), (1, 1)).fill_(1.0)


def test_a_resized_tensor_keeps_what_is_in_memory() -> None:
    x = tidu.arange(6.0)
    part = x[1:3]
    part.resize_(4)
    assert part.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert x.resize_(2, 4).tolist() == [[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 0.0, 0.0]]


def test_named_results_can_be_pickled() -> None:
    result = tidu.tensor([[1.0, 3.0]]).max(1)
    again = pickle.loads(pickle.dumps(result))
    assert type(again) is tidu.return_types.max and again.values.tolist() == [3.0]


def test_foreach_functions_work_on_lists_of_tensors() -> None:
    xs = [tidu.ones(2), tidu.full((3,), 2.0)]
    assert [x.tolist() for x in tidu._foreach_mul(xs, [2.0, 3.0])] == [[2.0] * 2, [6.0] * 3]
    assert tidu._foreach_addcdiv_(xs, xs, xs, [1.0, -1.0]) is xs
    assert [x.tolist() for x in xs] == [[2.0] * 2, [1.0] * 3]
    assert [n.item() for n in tidu._foreach_norm(xs, 1)] == [4.0, 3.0]
    with pytest.raises(RuntimeError, match="same number"):
        tidu._foreach_add(xs, xs[:1])
    with pytest.raises(RuntimeError, match="at least one"):
        tidu._foreach_neg([])


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")
@pytest.mark.parametrize("function", [np.sin, np.sqrt, np.isnan, np.sign])
def test_functions_of_numpy_give_tensors(function: Any) -> None:
    for shape in ((3, 2), ()):
        ours, theirs = function(tidu.ones(shape)), function(torch.ones(shape))
        assert isinstance(ours, tidu.Tensor)
        assert repr(ours) == repr(theirs)
    assert isinstance(np.add(np.ones(2), tidu.ones(2)), tidu.Tensor)
