"""What constructors, conversions, assignments and settings take and refuse, as in PyTorch: the
same results, and exceptions of the same types.
"""

from __future__ import annotations

import math
import re
import warnings
from typing import Any

import numpy as np
import pytest

import tidu
from tidu.base import source

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")

STATEMENTS = [
    "T.zeros(2, dtype=int), T.ones(2, dtype=float), T.full((1,), 2, dtype=bool)",
    "T.tensor([1, 2], dtype=float), T.as_tensor([1.5], dtype=int), T.arange(2, dtype=float)",
    "T.rand(2, dtype=float).dtype, T.randint(3, (2,), dtype=float).dtype, T.eye(1, dtype=int)",
    "T.ones(2).to(int), T.ones(2).to(dtype=float), T.zeros_like(T.ones(1), dtype=int)",
    "T.ones(2).sum(dtype=float), T.ones(1).new_zeros(1, dtype=int), T.sum(T.ones(1), dtype=int)",
    "T.zeros(2, dtype='float32')",
    "T.ones(2, 3)[:, T.newaxis].shape, T.ones(2, 3).swapdims_(0, 1).shape",
    "T.bilinear(T.ones(2, 3), T.ones(2, 4), T.ones(5, 3, 4), T.ones(5))",
    "T._check(True), T._check_value(True, lambda: 'no')",
    "T._check(False, lambda: 'no')",
    "T._check_index(False)",
    "T._check_type(1)",
    "T._check_value(T.ones(1) > 0)",
    "T._check_not_implemented(False, 'a text')",
    "T.nn.functional.grad is T.nn.grad, T.OutOfMemoryError.__mro__[1]",
    "T.set_num_interop_threads(0)",
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
    "T.tensor(2**63)",
    "T.tensor([1, 2**63])",
    "T.tensor([-1, 2**63], dtype=T.int32)",
    "T.tensor(2**64, dtype=T.float32), T.tensor(-(2**64), dtype=T.bool), T.tensor([1.5, 2**63])",
    "T.tensor([2**63 - 1, -(2**63)]), T.tensor([float('nan'), 0.0], dtype=T.bool)",
    "T.tensor(float('nan'), dtype=T.int32)",
    "T.tensor([1, float('inf')], dtype=T.int64)",
    "T.tensor([3e9], dtype=T.int32)",
    "T.tensor(-2.9, dtype=T.uint8)",
    "T.tensor([2.9, -2.9], dtype=T.int8), T.tensor([2.5], dtype=T.uint8)",
    "T.tensor({1: 2})",
    "T.tensor(b'ab')",
    "T.from_numpy(np.arange(4)[::-1])",
    "T.from_numpy(np.ones(2, dtype='>f4'))",
    # As it was written before PyTorch 1.5
    "T.ones(2).add_(-0.5, T.ones(2)), T.add(T.ones(2), 2, T.ones(2))",
    "T.sub(T.ones(2), 2, T.ones(2)), T.ones(2).sub_(2, T.ones(2))",
    "T.ones(2).mul_(2).add_(0.5, T.ones(2)), T.ones(2).add(T.tensor(0.5), T.ones(2))",
    "T.ones(2).addcmul_(2, T.ones(2), T.ones(2)), T.ones(2).addcdiv_(-2, T.ones(2), T.ones(2))",
    "T.add(T.ones(2), T.ones(2), 2)",
    "T.add(T.ones(2), 2, 2, 2)",
    "T.addcmul(T.ones(2), T.ones(2), T.ones(2), 2)",
    # One argument too many or too few
    "T.mul(T.ones(2))",
    "T.mul(T.ones(2), 2, T.ones(2))",
    "T.exp(T.ones(2), 3)",
    "T.ones(2).exp(3)",
    "T.ones(2).mul_(2, 3)",
    "T.maximum(T.ones(2), T.ones(2), T.ones(2))",
    "T.Size([2, 3]) + (1,), (1,) + T.Size([2]), T.Size([2]) + T.Size([3])",
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
    "T.arange(4.0)[T.tensor([1]).short()]",
    "T.arange(4.0)[np.array([1, 0], 'i2')], T.arange(4.0)[np.array([1], 'u4'), None]",
    "T.arange(4.0)[[np.int8(1), np.int8(-1)]], T.arange(4.0)[[np.int8(1)]].shape",
    "T.arange(4.0)[T.tensor(1.0) :]",
    "T.arange(4.0)[1.0:]",
    "T.arange(4.0)[T.tensor(1) : np.int32(3) : T.tensor([2])]",
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
    # A number beyond the range of the dtype that is to hold it
    "T.full((2,), 300, dtype=T.uint8)",
    "T.full((2,), 1e300)",
    "T.full((2,), -1, dtype=T.uint8)",
    "T.zeros(2).half().fill_(1e6)",
    "T.zeros(2, dtype=T.uint8).fill_(-1), T.zeros(2).fill_(float('inf'))",
    "T.zeros(2).long().fill_(float('nan'))",
    "T.zeros(2, dtype=T.uint8).__setitem__(0, 300)",
    "T.zeros(2, dtype=T.uint8).__setitem__([0], 300)",
    "T.zeros(2).half().masked_fill(T.tensor([True, False]), -1e9)",
    "T.zeros(2).half().index_fill(0, T.tensor([0]), 1e9)",
    "T.where(T.tensor([True]), T.zeros(1, dtype=T.uint8), 300)",
    "T.where(T.tensor([False]), T.zeros(1).half(), -1e9)",
    "T.zeros(2, dtype=T.uint8).clamp(0, 300)",
    "T.zeros(1).clamp(min=1e300)",
    "T.tensor([1], dtype=T.uint8) ** 300",
    # alpha
    "T.add(T.tensor([1]), T.tensor([1]), alpha=2.5)",
    "T.sub(T.tensor([1]), 1, alpha=2.5)",
    "T.add(T.ones(1), T.ones(1), alpha=True)",
    "T.add(T.tensor([True]), T.tensor([True]), alpha=2)",
    "T.sub(T.ones(1).byte(), T.tensor([True]), alpha=2)",
    "T.add(T.ones(1), T.tensor([200], dtype=T.uint8), alpha=2)",
    "T.ones(1).double().add(T.tensor([2]), alpha=0.1)",
    # Keys
    "T.arange(24).view(2, 3, 4)[[[0, 1], [1, 0]]]",
    "T.arange(24).view(2, 3, 4)[[(0, 1), (1, 2)]], T.arange(24).view(2, 3, 4)[[[0], slice(1, 3)]]",
    "T.arange(24).view(2, 3, 4)[[None, 0]], T.arange(24).view(2, 3, 4)[[..., 0]]",
    "T.arange(24).view(2, 3, 4)[[T.tensor(0), T.tensor(1)]], T.arange(6)[[1.0, 2.0]]",
    "T.arange(6)[[[[0, 1], [1, 0]]]], T.arange(4)[[0, 1] * 17]",
    "T.arange(6)['a']",
    "T.zeros(3).__setitem__([0, 1], T.arange(2))",
    "T.zeros(3).__setitem__(T.tensor([0]), T.ones(1).double())",
    "(lambda x: (x.__setitem__(x == 0, T.tensor(3)), x))(T.zeros(3))",
    "(lambda x: (x.__setitem__((x[:, 0] == 0, 0), T.tensor(3)), x))(T.zeros(2, 2))",
    # bool
    "T.tensor([True]).abs()",
    "T.tensor([True]).floor()",
    "T.tensor([True]) // True",
    "T.tensor([True]) % T.tensor([True])",
    "T.tensor([True]) ** T.tensor([True])",
    "T.tensor([True, False]).square()",
    "T.tensor([True]).argmax()",
    "T.tensor([True]).topk(1)",
    "T.tensor([True]).clamp(False, True)",
    # What has no elements
    "T.cat([T.zeros(0), T.zeros(0)], 1), T.cat([T.zeros(0), T.zeros(0, 2)], 1)",
    "T.cat([T.zeros(0).double(), T.zeros(2)]).dtype",
    "T.zeros(0).amax()",
    "T.zeros(0, 2).amin(0)",
    "T.zeros(0).median(), T.zeros(0).char().median(), T.zeros(0).long().nanmedian()",
    # Arguments of another kind
    "T.sum([1.0])",
    "T.mean(3.0)",
    "T.dot(T.ones(2), 3)",
    "T.nn.functional.cross_entropy([1.0], [1])",
    "T.randint(0, 5)",
    "T.eye(-1)",
    "T.tensor([T.ones(2), T.ones(2)])",
    "T.tensor([T.ones(1, requires_grad=True), T.ones(1, 1)])",
    "T.zeros(2).copy_(3)",
    "setattr(T.ones(1, requires_grad=True), 'data', T.ones(1).long())",
    "T.nn.functional.scaled_dot_product_attention("
    "T.ones(1, 2, 3), T.ones(1, 2, 3), T.ones(1, 2, 3), T.ones(2, 2) > 0, is_causal=True)",
    # Options of what makes tensors
    "T.zeros(2, foo=1)",
    "T.full((2,), 1.0, foo=1)",
    "T.arange(3, foo=1)",
    "T.normal(0.0, 1.0, (2,), foo=1)",
    "T.normal(0, 1, (2,), requires_grad=True).requires_grad",
    "T.logspace(0, 1, 2, requires_grad=True)",
    "T.randperm(3, dtype=T.float32, requires_grad=True).requires_grad",
    "T.randint_like(T.ones(2), 3, requires_grad=True).requires_grad",
    "T.arange(2, out=T.zeros(2)), T.full((3,), 5.0, out=T.zeros(2)), T.eye(2, out=T.zeros(2, 2))",
    # A dtype for the result of a reduction
    "T.tensor([200.0, 100.0]).sum(dtype=T.uint8), T.ones(2, 2).sum(0, dtype=T.int32)",
    "T.tensor([2.0, 0.5]).sum(dtype=T.bool), T.tensor([20, 20]).prod(dtype=T.int8)",
    "T.ones(2, 2).prod(0, dtype=T.bool), T.tensor([0.5, 2]).prod(0, dtype=T.int32)",
    "T.tensor([[0, 1], [2, 3]]).all(dim=()), T.tensor([0, 2], dtype=T.uint8).any(dim=())",
    "T.tensor([[0], [2]], dtype=T.uint8).any(1), T.tensor(3, dtype=T.uint8).all()",
    # What is no number of a dimension
    *(
        f"T.ones(2, 3).{method}({argument})"
        for method in ("sum", "mean", "prod", "amax", "all", "logsumexp", "median", "norm")
        for argument in ("dim=True", "dim=1.5")
    ),
    *(
        f"T.ones(2, 3).{method}({argument})"
        for method in ("cumsum", "softmax", "unbind", "cummax", "argmax", "unsqueeze")
        for argument in ("True", "1.0")
    ),
    "T.ones(2, 3).sum(np.int64(1)), T.ones(2, 3).softmax(np.int32(0)).shape",
    "T.ones(2, 3).prod(dim=(0, 1))",
    "T.ones(2, 3).sum(axis=0, dim=0)",
    # None or a number where a tensor is needed
    *(f"T.ones(2).{method}(None)" for method in ("add", "mul", "div", "pow", "eq", "lt", "fmod")),
    *(f"T.ones(2).int().{method}(None)" for method in ("bitwise_and", "floor_divide", "copysign")),
    "T.ones(2).add_(None)",
    *(
        f"T.{name}(T.ones(2), 1)"
        for name in ("maximum", "minimum", "atan2", "logical_and", "logical_or", "logical_xor")
    ),
    # Integers divided by zero, and quotients beyond what floats can hold
    "T.tensor([1, 2]).fmod(T.tensor([0, 1])).tolist()",
    "T.tensor([1, 2]).remainder(T.tensor([0, 1])).tolist()",
    "T.tensor([1, 2]).div(T.tensor([0, 1]), rounding_mode='trunc').tolist()",
    "T.tensor([2**40 + 1, -7, 7]).div(T.tensor([1, 2, -2]), rounding_mode='trunc')",
    "T.div(T.tensor([7, -7], dtype=T.int8), 2, rounding_mode='trunc')",
    # Names of arguments
    "T.ones(5).split(split_size=2), T.split(T.ones(5), split_size_or_sections=[2, 3])",
    "T.ones(2).repeat(repeats=(2, 2)), T.ones(4).view(size=(2, 2)), T.ones(2).view(dtype=T.float)",
    "T.ones(2, 3).swapaxes(axis0=0, axis1=1), T.swapaxes(T.ones(2, 3), axis0=0, axis1=-1).shape",
    "T.det(input=T.eye(2)), T.inverse(input=T.eye(2)), T.matrix_power(input=T.eye(2), n=2)",
    "T.ones(2).to(foo=1)",
    "T.ones(2).to([1])",
    "T.ones(2).to(0)",
    "T.ones(2, device=0)",
    "T.ones(2).to('cpu', T.float16, True, copy=True), T.ones(2).to(None)",
    # Dimensions given twice, sizes below zero, and what has no dimensions
    "T.ones(2, 3).flip(0, 0)",
    "T.ones(2, 3).movedim((0, 0), (0, 1))",
    "T.tensor(1.0).movedim(1, 0)",
    "T.tensor(1.0).flip(1)",
    "T.ones(2).repeat(-1)",
    "T.tensor(1.0).split(1)",
    "T.tensor(1.0).chunk(2)",
    "T.ones(2).repeat_interleave(2, output_size=3)",
    "T.ones(0, dtype=T.bool).unique_consecutive(return_counts=True)",
    "T.ones(3).int().round(decimals=1)",
    "T.histc(T.ones(3), 3, 2, 1)",
    "T.histogram(T.arange(4.0)).hist.shape",
    "T.arange('a')",
    "T.arange(0, float('inf'))",
    "T.linspace(0, 1, 2.5)",
    "T.randperm(2.5)",
    "T.normal(T.ones(2), T.ones(3))",
    "T.cat(T.ones(2))",
    "T.tensor([1, 'a'])",
    # Layers of shapes that do not fit
    "T.nn.functional.linear(T.ones(2, 3), T.ones(4, 3), T.ones(3))",
    "T.nn.functional.linear(T.ones(5, 2, 3), T.ones(4, 3), T.ones(2, 2, 4))",
    "T.nn.functional.linear(T.ones(2, 3), T.ones(4, 3), T.ones(2, 4))",
    "T.nn.functional.normalize(T.arange(6.0).view(2, 3), dim=(0, 1))",
    "T.nn.utils.clip_grad_norm_(T.ones(1), 'a')",
    "T.optim.SGD(T.nn.Linear(1, 1), lr=0.1)",
    "T.nn.RNN(0, 4)",
    # The names of gradients
    "T.ones(2, requires_grad=True)[...].grad_fn.name()",
    "T.fill(T.ones(2, requires_grad=True), 2).grad_fn.name()",
    "T.ones(2, requires_grad=True).clone().fill_(2).grad_fn.name()",
    "T.ones(2, requires_grad=True).clone().fill_(T.tensor(2)).grad_fn.name()",
    "type(T.ones(2, requires_grad=True).clone().copy_(2).grad_fn).__name__",
    "T.ones(2, requires_grad=True).median().grad_fn.name()",
    *(
        f"type(T.ones(2, 3, requires_grad=True).clone()[{key}].grad_fn).__name__"
        for key in (":", "0:2", ":, :", "..., :", "0:2, 0:3", ":, 1:", "None", "()")
    ),
    "(lambda x: (x.__setitem__(slice(None), 2.0), type(x.grad_fn).__name__)[1])("
    "T.ones(2, requires_grad=True).clone())",
    "(lambda x: (x.__setitem__(0, 2.0), x.grad_fn.name())[1])(T.ones(2, requires_grad=True) * 1)",
    "(T.ones(1, requires_grad=True) * 1).grad_fn.next_functions[0][0].name()",
    "T.ones(2, 0, requires_grad=True).chunk(2, 1)[0].grad_fn.name()",
]

