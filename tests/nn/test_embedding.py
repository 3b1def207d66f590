"""Tables of vectors: values, gradients, and errors that name index, size and line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tidu
from tests.nn.oracle import assert_close, assert_same_answer, pair, torch

ANSWERS = """
nn.Embedding(5, 3)
nn.Embedding(5, 3, padding_idx=1, max_norm=2.0, norm_type=1.0, scale_grad_by_freq=True, sparse=True)
nn.Embedding(5, 3, padding_idx=-1)
nn.Embedding(5, 3, padding_idx=5)
nn.Embedding(5, 3, _weight=o(2, 2))
nn.Embedding.from_pretrained(o(3))
nn.Embedding.from_pretrained(o(3, 2)).weight.requires_grad
nn.EmbeddingBag(5, 3)
nn.EmbeddingBag(5, 3, mode='sum', max_norm=1.0, padding_idx=2, scale_grad_by_freq=True)
nn.EmbeddingBag(5, 3, mode='foo')(T.tensor([[1]]))
F.embedding(T.tensor([4]), o(4, 2))
F.embedding(T.tensor([-1]), o(4, 2))
F.embedding(T.tensor([1.0]), o(4, 2))
F.embedding(T.tensor(1), o(4, 2))
F.embedding(T.tensor([1], dtype=T.int32), o(4, 2))
F.embedding(T.tensor([1]), o(3))
F.embedding(T.tensor([1]), o(4, 2), padding_idx=4)
F.one_hot(T.tensor([0, 2]))
F.one_hot(T.tensor([0, 2]), 2)
F.one_hot(T.tensor([-1, 2]))
F.one_hot(T.tensor([]).long())
F.one_hot(T.tensor([]).long(), 3)
F.one_hot(T.tensor([1.0]))
F.one_hot(T.tensor(2))
F.one_hot(T.tensor([0, 2]), 0)
F.bilinear(o(5, 2), o(5, 2), o(4, 2, 3))
F.bilinear(o(5, 2), o(4, 3), o(4, 2, 3))
F.bilinear(o(3), o(3), o(4, 2, 3))
nn.Bilinear(0, 3, 4)
nn.Bilinear(2, 3, 4)
nn.Unflatten(1, 3)
nn.Unflatten(1, (2, 'a'))
nn.Unflatten(1, (2, 3))(o(2, 6)).shape
nn.Flatten(0, 1)
nn.Flatten()(o(2, 3, 4)).shape
nn.Identity(54, unused=0.1)
F.embedding_bag(T.tensor([1, 2, 3]), o(4, 2))
F.embedding_bag(T.tensor([[1, 2, 3]]), o(4, 2), T.tensor([0]))
F.embedding_bag(T.tensor([[[1]]]), o(4, 2))
F.embedding_bag(T.tensor([1, 2]), o(4, 2), T.tensor([[0]]))
F.embedding_bag(T.tensor([1, 2, 3]), o(4, 2), T.tensor([0, 5]))
F.embedding_bag(T.tensor([1, 2, 3]), o(4, 2), T.tensor([0, 2, 2]), mode='max')
F.embedding_bag(T.tensor([1, 2, 3]), o(4, 2), T.tensor([0, 2, 3]), include_last_offset=True)
F.embedding_bag(T.tensor([1, 2]), o(4, 2), T.tensor([]).long())
F.embedding_bag(T.tensor([1, 2]), o(4, 2), T.tensor([0]), mode='sum', per_sample_weights=o(3))
""".strip().split("\n")


@pytest.mark.parametrize("statement", ANSWERS)
def test_answers_are_those_of_pytorch(statement: str) -> None:
    assert_same_answer(statement)


def test_an_index_error_names_index_size_and_line() -> None:
    table = tidu.nn.Embedding(10, 3)
    with pytest.raises(
        IndexError, match=r"index 12, but the weight has 10 rows.*test_embedding\.py:\d+"
    ):
        table(tidu.tensor([1, 12]))
    # Indices that are computed are looked at when they are there, at the latest when somebody asks.
    with pytest.raises(
        IndexError, match=r"index 12, but the weight has 10 rows.*test_embedding\.py:\d+"
    ):
        table(tidu.tensor([1, 6]) * 2).tolist()


def test_a_bag_says_which_index_is_wrong() -> None:
    with pytest.raises(RuntimeError, match="Index 2 of input takes value 7"):
        tidu.nn.functional.embedding_bag(
            tidu.tensor([1, 2, 7]), tidu.ones(4, 2), tidu.tensor([0, 2])
        )


def _compare(call: Any, weights: tuple[Any, Any], *others: tuple[Any, Any]) -> None:
    """`call(library, weight, *others)` has the same value and gradients in both."""
    results = [
        call(library, *(x[i] for x in (weights, *others)))
        for i, library in enumerate((torch, tidu))
    ]
    assert_close(results[1], results[0])
    for result in results:
        (result * result).sum().backward()
    for want, got in (weights, *others):
        assert_close(got.grad, want.grad)


@pytest.mark.parametrize(
    "options", [{}, {"padding_idx": 1}, {"scale_grad_by_freq": True}, {"padding_idx": -1}]
)
def test_embedding(options: dict[str, Any]) -> None:
    indices = [[1, 3, 1], [0, 3, 4]]
    _compare(
        lambda T, weight: T.nn.functional.embedding(T.tensor(indices), weight, **options),
        pair(np.random.default_rng(0), 5, 3),
    )


@pytest.mark.parametrize("norm_type", [1.0, 2.0, float("inf")])
def test_max_norm_scales_the_rows_in_use(norm_type: float) -> None:
    theirs, ours = (x.detach() for x in pair(np.random.default_rng(0), 5, 3))
    for library, weight in ((torch, theirs), (tidu, ours)):
        library.nn.functional.embedding(
            library.tensor([1, 3, 1]), weight, max_norm=0.5, norm_type=norm_type
        )
    assert_close(ours, theirs, tolerance=1e-6)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("options", [{}, {"padding_idx": 1}, {"include_last_offset": True}])
def test_embedding_bag(mode: str, options: dict[str, Any]) -> None:
    indices, offsets = [1, 3, 1, 0, 2, 4], [0, 2, 2, 6]
    _compare(
        lambda T, weight: T.nn.functional.embedding_bag(
            T.tensor(indices), weight, T.tensor(offsets), mode=mode, **options
        ),
        pair(np.random.default_rng(0), 5, 3),
    )


def test_embedding_bag_with_weights_and_rows_of_indices() -> None:
    indices = [[1, 3, 1], [0, 2, 4]]
    rng = np.random.default_rng(0)
    _compare(
        lambda T, weight, samples: T.nn.functional.embedding_bag(
            T.tensor(indices), weight, mode="sum", per_sample_weights=samples
        ),
        pair(rng, 5, 3),
        pair(rng, 2, 3),
    )


def test_bilinear() -> None:
    rng = np.random.default_rng(0)
    _compare(
        lambda T, weight, x, y, bias: T.nn.functional.bilinear(x, y, weight, bias),
        *(pair(rng, *shape) for shape in ((4, 2, 3), (5, 6, 2), (5, 6, 3), (4,))),
    )
