"""One statement in both libraries:
values, dtypes, names on the tape, first and second derivatives.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import tidu

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")

TOLERANCE = {"float64": 1e-9, "float32": 2e-5, "bfloat16": 4e-2, "float16": 4e-3}
# Everything that a function of one number may stumble over, the usual kinks left out.
EXTREMES = np.array(
    [
        -np.inf, -1e4, -200, -20.5, -6, -2.9, -1.1, -0.3, -1e-9,
        1e-9, 0.3, 1.1, 2.9, 6.5, 20.5, 200, 1e4, np.inf, np.nan,
    ]
)  # fmt: skip


def as_tensor(library: Any, array: np.ndarray[Any, Any], dtype: str, requires_grad: bool) -> Any:
    """Floats in the dtype under test and with a gradient, integers and bools as they are."""
    tensor = library.tensor(np.asarray(array))
    if array.dtype.kind != "f":
        return tensor
    return tensor.to(getattr(library, dtype)).detach().requires_grad_(requires_grad)


def outputs(result: Any) -> list[Any]:
    if isinstance(result, (tuple, list)):
        return [x for part in result for x in outputs(part)]
    return [] if result is None else [result]


def numbers(tensor: Any) -> Any:
    tensor = tensor.detach()
    if tensor.dtype.is_floating_point:
        tensor = tensor.double() if not isinstance(tensor, tidu.Tensor) else tensor.to(tidu.float64)
    return np.asarray(tensor.numpy(force=True))


def weights(library: Any, like: Any) -> Any:
    """Fixed numbers that differ from place to place."""
    shape = tuple(like.shape)
    array = 0.5 + (np.arange(int(np.prod(shape))) % 7).reshape(shape) / 4
    return library.tensor(np.asarray(array)).to(like.dtype)


class Answer:
    """What one library says to a statement."""

    def __init__(
        self, library: Any, statement: str, arrays: dict[str, Any], dtype: str, order: int
    ) -> None:
        requires_grad = order > 0
        self.inputs = {
            name: as_tensor(library, array, dtype, requires_grad) for name, array in arrays.items()
        }
        scope = {"T": library, "nn": library.nn, "F": library.nn.functional, **self.inputs}
        library.manual_seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.outputs = outputs(eval(statement, scope))
        self.library = library
        self.leaves = [x for x in self.inputs.values() if x.requires_grad]
        self.first: list[Any] = []
        self.second: list[Any] = []

    def differentiate(self, order: int) -> None:
        library = self.library
        roots = [o for o in self.outputs if o.requires_grad]
        if not order or not roots:
            return
        total = sum((o * weights(library, o)).sum() for o in roots)
        self.first = list(
            library.autograd.grad(total, self.leaves, create_graph=order > 1, allow_unused=True)
        )
        if order > 1:
            parts = [
                (g * g * weights(library, g)).sum()
                for g in self.first
                if g is not None and g.requires_grad
            ]
            if parts:
                self.second = list(
                    library.autograd.grad(sum(parts), self.leaves, allow_unused=True)
                )


def compare(
    statement: str,
    arrays: dict[str, Any],
    *,
    dtype: str = "float64",
    order: int = 2,
    names: bool = True,
) -> None:
    """Assert that both libraries give the same to a statement over the named arrays."""
    want = Answer(torch, statement, arrays, dtype, order)
    got = Answer(tidu, statement, arrays, dtype, order)
    # Integers in, floats out: what the result can hold decides.
    tolerance = max(TOLERANCE[dtype], *(TOLERANCE.get(o.dtype.name, 0.0) for o in got.outputs), 0.0)
    assert len(got.outputs) == len(want.outputs), statement
    for g, w in zip(got.outputs, want.outputs, strict=True):
        assert str(g.dtype) == str(w.dtype), f"{statement}: dtype {g.dtype}, PyTorch {w.dtype}"
        assert_close(g, w, tolerance, statement)
        assert g.requires_grad == w.requires_grad, statement
        if names:
            assert name_of(g.grad_fn) == name_of(w.grad_fn), statement
    try:
        want.differentiate(order)
    except (RuntimeError, NotImplementedError) as error:
        if "not implemented" not in str(error):
            raise
        order = 1
        want = Answer(torch, statement, arrays, dtype, order)
        want.differentiate(order)
    got.differentiate(order)
    for what, ours, theirs in (
        ("first", got.first, want.first),
        ("second", got.second, want.second),
    ):
        for name, g, w in zip(got.inputs, pad(ours, theirs), pad(theirs, ours), strict=False):
            assert_same_gradient(g, w, 10 * tolerance, f"{statement}: {what} derivative, {name}")


def pad(these: list[Any], those: list[Any]) -> list[Any]:
    return these or [None] * len(those)


def name_of(node: Any) -> str | None:
    return None if node is None else node.name()


def assert_same_gradient(got: Any, want: Any, tolerance: float, what: str) -> None:
    """Equal, where no gradient is as good as one of zeros."""
    if got is None or want is None:
        present = want if got is None else got
        assert present is None or not np.nan_to_num(numbers(present)).any(), what
    else:
        assert_close(got, want, tolerance, what)


def assert_close(got: Any, want: Any, tolerance: float, what: str) -> None:
    assert tuple(got.shape) == tuple(want.shape), what
    np.testing.assert_allclose(
        numbers(got), numbers(want), rtol=tolerance, atol=tolerance, equal_nan=True, err_msg=what
    )
