"""What PyTorch refuses is refused, in its words."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.base.random.agreement import Draw, Oracle, compare, empty
from tidu.base.random.generator import Generator

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")


def same_outcome(draw: Draw, oracle: Oracle) -> None:
    """The same numbers, or the same kind of error with PyTorch's words in it."""
    try:
        oracle(torch.Generator())
    except (RuntimeError, TypeError, ValueError) as error:
        with pytest.raises(type(error)) as raised:
            draw(Generator())
        beginning = str(error).split("\n")[0].split(".  (")[0].removesuffix(".")
        if "handles only" not in beginning:
            assert beginning in str(raised.value)
        return
    compare(draw, oracle)


ERRORS: dict[str, tuple[Draw, Oracle]] = {
    "uniform reversed": (
        lambda g: g.uniform(3, np.float32, 2, 1),
        lambda g: torch.empty(3).uniform_(2, 1),
    ),
    "uniform nan": (
        lambda g: g.uniform(3, np.float32, math.nan, 1),
        lambda g: torch.empty(3).uniform_(math.nan, 1),
    ),
    "uniform too wide": (
        lambda g: g.uniform(3, np.float32, -3e38, 3e38),
        lambda g: torch.empty(3).uniform_(-3e38, 3e38),
    ),
    "uniform beyond half": (
        lambda g: g.uniform(3, np.float16, 0, 1e6),
        lambda g: empty(3, "float16").uniform_(0, 1e6),
    ),
    "uniform integers": (
        lambda g: g.uniform(3, np.int64),
        lambda g: empty(3, "int64").uniform_(),
    ),
    "normal std": (lambda g: g.normal(3, std=-1.0), lambda g: torch.empty(3).normal_(0, -1)),
    "normal nan": (
        lambda g: g.normal(3, std=math.nan),
        lambda g: torch.empty(3).normal_(0, math.nan),
    ),
    "normal integers": (lambda g: g.normal(3, np.int64), lambda g: empty(3, "int64").normal_()),
    "normal no integers": (lambda g: g.normal(0, np.int64), lambda g: empty(0, "int64").normal_()),
    "log_normal std": (
        lambda g: g.log_normal(3, std=0.0),
        lambda g: torch.empty(3).log_normal_(0, 0),
    ),
    "log_normal bool": (
        lambda g: g.log_normal(3, np.bool_),
        lambda g: empty(3, "bool").log_normal_(),
    ),
    "exponential rate": (
        lambda g: g.exponential(3, lambd=0.0),
        lambda g: torch.empty(3).exponential_(0),
    ),
    "exponential integers": (
        lambda g: g.exponential(3, np.int64),
        lambda g: empty(3, "int64").exponential_(),
    ),
    "cauchy sigma": (lambda g: g.cauchy(3, sigma=0.0), lambda g: torch.empty(3).cauchy_(0, 0)),
    "cauchy integers": (lambda g: g.cauchy(3, np.int32), lambda g: empty(3, "int32").cauchy_()),
    "geometric 0": (lambda g: g.geometric(3, p=0.0), lambda g: torch.empty(3).geometric_(0)),
    "geometric 1": (lambda g: g.geometric(3, p=1.0), lambda g: torch.empty(3).geometric_(1)),
    "geometric bool": (
        lambda g: g.geometric(3, np.bool_),
        lambda g: empty(3, "bool").geometric_(0.5),
    ),
    "bernoulli": (lambda g: g.bernoulli(3, 1.5), lambda g: torch.empty(3).bernoulli_(1.5)),
    "bernoulli nan": (
        lambda g: g.bernoulli(3, math.nan),
        lambda g: torch.empty(3).bernoulli_(math.nan),
    ),
    "bernoulli tensor": (
        lambda g: g.bernoulli_tensor(np.array([0.5, 1.5])),
        lambda g: torch.bernoulli(torch.tensor([0.5, 1.5])),
    ),
    "bernoulli integers": (
        lambda g: g.bernoulli_tensor(np.ones(2, np.int64)),
        lambda g: torch.bernoulli(torch.ones(2, dtype=torch.int64)),
    ),
    "integers empty range": (
        lambda g: g.integers(3, 3, 2),
        lambda g: torch.randint(3, 3, (2,)),
    ),
    "permutation negative": (lambda g: g.permutation(-1), lambda g: torch.randperm(-1)),
    "multinomial too many": (
        lambda g: g.multinomial(np.ones(2), 3),
        lambda g: torch.multinomial(torch.ones(2), 3),
    ),
    "multinomial none": (
        lambda g: g.multinomial(np.ones(2), 0),
        lambda g: torch.multinomial(torch.ones(2), 0),
    ),
    "multinomial negative": (
        lambda g: g.multinomial(np.array([1.0, -2.0]), 1),
        lambda g: torch.multinomial(torch.tensor([1.0, -2.0]), 1),
    ),
    "multinomial infinite": (
        lambda g: g.multinomial(np.array([1.0, np.inf]), 1, True),
        lambda g: torch.multinomial(torch.tensor([1.0, math.inf]), 1, True),
    ),
    "multinomial zeros": (
        lambda g: g.multinomial(np.zeros((2, 2)), 1),
        lambda g: torch.multinomial(torch.zeros(2, 2), 1),
    ),
    "multinomial 3d": (
        lambda g: g.multinomial(np.ones((2, 3, 4)), 1),
        lambda g: torch.multinomial(torch.ones(2, 3, 4), 1),
    ),
    "multinomial integers": (
        lambda g: g.multinomial(np.ones(3, np.int64), 1),
        lambda g: torch.multinomial(torch.ones(3, dtype=torch.int64), 1),
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case: str) -> None:
    same_outcome(*ERRORS[case])
