"""Every op of the registry against PyTorch, against finite differences,
and in the forms that break things.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tidu
from tests.ops import table
from tidu.backends.numpy import _from_decomposition, _from_emission
from tidu.ir.op import Op

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
OPS = table.tested_ops()
# Some, as in PyTorch, refuse only when somebody asks for their gradient.
DIFFERENTIABLE = [op for op in OPS if op.differentiable and op.grad_name != "NotImplemented"]


def _id(op: Op) -> str:
    return op.name


def _tolerance(op: Op, dtype: str) -> float:
    return table.TOLERANCE.get(dtype, 0.0) * op.tolerance


def _reference(op: Op, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """PyTorch's answer, or None where PyTorch does not have this op for this dtype."""
    try:
        return table.as_outputs(table.theirs(op, torch)(*arguments))
    except (RuntimeError, NotImplementedError) as error:
        if "not implemented for" in str(error) or "not supported" in str(error):
            return None
        raise


@pytest.mark.parametrize("op", OPS, ids=_id)
def test_values_dtypes_and_shapes_are_those_of_pytorch(op: Op) -> None:
    compared = 0
    for sample, dtype in table.cases(op):
        arguments = table.realize_sample(op, sample, dtype)
        want = _reference(op, table.tensors(torch, arguments)[0])
        if want is None:
            continue
        got = table.as_outputs(table.ours(op, table.tensors(tidu, arguments)[0]))
        for number, (g, w) in enumerate(zip(got, want, strict=True)):
            table.assert_same(
                _as_tensor(g),
                w,
                _tolerance(op, dtype),
                f"{op.name} {sample} {dtype} output {number}",
            )
        compared += 1
    assert compared


def _as_tensor(x: Any) -> Any:
    return x if isinstance(x, tidu.Tensor) else tidu.from_value(x)


def _gradients(op: Op, call: Any, module: Any, arguments: tuple[Any, ...], order: int) -> list[Any]:
    """Gradients of Σ out · weight, and for order 2 those of Σ gradient² after it."""
    inputs, leaves = table.tensors(module, arguments, requires_grad=True)
    outputs = [o for o in table.as_outputs(call(*inputs)) if o.requires_grad]
    if not outputs:
        return [None] * len(leaves)
    total = sum((o * _weights(module, o)).sum() for o in outputs)
    first = module.autograd.grad(total, leaves, create_graph=order == 2, allow_unused=True)
    if order == 1:
        return list(first)
    squares = [
        (g * g * _weights(module, g)).sum() for g in first if g is not None and g.requires_grad
    ]
    if not squares:
        return [None] * len(leaves)
    return list(module.autograd.grad(sum(squares), leaves, allow_unused=True))


def _weights(module: Any, like: Any) -> Any:
    """Fixed numbers that differ from element to element,
    so that no error hides in a symmetric sum.
    """
    count = int(np.prod(tuple(like.shape)))
    array = (0.5 + np.arange(count) % 7 / 4).reshape(tuple(like.shape))
    return module.from_numpy(np.asarray(array)).to(like.dtype)


@pytest.mark.parametrize("order", [1, 2], ids=["first", "second"])
@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=_id)
def test_derivatives_are_those_of_pytorch(op: Op, order: int) -> None:
    for sample, dtype in table.cases(op, ("float64", "float32") if order == 1 else ("float64",)):
        arguments = table.realize_sample(op, sample, dtype)
        if not table.tensors(tidu, arguments, requires_grad=True)[1]:
            continue
        try:
            want = _gradients(op, table.theirs(op, torch), torch, arguments, order)
        except (RuntimeError, NotImplementedError) as error:
            if "not implemented" in str(error):
                continue  # PyTorch has no such derivative: finite differences are the oracle
            raise
        got = _gradients(op, op, tidu, arguments, order)
        for number, (g, w) in enumerate(zip(got, want, strict=True)):
            what = f"{op.name} {sample} {dtype}, gradient of tensor {number}"
            if g is None or w is None:
                present = w if g is None else g
                assert present is None or not np.any(table.numbers(present)), what
            else:
                table.assert_same(g, w, 10 * _tolerance(op, dtype), what)


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=_id)
def test_gradients_are_those_of_finite_differences(op: Op) -> None:
    for sample, dtype in table.cases(op, ("float64",)):
        if not sample.smooth:
            continue
        arguments = table.realize_sample(op, sample, dtype)
        gradients = _gradients(op, op, tidu, arguments, 1) if _has_floats(arguments) else []
        made: list[table.Made] = []
        table.map_arrays(arguments, lambda m: made.append(m) if m.dtype == "float64" else None)
        for number, (m, gradient) in enumerate(zip(made, gradients, strict=True)):
            want = _differences(op, arguments, m)
            got = np.zeros(m.array.shape) if gradient is None else table.numbers(gradient)
            np.testing.assert_allclose(
                got,
                want,
                rtol=1e-5 * op.tolerance,
                atol=1e-5 * op.tolerance,
                err_msg=f"{op.name} {sample} tensor {number}",
            )


