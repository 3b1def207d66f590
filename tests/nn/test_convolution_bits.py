"""Convolutions and their gradients in input and weight have PyTorch's bits, in both tiers.

So a model that ends in a chaotic region trains as it does there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tidu
from tests.compiler.tiers import tier
from tidu.ops.windows import columns

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
pytestmark = pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() != "AVX512",
    reason="the order of additions is that of PyTorch on processors with AVX-512",
)


class Case(NamedTuple):
    batch: int
    inputs: int
    outputs: int
    image: tuple[int, int]
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    groups: int = 1


CASES = [
    Case(32, 3, 16, (32, 32)),
    Case(32, 16, 16, (32, 32)),
    Case(32, 16, 32, (32, 32), stride=2),
    Case(32, 16, 32, (32, 32), 1, 2, 0),
    Case(32, 32, 32, (16, 16)),
    Case(32, 32, 64, (16, 16), stride=2),
    Case(32, 32, 64, (16, 16), 1, 2, 0),
    Case(32, 64, 64, (8, 8)),
    Case(16, 1, 6, (28, 28), 5, 1, 2),  # channels fewer than a vector
    Case(8, 6, 16, (14, 14), 5, 1, 0),
    Case(4, 40, 1, (9, 12)),
    Case(4, 1, 1, (9, 12), 1, 1, 0),
    Case(2, 3, 64, (56, 56), 7, 2, 3),
    Case(4, 20, 24, (15, 14), stride=2),  # a row that the stride does not divide
    Case(4, 20, 24, (16, 18), 2, 3, 0),  # places that no window sees
    Case(5, 24, 20, (11, 13), 4, 1, 2),
    Case(2, 600, 40, (7, 7), 1, 1, 0),  # chains longer than NumPy's products
    Case(2, 64, 512, (8, 8), stride=2),
    Case(3, 100, 260, (20, 20), 1, 1, 0),  # chains over parts of the channels
    Case(2, 8, 24, (40, 40), 1, 1, 0),  # and over parts of an image
    Case(4, 24, 32, (7, 7)),
    Case(2, 16, 32, (24, 24), 4, 4, 0),  # windows side by side
    Case(4, 64, 32, (12, 14), groups=2),
    Case(4, 64, 64, (12, 14), 1, 1, 0, groups=2),
    Case(3, 16, 16, (13, 13)),  # a share of the batch ends inside an image
]


@pytest.fixture(autouse=True, scope="module")
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def _numbers(case: Case) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(7)
    shapes = (
        (case.batch, case.inputs, *case.image),
        (case.outputs, case.inputs // case.groups, case.kernel, case.kernel),
        (case.outputs,),
    )
    x, weight, bias = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    return x, weight, bias


def _run(module: Any, case: Case, with_bias: bool = False) -> dict[str, Any]:
    """The result, and the gradients in input and weight."""
    x, weight, bias = (module.from_numpy(a.copy()) for a in _numbers(case))
    x.requires_grad_()
    weight.requires_grad_()
    given = (x, weight, bias if with_bias else None)
    y = module.nn.functional.conv2d(*given, case.stride, case.padding, 1, case.groups)
    rng = np.random.default_rng(8)
    y.backward(module.from_numpy(rng.standard_normal(tuple(y.shape)).astype(np.float32)))
    made = {"result": y.detach(), "of the input": x.grad, "of the weight": weight.grad}
    return {key: a.numpy() for key, a in made.items()}


def _assert_same_bits(case: Case, with_bias: bool = False) -> None:
    theirs = _run(torch, case, with_bias)
    for number in (0, 1):
        with tier(number):
            ours = _run(tidu, case, with_bias)
        if number == 1 and case.groups > 1 and case.outputs < 8 * case.groups:
            # Its sums are cut up where there are few channels in a group.
            del ours["of the weight"]
        for key in ours:
            want = theirs[key]
            np.testing.assert_array_equal(ours[key], want, f"{key} in tier {number}")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_convolutions_and_their_gradients(case: Case) -> None:
    _assert_same_bits(case)


@pytest.mark.parametrize(
    "case", [Case(4, 40, 24, (9, 9)), Case(4, 40, 24, (9, 9), 1, 1, 0)], ids=str
)
def test_a_bias_is_added_where_pytorch_adds_it(case: Case) -> None:
    _assert_same_bits(case, with_bias=True)


@pytest.mark.parametrize("limit", [1, 30_000])
@pytest.mark.parametrize("case", CASES[4:8] + CASES[11:13] + CASES[19:21], ids=str)
def test_parts_of_a_batch_add_up_in_the_same_order(
    case: Case, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "_COLUMNS", limit)
    _assert_same_bits(case)


channels = st.sampled_from([1, 2, 3, 5, 8, 15, 16, 17, 32, 40, 64, 100])


@given(
    batch=st.sampled_from([2, 4, 8]),
    inputs=channels,
    outputs=channels,
    image=st.tuples(st.integers(12, 18), st.integers(12, 18)),
    kernel=st.sampled_from([1, 1, 2, 3, 3, 3, 4, 5]),
    stride=st.sampled_from([1, 1, 2, 2, 3]),
    padded=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_convolutions_of_all_sizes(kernel: int, padded: bool, **sizes: Any) -> None:
    _assert_same_bits(Case(kernel=kernel, padding=kernel // 2 if padded else 0, **sizes))


@pytest.mark.parametrize("stride", [1, 2])
def test_transposed_convolutions_add_the_bias_last(stride: int) -> None:
    rng = np.random.default_rng(0)
    shapes = (4, 24, 9, 9), (24, 40, 3, 3), (40,)
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]

    def run(module: Any) -> Any:
        given = (module.from_numpy(a) for a in arrays)
        made = module.nn.functional.conv_transpose2d(*given, stride, 1, stride - 1)
        return made.numpy()

    theirs = run(torch)
    for number in (0, 1):
        with tier(number):
            ours = run(tidu)
        np.testing.assert_array_equal(ours, theirs, f"in tier {number}")
