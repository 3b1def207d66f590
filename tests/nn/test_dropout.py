"""Dropout: the same masks as PyTorch from the same seed, and the same gradients through them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import tidu
from tests.nn.numeric import compare
from tests.nn.oracle import assert_same_answer

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")

STATEMENTS = """
F.dropout(x)
F.dropout(x, 0.3)
F.dropout(x, 0.0)
F.dropout(x, 1.0)
F.dropout(x, training=False)
F.dropout(x * 1, 0.4, inplace=True)
F.dropout(x.transpose(0, 1), 0.3)
F.dropout(x.permute(2, 0, 1, 3), 0.3)
F.dropout(x[..., ::2], 0.3)
F.dropout(x.transpose(0, 2)[1:, ..., ::2], 0.3)
F.dropout(x[:1].expand(5, 6, 4, 3), 0.3)
F.dropout(x[0, 0, 0, 0], 0.3)
F.dropout1d(x[0], 0.4)
F.dropout1d(x[0, 0], 0.4)
F.dropout2d(x, 0.4)
F.dropout2d(x.transpose(0, 1), 0.4)
F.dropout2d(x[0], 0.4)
F.dropout2d(x * 1, 0.4, True, True)
F.dropout3d(x, 0.4)
F.dropout3d(x[None], 0.4)
F.alpha_dropout(x, 0.3, True)
F.alpha_dropout(x, 0.3)
F.alpha_dropout(x, 1.0, True)
F.alpha_dropout(x.transpose(0, 1), 0.3, True)
F.alpha_dropout(x * 1, 0.3, True, True)
F.feature_alpha_dropout(x, 0.3, True)
F.feature_alpha_dropout(x, 0.0, True)
F.feature_alpha_dropout(x, 0.3)
T.dropout(x, 0.3, True)
T.dropout(x, 0.3, False)
T.alpha_dropout(x, 0.3, True)
T.feature_dropout(x, 0.3, True)
T.feature_alpha_dropout(x, 0.3, True)
T.native_dropout(x, 0.3, True)
T.native_dropout(x, 0.3, False)
nn.Dropout()(x)
nn.Dropout(0.3).eval()(x)
nn.Dropout1d(0.3)(x[0])
nn.Dropout2d(0.3)(x)
nn.Dropout3d(0.3)(x)
nn.AlphaDropout(0.3)(x)
nn.FeatureAlphaDropout(0.3)(x)
nn.Sequential(nn.Dropout(0.2), nn.Dropout(0.3))(x)
""".strip().splitlines()


@pytest.mark.parametrize("statement", STATEMENTS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_masks_and_gradients(statement: str, dtype: str) -> None:
    x = np.random.default_rng(0).standard_normal((5, 6, 4, 3))
    compare(
        statement,
        {"x": x},
        dtype=dtype,
        order=2 if dtype == "float64" else 1,
        names="native" not in statement,
    )


@pytest.mark.parametrize("p", [0.1, 0.25, 1 / 3, 0.5, 0.9, 0.999])
def test_what_is_kept_is_scaled_as_in_pytorch(p: float) -> None:
    for dtype in ("float32", "float64", "float16", "bfloat16"):
        compare(f"F.dropout(T.ones(1000, dtype=T.{dtype}), {p})", {}, order=0)


def test_the_generator_goes_on_as_in_pytorch() -> None:
    draws: list[Any] = []
    for library in (torch, tidu):
        library.manual_seed(3)
        for shape in ((7,), (3, 5), (1000, 33)):
            library.nn.functional.dropout(library.ones(shape), 0.3)
        draws.append(library.rand(4).numpy())
    np.testing.assert_array_equal(*draws)


def test_dropped_infinities_become_nan_as_in_pytorch() -> None:
    compare("F.dropout(x, 0.5)", {"x": np.full(20, np.inf)}, order=0)


def test_evaluation_returns_the_input_itself() -> None:
    x = tidu.ones(3)
    assert tidu.nn.functional.dropout(x, training=False) is x
    assert tidu.nn.functional.dropout(x, 0.0) is x


@pytest.mark.parametrize(
    "statement", ["F.dropout2d(o(3, 4, 5))", "F.dropout2d(o(3, 4))", "F.dropout3d(o(3, 4))"]
)
def test_warnings_are_those_of_pytorch(statement: str) -> None:
    messages = []
    for library in (torch, tidu):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            eval(statement, {"F": library.nn.functional, "o": library.ones})
        messages.append([(w.category, str(w.message)) for w in caught])
    assert messages[0] == messages[1]


ANSWERS = """
F.dropout(o(3), -0.1)
F.dropout(o(3), 1.1)
F.dropout1d(o(3, 3), 1.1)
F.dropout1d(o(2, 3, 4, 5))
F.dropout2d(o(2, 3, 4, 5), 1.1)
F.dropout3d(o(2, 3, 4, 5), -0.1)
F.alpha_dropout(o(3), 1.1)
F.feature_alpha_dropout(o(3), 1.1)
F.feature_alpha_dropout(o(3), training=True)
F.dropout(o(3).long())
F.dropout(o(3).long(), 0.0)
F.dropout(o(3).long(), training=False)
F.dropout(o(0))
F.alpha_dropout(o(3).long(), 0.5, True)
nn.Dropout(1.1)
nn.AlphaDropout(-0.1)
nn.Dropout()
nn.Dropout(0.3, True)
nn.Dropout2d()
nn.FeatureAlphaDropout()
""".strip().splitlines()


@pytest.mark.parametrize("statement", ANSWERS)
def test_answers(statement: str) -> None:
    assert_same_answer(statement)
