"""What the registry-driven tests share:
samples made into arrays, arrays into tensors of either library.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import tidu
from tidu.base import dtypes
from tidu.ir.op import Array, Op, Sample, registry

DTYPES = {
    "all": ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int8", "uint8", "bool"),
    "number": ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int8", "uint8"),
    "float": ("float32", "float64", "float16", "bfloat16"),
    "wide": ("float32", "float64"),
    "integer": ("int64", "int32", "int16", "int8", "uint8", "bool"),
    "bool": ("bool",),
}
TOLERANCE = {"float64": 1e-9, "float32": 1e-5, "float16": 4e-3, "bfloat16": 3e-2}


def tested_ops() -> list[Op]:
    """Every op with a meaning of its own;
    `pick` is exercised by the ops that have several results.
    """
    return [op for op in registry.values() if op.reference != ""]


def cases(op: Op, kinds: tuple[str, ...] | None = None) -> Iterator[tuple[Sample, str]]:
    """Each sample of an op in each dtype that it is declared for."""
    for sample in op.samples():
        for name in DTYPES[op.dtypes]:
            if kinds is None or name in kinds:
                yield sample, name


def array_of(spec: Array, name: str, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """The numbers of a placeholder, in a NumPy dtype that holds those of `name`
    (float32 for halves).
    """
    fixed = spec.dtype is not None
    name = spec.dtype or name
    if name == "bool":
        return np.asarray(rng.random(spec.shape) < 0.5)
    kind = dtypes.from_name(name)
    if kind.category == dtypes.INTEGER:
        low = int(np.ceil(spec.low)) if fixed or kind.is_signed else max(int(np.ceil(spec.low)), 0)
        return np.asarray(
            rng.integers(low, max(int(np.ceil(spec.high)), low + 1), spec.shape), kind.numpy
        )
    numbers = rng.uniform(spec.low, spec.high, spec.shape)
    return np.asarray(numbers).astype(np.float64 if name == "float64" else np.float32)


def realize_sample(op: Op, sample: Sample, name: str) -> tuple[Any, ...]:
    """The arguments of a sample with arrays for placeholders; the same for every caller."""
    rng = np.random.default_rng(zlib.crc32(f"{op.name} {sample}".encode()))

    def make(argument: Any) -> Any:
        if isinstance(argument, Array):
            return Made(array_of(argument, name, rng), argument.dtype or name)
        if isinstance(argument, tuple) and any(isinstance(a, Array) for a in argument):
            return tuple(make(a) for a in argument)
        return argument

    return tuple(make(a) for a in sample.args)


class Made:
    """An array with the name of the dtype that it stands for."""

    def __init__(self, array: np.ndarray[Any, Any], dtype: str) -> None:
        self.array = array
        self.dtype = dtype


def map_arrays(arguments: Any, function: Callable[[Made], Any]) -> Any:
    """The arguments with every array replaced."""
    if isinstance(arguments, Made):
        return function(arguments)
    if type(arguments) is tuple:  # not a named one, which is an attribute
        return tuple(map_arrays(a, function) for a in arguments)
    return arguments


def tensors(
    module: Any, arguments: tuple[Any, ...], *, requires_grad: bool = False
) -> tuple[tuple[Any, ...], list[Any]]:
    """The arguments as tensors of `module`, and the list of those that require a gradient."""
    leaves: list[Any] = []

    def make(made: Made) -> Any:
        tensor = module.from_numpy(np.array(made.array)).to(getattr(module, made.dtype))
        if requires_grad and tensor.dtype.is_floating_point:
            tensor = tensor.detach().requires_grad_()
            leaves.append(tensor)
        return tensor

    return map_arrays(arguments, make), leaves


def ours(op: Op, arguments: tuple[Any, ...]) -> Any:
    return op(*arguments)


def theirs(op: Op, torch: Any) -> Callable[..., Any]:
    """The PyTorch function that an op is compared with."""
    reference = op.reference
    if callable(reference):
        return lambda *arguments: reference(torch, *arguments)
    found = torch
    for part in (reference or op.name).split("."):
        found = getattr(found, part)
    return found


def as_outputs(result: Any) -> tuple[Any, ...]:
    return tuple(result) if isinstance(result, (tuple, list)) else (result,)


def numbers(tensor: Any) -> np.ndarray[Any, Any]:
    """A tensor of either library as a NumPy array, halves widened."""
    tensor = tensor.detach()
    if str(tensor.dtype) in ("torch.bfloat16", "torch.float16"):
        tensor = tensor.to(tidu.float32) if isinstance(tensor, tidu.Tensor) else tensor.float()
    return np.asarray(tensor.numpy(force=True))


def assert_same(got: Any, want: Any, tolerance: float, what: str) -> None:
    """Shape, dtype and numbers of a tensor equal those of PyTorch's."""
    assert tuple(got.shape) == tuple(want.shape), (
        f"{what}: shape {tuple(got.shape)}, PyTorch {tuple(want.shape)}"
    )
    assert str(got.dtype) == str(want.dtype), f"{what}: dtype {got.dtype}, PyTorch {want.dtype}"
    # Integers in, floats out: what the result can hold decides.
    tolerance = max(tolerance, TOLERANCE.get(str(got.dtype).removeprefix("torch."), 0.0))
    np.testing.assert_allclose(
        numbers(got), numbers(want), rtol=tolerance, atol=tolerance, equal_nan=True, err_msg=what
    )
