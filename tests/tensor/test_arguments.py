"""What constructors, conversions, assignments and settings take and refuse, as in PyTorch: the
same results, and exceptions of the same types.
"""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest

import tidu

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")

STATEMENTS = [
    "T.zeros(2, dtype=int), T.ones(2, dtype=float), T.full((1,), 2, dtype=bool)",
    "T.tensor([1, 2], dtype=float), T.as_tensor([1.5], dtype=int), T.arange(2, dtype=float)",
    "T.rand(2, dtype=float).dtype, T.randint(3, (2,), dtype=float).dtype, T.eye(1, dtype=int)",
    "T.ones(2).to(int), T.ones(2).to(dtype=float), T.zeros_like(T.ones(1), dtype=int)",
    "T.ones(2).sum(dtype=float), T.ones(1).new_zeros(1, dtype=int), T.sum(T.ones(1), dtype=int)",
    "T.zeros(2, dtype='float32')",
    "T.zeros(2, dtype=np.float32)",
    "T.zeros(2.0)",
    "T.ones(4).view(2.0)",
    "T.nn.Linear('a', 3)",
    "T.full((2,), 'a')",
    "T.full(3, 1.0)",
    "T.full((2,), np.float32(1.5))",
    "T.randint(5, 3)",
    "T.randint(high=5, size=(20,)).max() < 5, T.randint(low=7, high=8, size=(1,))",
    "T.Tensor(), T.FloatTensor(), T.LongTensor()",
    "T.Tensor(2.5)",
    "T.Tensor([1, 2], requires_grad=True)",
    "T.Tensor([1, 2], device='cpu')",
    "T.tensor([300], dtype=T.uint8)",
    "T.tensor([-1, -255], dtype=T.uint8)",
    "T.tensor(-129, dtype=T.int8)",
    "T.tensor(2**70)",
    "T.from_numpy(np.arange(4)[::-1])",
    "T.from_numpy(np.ones(2, dtype='>f4'))",
    "T.Size([2, 3]) * 2, 2 * T.Size([1]), type(T.Size([1]) * 2).__name__",
    "float(T.ones(2))",
    "int(T.ones(2))",
    "T.ones(2).item()",
    "T.ones(2).cuda()",
    "T.ones(2).to('cuda')",
    "T.ones(2, device='cuda')",
    "T.tensor([1, 2]) // 0",
    "T.tensor([1, 2]) % 0",
    "T.tensor([1]) // T.tensor([0])",
    "2 ** T.tensor([-1, 3]), T.tensor([1, -1, -1, 5]) ** T.tensor([-3, -3, -2, -1])",
    "T.tensor([2]) ** -1",
    "T.ones(2) - T.tensor([True, False])",
    "1 - T.tensor([True])",
    "T.arange(2) - True",
    "T.tensor([True]) - T.tensor([True])",
    "T.log10(T.tensor([1.0, 10, 100, 1e3, 1e6])).tolist()",
    "T.ones(2, 2) @ 2",
    "T.ones(2, 2) @ [[1, 2], [3, 4]]",
    "[[1, 2], [3, 4]] @ T.ones(2, 2)",
    "T.ones(2, 1).__rmatmul__(T.ones(3, 2)), T.ones(2).__matmul__(T.ones(2))",
    "T.ones(1, 2).double() @ np.ones((2, 2))",
    "T.ones(2).__setitem__(0, [1.0])",
    "T.ones(2).__setitem__(0, None)",
    "T.ones(2).__setitem__(0, 'a')",
    "T.ones(2, 2).__setitem__(0, np.ones(2))",
    "T.ones(2).__delitem__(0)",
    "T.ones(2, 2).fill_(T.ones(2))",
    "T.ones(2, 2).fill_(T.tensor(3))",
    "T.ones(3, 4)[[0, 1], [0, 1, 2]]",
    "T.arange(4.0).view(2, 2)[..., ...], T.arange(4.0)[..., ..., 1]",
    "T.tensor(5.0)[T.tensor(True)], T.tensor(5.0)[T.tensor(False)], T.arange(2.0)[T.tensor(True)]",
    "T.ones(2)[np.bool_(True)]",
    "T.get_float32_matmul_precision(), T.set_float32_matmul_precision('highest')",
    "T.get_default_device(), T.set_default_device('cpu'), T.set_default_device(None)",
    "T.accelerator.is_available(), T.accelerator.current_accelerator()",
    "T.accelerator.current_device_index()",
    "T.version.cuda, T.version.hip, T.version.debug",
    "isinstance(T.ones(1), T.cuda.FloatTensor), T.cuda.LongTensor.__name__",
    "T.cuda.FloatTensor(2)",
    "T.distributed.is_initialized(), T.distributed.is_torchelastic_launched()",
    "T.distributed.get_rank()",
    "T.distributed.get_world_size()",
    "T.distributed.all_reduce(T.ones(1))",
    "T.binomial(T.tensor([5]), T.tensor([1]))",
    "T.random.manual_seed(3) is T.default_generator, T.random.initial_seed()",
]


def outcome(library: Any, statement: str) -> str:
    """The text of the result, or the type of the exception."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return re.sub(r"\b(torch|tidu)\.", "", repr(eval(statement, {"T": library, "np": np})))
        except Exception as error:
            return type(error).__name__


@pytest.mark.parametrize("statement", STATEMENTS)
def test_outcomes_are_those_of_pytorch(statement: str) -> None:
    assert outcome(tidu, statement) == outcome(torch, statement)


def test_a_masked_number_can_be_assigned() -> None:
    for library in (tidu, torch):
        x = library.tensor(5.0)
        x[x > 9] = 1.0
        assert x.item() == 5.0
        x[x > 3] = 1.0
        assert x.item() == 1.0


def test_fork_rng_leaves_the_generator_as_it_was() -> None:
    tidu.manual_seed(0)
    with tidu.random.fork_rng():
        inside = tidu.rand(3)
    assert tidu.rand(3).tolist() == inside.tolist()
    with tidu.random.fork_rng(enabled=False):
        tidu.rand(3)
    assert tidu.rand(3).tolist() != inside.tolist()


def test_set_default_tensor_type_sets_the_default_dtype() -> None:
    tidu.set_default_tensor_type("torch.DoubleTensor")
    try:
        assert tidu.ones(1).dtype is tidu.float64
    finally:
        tidu.set_default_tensor_type(tidu.FloatTensor)
    assert tidu.ones(1).dtype is tidu.float32


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("T.ones(2, 2, 2).T", "x.T"),
        ("T.range(0, 2)", "deprecated"),
        ("T.meshgrid(T.ones(2), T.ones(3))", "indexing"),
        ("T.set_float32_matmul_precision('lowest')", "no effect"),
        ("T.ones(1).share_memory_()", "not shared among processes"),
        ("T.nn.Linear(1, 1).share_memory()", "not shared among processes"),
    ],
)
def test_doubtful_calls_warn(statement: str, said: str) -> None:
    with pytest.warns(UserWarning, match=said):
        eval(statement, {"T": tidu})
