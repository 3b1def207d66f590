"""``torch.testing``: what counts as close, and what is said of the rest, as in PyTorch."""

from __future__ import annotations

import math
import re
import warnings
from typing import Any

import numpy as np
import pytest

import tidu

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")

COMPARISONS = [
    "t([1.0, 2.0]), t([1.0, 2.0 + 1e-6])",
    "t([1.0, 2.0, 3.0]), t([1.0, 2.0, 4.0])",
    "t([1, 2, 3]), t([1, 2, 5])",
    "t([1, 2, 3]), t([1, 0, 0]), rtol=0, atol=0",
    "t([1.0, 2.0]), t([1.0, 2.0, 4.0])",
    "t([1.0, 2.0]), t([1.0, 2.0]).double()",
    "t([1.0, 2.0]), t([1.0, 2.1]).double(), check_dtype=False",
    "t(1.0), t(2.0)",
    "t([5.0, 1.0]), t([0.0, 0.0])",
    "t([[1.0, inf], [3.0, 4.0]]), t([[1.0, 2.0], [3.0, 9.0]])",
    "t([inf]), t([-inf])",
    "t([nan]), t([nan])",
    "t([nan]), t([nan]), equal_nan=True",
    "t([True]), t([False])",
    "t([1.0]).half(), t([1.1]).half()",
    "t([1.0, 2.0], requires_grad=True), t([1.0, 2.2])",
    "t([]), t([])",
    "t([[1.0, 2.0]]).T, t([[1.0], [2.0]]), check_stride=True",
    "1.0, 2.0",
    "1, 2",
    "1.0, 1.0 + 1e-9",
    "1.0, 0.0",
    "3, 3.0",
    "nan, nan",
    "nan, nan, equal_nan=True",
    "True, False",
    "None, 1",
    "None, None",
    "np.float32(1), np.float32(2)",
    "np.array([1.0]), np.array([2.0])",
    "[1, t([1.0, 2.0])], [1, t([1.0, 3.0])]",
    "[1, 2], [1]",
    "{'a': t(1.0)}, {'a': t(2.0)}",
    "{'a': 1, 'c': 2}, {'b': 1}",
    "{'x': [1, t([[1.0, 2.0]])]}, {'x': [1, t([[1.0, 9.0]])]}",
    "t([1.0, 2.0]), t([1.0, 2.5]), rtol=0.1",
    "t([1.0, 2.0]), t([1.0, 2.5]), rtol=0.1, atol=0.0",
    "t([1.0, 2.0]), t([1.0, 2.5]), rtol=1.0, atol=0.0",
    "t([1.0, 2.0]), t([1.0, 2.5]), msg='mine'",
    "t([1.0, 2.0]), t([1.0, 2.5]), msg=lambda message: 'before ' + message",
    "t([1.0]), np.array([1.0])",
    "t([1.0]), [1.0]",
    "'a', 'a'",
]


def verdict(library: Any, name: str, comparison: str) -> str:
    names = {"t": library.tensor, "inf": math.inf, "nan": math.nan, "np": np}
    names["check"] = getattr(library.testing, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return repr(eval(f"check({comparison})", names))
        except Exception as error:
            return re.sub(r"\b(torch|tidu)\.", "", f"{type(error).__name__}: {error}")


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_assert_close_says_what_pytorch_says(comparison: str) -> None:
    expected = verdict(torch, "assert_close", comparison)
    assert verdict(tidu, "assert_close", comparison) == expected


@pytest.mark.parametrize(
    "comparison",
    ["t([1.0]), t([1.0]).double()", "t([nan]), t([nan])", "t([1.0]), [1.0]", "t([1.0]), t([2.0])"],
)
def test_assert_allclose_is_the_lenient_one(comparison: str) -> None:
    expected = verdict(torch, "assert_allclose", comparison)
    assert verdict(tidu, "assert_allclose", comparison) == expected


def test_subclasses_are_let_in_unless_forbidden() -> None:
    parameter, plain = tidu.nn.Parameter(tidu.ones(1)), tidu.ones(1)
    tidu.testing.assert_close(parameter, plain)
    with pytest.raises(TypeError, match="No comparison pair"):
        tidu.testing.assert_close(parameter, plain, allow_subclasses=False)