# Equations of einsum, and the shapes of their operands.
EQUATIONS = [
    ("bij->bji", "234"), ("bij->b", "234"), ("bij->", "234"), ("ii->i", "33"), ("ii", "33"),
    ("bij->j", "234"), ("bij,bjk->bik", "234 245"), ("i,i->", "3 3"), ("i,j->ij", "2 3"),
    ("i,j->ji", "2 3"), ("bij,ij->b", "234 34"), ("bij,ij->bij", "234 34"),
    ("ij,bij->jbi", "34 234"), ("bij,jk->bik", "234 45"), ("...ij,...jk->...ik", "234 245"),
    ("ij,jk,kl->il", "23 34 45"), ("bqhd,bkhd->bhqk", "1234 1234"), ("b...->...", "23"),
]  # fmt: skip


@pytest.mark.parametrize(("equation", "shapes"), EQUATIONS)
def test_einsum_gives_the_numbers_gradients_and_names_of_pytorch(
    equation: str, shapes: str
) -> None:
    found = []
    for library in (torch, tidu):
        operands = []
        for shape in shapes.split():
            sizes = tuple(map(int, shape))
            x = library.arange(float(np.prod(sizes))).reshape(sizes).sin()
            operands.append(x.detach().requires_grad_())
        result = library.einsum(equation, *operands)
        grads = library.autograd.grad((result * result).sum(), operands)
        numbers = [np.array(x.detach().tolist()) for x in (result, *grads)]
        found.append((type(result.grad_fn).__name__, result._base is None, numbers))
    assert found[0][:2] == found[1][:2]
    for expected, actual in zip(found[0][2], found[1][2], strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


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


def test_out_is_written_in_place() -> None:
    """Also by what draws random numbers; views of it see them."""
    for make in (tidu.rand, tidu.randn, tidu.zeros, tidu.randperm):
        out = tidu.full((3,), 7.0)
        view = out[1:]
        make(3, out=out)
        assert view.tolist() == out.tolist()[1:] != [7.0, 7.0]


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
        ("T.ones(1).std()", "degrees of freedom"),
        ("T.ones(3, 1).var(1)", "degrees of freedom"),
        ("T.ones(2).new_tensor(T.ones(2))", "copy construct"),
        ("T.from_numpy(np.frombuffer(b'abcd', dtype='u1'))", "not writable"),
    ],
)
def test_doubtful_calls_warn(statement: str, said: str) -> None:
    tidu.set_warn_always(True)
    try:
        with pytest.warns(UserWarning, match=said):
            eval(statement, {"T": tidu, "np": np})
    finally:
        tidu.set_warn_always(False)