def _has_floats(arguments: tuple[Any, ...]) -> bool:
    return bool(table.tensors(tidu, arguments, requires_grad=True)[1])


def _differences(op: Op, arguments: tuple[Any, ...], made: table.Made, step: float = 1e-6) -> Any:
    """Central differences of Σ out · weight with respect to one array."""

    def total() -> float:
        outputs = table.as_outputs(op(*table.tensors(tidu, arguments)[0]))
        tensors = [_as_tensor(o) for o in outputs]
        return sum(
            float((o * _weights(tidu, o)).sum()) for o in tensors if o.dtype.is_floating_point
        )

    result = np.zeros(made.array.shape)
    for place in np.ndindex(*made.array.shape):
        before = made.array[place]
        made.array[place] = before + step
        above = total()
        made.array[place] = before - step
        result[place] = (above - total()) / (2 * step)
        made.array[place] = before
    return result


@pytest.mark.parametrize("op", OPS, ids=_id)
def test_views_that_are_not_contiguous_give_the_same_numbers(op: Op) -> None:
    for sample, dtype in table.cases(op, ("float32", "int64", "bool")):
        arguments = table.realize_sample(op, sample, dtype)
        plain, _ = table.tensors(tidu, arguments)

        def strided(made: table.Made) -> Any:
            tensor = tidu.from_numpy(np.array(made.array)).to(getattr(tidu, made.dtype))
            if tensor.dim() == 0:
                return tidu.stack([tensor, tensor])[1]
            doubled = (
                tidu.stack([tensor, tensor], -1).transpose(0, -1).contiguous().transpose(0, -1)
            )
            return doubled[..., 1]

        viewed = table.map_arrays(arguments, strided)
        for g, w in zip(table.as_outputs(op(*viewed)), table.as_outputs(op(*plain)), strict=True):
            # BLAS and compiled sums may add in another order where the memory lies differently.
            added = op.kind in ("contraction", "composite", "reduction")
            tolerance = 1e-6 if added else 0.0
            got, want = table.numbers(_as_tensor(g)), table.numbers(_as_tensor(w))
            np.testing.assert_allclose(
                got, want, rtol=tolerance, atol=tolerance, err_msg=f"{op.name} {sample}"
            )


@pytest.mark.parametrize(
    "op", [op for op in OPS if op.emit is not None and op.kind == "elementwise"], ids=_id
)
def test_the_scalar_emission_computes_what_numpy_does(op: Op) -> None:
    emitted = _from_emission(op)
    _compare_kernels(op, emitted)


@pytest.mark.parametrize(
    "op", [op for op in OPS if op.decompose is not None and op.numpy is not None], ids=_id
)
def test_the_decomposition_computes_what_numpy_does(op: Op) -> None:
    _compare_kernels(op, _from_decomposition(op))


def _compare_kernels(op: Op, kernel: Any) -> None:
    for sample, dtype in table.cases(op, ("float64", "int64", "bool")):
        arguments = table.realize_sample(op, sample, dtype)
        if op.numpy is None:
            continue
        value = op.value(*_split(op, table.map_arrays(arguments, lambda m: _leaf(m.array))))
        inputs = [
            x.buffer if hasattr(x, "buffer") and x.buffer is not None else x for x in value.inputs
        ]
        if any(hasattr(x, "op") for x in inputs):
            continue  # a cast was inserted: its numbers are not there to call a kernel with
        with np.errstate(all="ignore"):
            got, want = kernel(*inputs, *value.attrs), op.numpy(*inputs, *value.attrs)
        np.testing.assert_allclose(
            np.asarray(got, np.float64),
            np.asarray(want, np.float64),
            rtol=1e-12,
            atol=1e-12,
            err_msg=f"{op.name} {sample}",
        )


def _leaf(array: Any) -> Any:
    return tidu.from_array(array)._value


def _split(op: Op, arguments: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    inputs = tuple(arguments[0]) if op.variadic else arguments[: op.arity]
    return inputs, arguments[op.arity :]


def test_every_op_has_an_emission_or_a_decomposition_or_is_moved_or_called_as_a_whole() -> None:
    whole = {"movement", "indexing", "contraction", "source", "host"}
    for op in table.tested_ops():
        assert op.emit or op.decompose or op.kind in whole, op.name
