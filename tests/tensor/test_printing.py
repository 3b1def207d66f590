"""Printed tensors against PyTorch's, character for character."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidu.tensor.printing import (
    format_tensor,
    get_printoptions,
    printoptions,
    set_printoptions,
)

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")

FLOATS = ("float32", "float64", "float16", "bfloat16")
INTEGERS = ("int64", "int32", "int16", "int8", "uint8")
ALL = (*FLOATS, *INTEGERS, "bool", "complex64", "complex128")


@pytest.fixture(autouse=True)
def default_options() -> Iterator[None]:
    yield
    set_printoptions(profile="default")
    torch.set_printoptions(profile="default")
    torch.set_default_dtype(torch.float32)


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    plain = tensor.detach()
    if plain.dtype == torch.bfloat16:
        return plain.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return plain.numpy()


def ours(tensor: torch.Tensor, **options: Any) -> str:
    name = str(tensor.dtype).removeprefix("torch.")
    default = str(torch.get_default_dtype()).removeprefix("torch.")
    return format_tensor(to_numpy(tensor), name, default_float=default, **options)


def check(tensor: torch.Tensor) -> None:
    assert ours(tensor) == repr(tensor)


def random_tensor(shape: tuple[int, ...], name: str, scale: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(len(shape) + sum(shape))
    dtype = getattr(torch, name)
    if name.startswith("complex"):
        return torch.complex(
            torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)
        ).to(dtype)
    if dtype.is_floating_point:
        return (torch.randn(shape, generator=generator) * scale).to(dtype)
    if name == "bool":
        return torch.rand(shape, generator=generator) < 0.5
    low = 0 if name == "uint8" else -100
    return torch.randint(low, 120, shape, generator=generator).to(dtype)


SHAPES = [
    (), (1,), (3,), (25,), (0,), (0, 3), (3, 0), (2, 0, 4), (1, 1), (2, 3), (5, 30), (2, 3, 4),
    (2, 1, 3, 2), (1, 2, 1, 2, 2), (1000,), (1001,), (7, 200), (200, 7), (6, 200), (200, 6),
    (40, 40), (11, 10, 12), (2, 3, 400), (3, 400, 2), (1001, 1), (1, 1001), (7, 7, 7, 7),
]  # fmt: skip

VALUES: dict[str, list[Any]] = {
    "whole": [1.0, 2.0, 3.0],
    "whole and negative": [1.0, -2.0, 30.0],
    "zeros": [0.0, 0.0],
    "negative zero": [-0.0, 1.0],
    "only negative zero": [-0.0],
    "zero and fraction": [0.0, 0.5],
    "nan": [math.nan],
    "inf": [math.inf],
    "minus inf": [-math.inf, math.inf],
    "whole and nan": [1.0, math.nan, 2.0],
    "fraction and nan": [1.5, math.nan, -math.inf],
    "zero and nan": [0.0, math.nan],
    "wide range": [1.0, 1001.5],
    "not so wide range": [1.0, 999.5],
    "exactly 1000": [1.0, 1000.0],
    "just above 1000": [0.5, 500.5],
    "large": [1e8, 2e8],
    "larger": [1.5e8, 2e8],
    "small": [1e-4, 2e-4],
    "smaller": [9e-5, 2e-4],
    "tiny": [1e-30, 5e-31],
    "huge": [1e30, 2e30],
    "wide and nan": [1e-5, math.nan, 1e5, 0.0, math.inf],
    "large whole": [1234567.0, 12.0],
    "rounding": [0.12345, 0.99995, 0.99994, 2.5],
    "rounding to more digits": [9.99996, 1.0],
    "minus rounding to zero": [-0.00001, 1.0, 0.3],
    "pi": [math.pi],
    "subnormal": [1e-42, 1.0],
}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_and_types(shape: tuple[int, ...], name: str) -> None:
    check(random_tensor(shape, name))


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("scale", [1e-6, 1e-3, 10.0, 1e3, 1e9])
@pytest.mark.parametrize("shape", [(), (10,), (3, 4), (50, 50)])
def test_scales(shape: tuple[int, ...], scale: float, name: str) -> None:
    check(random_tensor(shape, name, scale))


@pytest.mark.parametrize("name", [*FLOATS, "complex64"])
@pytest.mark.parametrize("case", VALUES)
def test_values(case: str, name: str) -> None:
    tensor = torch.tensor(VALUES[case], dtype=getattr(torch, name))
    check(tensor)
    check(tensor.repeat(40))
    check(tensor.repeat(700))
    for element in tensor:
        check(element)
    if name == "complex64":
        check(tensor * 1j + 2.5)


@pytest.mark.parametrize("length", range(1, 40, 3))
@pytest.mark.parametrize("name", ["float32", "float64", "int64", "bool", "complex64"])
def test_lines_break_where_pytorch_breaks_them(length: int, name: str) -> None:
    check(random_tensor((length,), name))
    check(random_tensor((2, length), name))
    check(random_tensor((2, 2, length), name))


@pytest.mark.parametrize("shape", [(), (0,), (0, 2), (5,), (7,), (8,), (9,), (3, 3), (40, 40)])
@pytest.mark.parametrize("name", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize(
    "operation",
    [lambda x: x, lambda x: x + 1, lambda x: x.sum(), lambda x: x.reshape(-1).cumsum(0)],
)
def test_gradients(shape: tuple[int, ...], name: str, operation: Any) -> None:
    result = operation(random_tensor(shape, name).requires_grad_())
    function = type(result.grad_fn).__name__ if result.grad_fn is not None else None
    assert ours(result, requires_grad=True, grad_fn=function) == repr(result)


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (50, 50)])
@pytest.mark.parametrize("requires_grad", [True, False])
def test_parameters(shape: tuple[int, ...], requires_grad: bool) -> None:
    parameter = torch.nn.Parameter(random_tensor(shape, "float32"), requires_grad)
    assert ours(parameter, requires_grad=requires_grad, kind="parameter") == repr(parameter)


@pytest.mark.parametrize("default", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", [(), (3,), (0,), (2, 0)])
def test_default_types(default: str, name: str, shape: tuple[int, ...]) -> None:
    tensor = random_tensor(shape, name)
    torch.set_default_dtype(getattr(torch, default))
    check(tensor)


OPTIONS: list[dict[str, Any]] = [
    {"precision": 2},
    {"precision": 0},
    {"precision": 10},
    {"threshold": 5},
    {"threshold": 0},
    {"threshold": 10_000},
    {"edgeitems": 1},
    {"edgeitems": 0},
    {"edgeitems": 0, "threshold": 3},
    {"edgeitems": 5, "threshold": 3},
    {"linewidth": 40},
    {"linewidth": 5},
    {"linewidth": 200},
    {"sci_mode": True},
    {"sci_mode": False},
    {"sci_mode": True, "precision": 1},
    {"profile": "short"},
    {"profile": "full"},
    {"profile": "full", "linewidth": 120},
    {"profile": "unknown"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(
    "shape", [(), (0,), (0, 2), (1,), (4,), (12,), (3, 5), (2, 3, 4), (34, 34)]
)
def test_options(options: dict[str, Any], shape: tuple[int, ...]) -> None:
    torch.set_printoptions(**options)
    set_printoptions(**options)
    for name in ("float32", "float16", "int64", "bool", "complex64"):
        check(random_tensor(shape, name))
        check(random_tensor(shape, name) * 1000)
    check(torch.ones(shape))
    check(torch.zeros(shape))


def test_options_are_kept_and_sci_mode_is_not() -> None:
    for options in ({"precision": 3, "sci_mode": True}, {"edgeitems": 2}, {"profile": "short"}, {}):
        torch.set_printoptions(**options)
        set_printoptions(**options)
        assert get_printoptions() == torch._tensor_str.get_printoptions()
    set_printoptions(profile="default")
    assert get_printoptions() == {
        "precision": 4,
        "threshold": 1000,
        "edgeitems": 3,
        "linewidth": 80,
        "sci_mode": None,
    }


def test_options_for_a_while() -> None:
    with pytest.raises(KeyError), printoptions(precision=1, sci_mode=True):
        assert format_tensor(np.float32([1.25]), "float32") == "tensor([1.2e+00])"
        raise KeyError
    assert format_tensor(np.float32([1.25]), "float32") == "tensor([1.2500])"


def test_strided_arrays_print_by_position() -> None:
    tensor = random_tensor((60, 50), "float32")
    check(tensor.t())
    check(tensor[::2, ::3])
    check(tensor[0].expand(30, 50))


elements = st.one_of(
    st.floats(width=32),
    st.floats(-10, 10, width=32),
    st.integers(-1000, 1000).map(float),
    st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 1e8, 1e-4, 1000.0]),
)


@settings(max_examples=300, deadline=None)
@given(
    values=st.lists(elements, min_size=1, max_size=60),
    columns=st.integers(1, 12),
    name=st.sampled_from(FLOATS),
    threshold=st.sampled_from([0, 3, 10, 1000]),
    edgeitems=st.integers(0, 4),
    precision=st.integers(0, 7),
    linewidth=st.integers(1, 130),
    sci_mode=st.sampled_from([None, None, True, False]),
)
def test_any_values_and_options(
    values: list[float], columns: int, name: str, **options: Any
) -> None:
    torch.set_printoptions(**options)
    set_printoptions(**options)
    tensor = torch.tensor(values, dtype=torch.float64).to(getattr(torch, name))
    check(tensor)
    rows = math.ceil(len(values) / columns)
    padded = torch.zeros(rows * columns, dtype=tensor.dtype)
    padded[: len(values)] = tensor
    check(padded.reshape(rows, columns))
    for split in itertools.islice((s for s in (2, 3, 4) if columns % s == 0), 1):
        check(padded.reshape(rows, split, columns // split))


@settings(max_examples=100, deadline=None)
@given(
    values=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=40),
    linewidth=st.integers(10, 100),
)
def test_any_integers(values: list[int], linewidth: int) -> None:
    torch.set_printoptions(linewidth=linewidth)
    set_printoptions(linewidth=linewidth)
    check(torch.tensor(values))
    check(torch.tensor([values, values]))


def test_only_the_corners_of_large_tensors_are_read() -> None:
    class Counting(np.ndarray):
        """Refuses to be looked at as a whole."""

        def __array_ufunc__(self, *arguments: Any, **options: Any) -> Any:
            raise AssertionError("a ufunc ran over the whole tensor")

        def ravel(self, *arguments: Any) -> Any:
            assert self.size < 1000
            return np.asarray(self).ravel()

    large = np.broadcast_to(np.float32(1.5), (10**4, 10**4, 10**4)).view(Counting)
    text = format_tensor(large, "float32")
    assert text.count("1.5000") == 6**3
    assert text.count("...") == 6 * 6 + 6 + 1