TO_SCALARS = [
    *("float(x)", "float(2 * x)", "math.exp(x)", "T.tensor([x, x])", "np.float64(x)", "'%f' % x"),
    *(
        "int(x)",
        "bool(x)",
        "x.item()",
        "x.tolist()",
        "f'{x:.2f}'",
        "float(x.detach())",
        "T.ones(2)",
    ),
]


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("always", [True, False])
@pytest.mark.parametrize("statement", TO_SCALARS)
def test_scalars_of_tensors_with_history_warn_where_pytorch_does(
    statement: str, always: bool, enabled: bool
) -> None:
    said = []
    for library in (torch, tidu):
        names = {"T": library, "x": library.tensor(0.5, requires_grad=True), "np": np, "math": math}
        try:
            with warnings.catch_warnings(record=True) as caught, library.set_grad_enabled(enabled):
                warnings.simplefilter("always")
                eval(statement, names)  # if nobody has done so before, it warns once
                caught.clear()
                library.set_warn_always(True)
                eval(statement, names)
                library.set_warn_always(always)
                eval(statement, names)
        finally:
            library.set_warn_always(False)
        said.append([str(w.message).partition(" (Triggered")[0] for w in caught])
    assert said[1] == said[0]


def test_what_is_said_each_time_has_not_been_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As PyTorch does it, which cannot be made to forget what it has said."""
    monkeypatch.setattr(source, "_said", set())
    x, counts = tidu.tensor(0.5, requires_grad=True), []
    for always in (True, True, False, False, True):
        tidu.set_warn_always(always)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            float(x)
        counts.append(len(caught))
    tidu.set_warn_always(False)
    assert counts == [1, 1, 1, 0, 1]


def test_tensors_with_history_become_arrays_where_no_gradient_is_recorded() -> None:
    for library in (torch, tidu):
        x = library.ones(2, requires_grad=True)
        with library.no_grad():
            assert x.numpy().tolist() == np.asarray(x).tolist() == [1.0, 1.0]


def test_a_number_beyond_half_precision_is_compared_without_a_word() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (tidu.ones(2).half() < 1e300).tolist() == [True, True]


def test_a_bias_for_each_row_gets_its_gradient() -> None:
    bias = tidu.zeros(2, 4, requires_grad=True)
    tidu.nn.functional.linear(tidu.ones(2, 3), tidu.ones(4, 3), bias).sum().backward()
    assert bias.grad is not None and bias.grad.tolist() == [[1.0] * 4] * 2


def test_the_bound_of_a_cosine_is_unseen_by_its_gradient() -> None:
    found = []
    for library in (torch, tidu):
        x = library.tensor([[3.0, 4.0], [0.0, 0.0]], requires_grad=True)
        y = library.tensor([[1.0, 0.0], [1.0, 2.0]])
        library.nn.functional.cosine_similarity(x, y, eps=10.0).sum().backward()
        found.append(x.grad.tolist())
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5)


def test_cond_runs_the_function_that_its_predicate_chooses() -> None:
    # PyTorch compiles both, which leaves settings of its distributions changed.
    x = tidu.tensor([1.0, -2.0], requires_grad=True)
    for pred, slope in ((True, 3.0), (x.sum() > 0, -1.0), (tidu.tensor([1]), 3.0)):
        (gradient,) = tidu.autograd.grad(
            tidu.cond(pred, lambda x: (3 * x).sum(), lambda x: -x.sum(), (x,)), x
        )
        assert gradient.tolist() == [slope, slope]


def test_an_empty_vector_among_what_is_joined_keeps_its_history() -> None:
    for others in (tidu.ones(2, 3), tidu.ones(3)):
        empty = tidu.zeros(0, requires_grad=True)
        joined = tidu.cat([empty, others])
        assert joined.requires_grad and joined.shape == others.shape
        joined.sum().backward()
        assert empty.grad is not None and empty.grad.shape == (0,)
