"""Rolling, tiling, cutting, triangles and diagonals, against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tidu
from tests.ops.agreement import Call, agree, array, same_error

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid")

X = array(3, 4)
CUBE = array(2, 4, 6)
V, W = array(3), array(4)

CALLS: dict[str, tuple[Call, tuple[Any, ...]]] = {
    "roll": (lambda T, x: x.roll((1, -2), (0, 1)), (X,)),
    "roll all": (lambda T, x: T.roll(x, 5), (X,)),
    "rot90": (lambda T, x: [T.rot90(x, k, [0, 1]) for k in range(4)], (X,)),
    "tile": (lambda T, x: x.tile((2, 1, 2)), (X,)),
    "tile less": (lambda T, x: T.tile(x, (2,)), (CUBE,)),
    "repeat_interleave": (lambda T, x: x.repeat_interleave(2, dim=1), (X,)),
    "repeat_interleave each": (
        lambda T, x: T.repeat_interleave(x, T.tensor([2, 0, 1]), dim=0),
        (X,),
    ),
    "repeat_interleave alone": (lambda T, x: T.repeat_interleave(x), (np.array([1, 0, 3]),)),
    "broadcast_tensors": (lambda T, x, y: T.broadcast_tensors(x, y), (X, W)),
    "broadcast_shapes": (lambda T: tuple(T.broadcast_shapes((3, 1), (1, 4), (2, 1, 1))), ()),
    "meshgrid ij": (lambda T, x, y: T.meshgrid(x, y, indexing="ij"), (V, W)),
    "meshgrid xy": (lambda T, x, y: T.meshgrid([x, y, x], indexing="xy"), (V, W)),
    "cartesian_prod": (lambda T, x, y: T.cartesian_prod(x, y), (V, W)),
    "combinations": (lambda T, x: T.combinations(x, 3), (W,)),
    "combinations repeated": (lambda T, x: T.combinations(x, with_replacement=True), (V,)),
    "tensor_split": (lambda T, x: x.tensor_split(3, dim=1), (CUBE,)),
    "tensor_split at": (lambda T, x: T.tensor_split(x, (1, 3), 1), (CUBE,)),
    "hsplit": (lambda T, x: x.hsplit(2), (CUBE,)),
    "vsplit": (lambda T, x: x.vsplit([1]), (CUBE,)),
    "dsplit": (lambda T, x: T.dsplit(x, 3), (CUBE,)),
    "dstack": (lambda T, x: T.dstack((x, x)), (X,)),
    "column_stack": (lambda T, x, v: T.column_stack((x, v)), (X, V)),
    "view_copy": (lambda T, x: T.view_copy(x, (4, 3)), (X,)),
    "slice_copy": (lambda T, x: T.slice_copy(x, 1, 1, 4, 2), (X,)),
    "split_copy": (lambda T, x: T.split_copy(x, 2), (X,)),
    "tril": (lambda T, x: x.tril(1), (X,)),
    "triu of bools": (lambda T, x: (x > 0).triu(-1), (X,)),
    "diag of a vector": (lambda T, x: x.diag(-1), (V,)),
    "diag of a matrix": (lambda T, x: T.diag(x, 1), (X,)),
    "diag_embed": (lambda T, x: T.diag_embed(x, 1, 0, 2), (X,)),
    "diagflat": (lambda T, x: T.diagflat(x[:2, :2]), (X,)),
    "trace": (lambda T, x: x.trace(), (X,)),
    "block_diag": (lambda T, x, v: T.block_diag(x, v, T.tensor(2.0)), (X, V)),
    "kron": (lambda T, x, v: T.kron(x, v), (X, V)),
}


@pytest.mark.parametrize("name", CALLS)
def test_results_and_two_gradients_are_those_of_pytorch(name: str) -> None:
    call, arrays = CALLS[name]
    agree(torch, call, *arrays, order=2)


ERRORS: dict[str, tuple[Call, tuple[Any, ...]]] = {
    "roll along what is not there": (lambda T, x: x.roll(1, 3), (X,)),
    "roll with too few shifts": (lambda T, x: x.roll((1, 2), 0), (X,)),
    "rot90 in one dimension": (lambda T, x: T.rot90(x, 1, [0, 0]), (X,)),
    "hsplit into unequal parts": (lambda T, x: x.hsplit(3), (X,)),
    "dsplit of a matrix": (lambda T, x: x.dsplit(1), (X,)),
    "meshgrid in an unknown order": (lambda T, x: T.meshgrid(x, indexing="yx"), (V,)),
    "combinations of a matrix": (lambda T, x: T.combinations(x), (X,)),
    "repeat_interleave by floats": (lambda T, x: x.repeat_interleave(x[0], 1), (X,)),
    "tril of a vector": (lambda T, x: x.tril(), (V,)),
    "trace of a vector": (lambda T, x: x.trace(), (V,)),
    "broadcast_shapes that do not fit": (lambda T: T.broadcast_shapes((2,), (3,)), ()),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_those_of_pytorch(name: str) -> None:
    call, arrays = ERRORS[name]
    same_error(torch, call, *arrays)


def test_meshgrid_gives_views_that_share_memory_with_their_vectors() -> None:
    x = tidu.tensor([1.0, 2.0])
    grid, _ = tidu.meshgrid(x, tidu.zeros(3), indexing="ij")
    x[0] = 7.0
    assert grid.tolist() == [[7.0] * 3, [2.0] * 3]


def test_fill_diagonal_writes_in_place_and_wraps_on_request() -> None:
    tall = tidu.zeros(5, 2)
    assert tall.fill_diagonal_(1.0, wrap=True) is tall
    want = torch.zeros(5, 2).fill_diagonal_(1.0, wrap=True)
    assert tall.tolist() == want.tolist()
    cube = tidu.zeros(2, 2, 2).fill_diagonal_(3)
    assert cube.tolist() == torch.zeros(2, 2, 2).fill_diagonal_(3).tolist()


LAYOUTS = {
    "by rows": lambda T: T.ones(2, 3, 4, 5),
    "transposed": lambda T: T.ones(5, 4, 3, 2).permute(3, 2, 1, 0),
    "channels last": lambda T: T.ones(2, 3, 4, 5).contiguous(memory_format=T.channels_last),
    "expanded": lambda T: T.ones(1, 3, 4, 1).expand(2, 3, 4, 5),
    "images of rows": lambda T: T.ones(4, 5, 3).permute(2, 0, 1),
    "a number": lambda T: T.ones(()),
    "nothing": lambda T: T.ones(2, 0),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_stacked_tensors_lie_in_memory_as_with_pytorch(layout: str) -> None:
    for dim in range(-len(LAYOUTS[layout](torch).shape) - 1, 0):
        for other in ("float32", "float16", "int64"):
            found, expected = (
                T.stack([x, x.to(getattr(T, other)), x], dim)
                for T, x in ((T, LAYOUTS[layout](T)) for T in (tidu, torch))
            )
            assert found.shape == expected.shape and found.stride() == expected.stride()
            assert str(found.dtype) == str(expected.dtype)
