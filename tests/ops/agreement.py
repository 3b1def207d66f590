"""Calls made in both libraries with the same numbers,
and all that users can see of the results compared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tidu
from tests.ops import table

Call = Callable[..., Any]


def array(*shape: int, low: float = -2.0, high: float = 2.0, seed: int = 0) -> np.ndarray[Any, Any]:
    """Fixed numbers, no two of them equal."""
    rng = np.random.default_rng([seed, *shape])
    return rng.uniform(low, high, shape)


def symmetric(n: int, *batch: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """A symmetric matrix with eigenvalues well apart."""
    x = array(*batch, n, n, seed=seed)
    return (x + np.swapaxes(x, -1, -2)) / 2 + np.diag(np.arange(n) * 3.0)


def definite(n: int, *batch: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """A positive definite matrix."""
    x = array(*batch, n, n, seed=seed)
    return x @ np.swapaxes(x, -1, -2) + n * np.eye(n)


def flat(result: Any) -> list[Any]:
    if isinstance(result, (tuple, list)):
        return [x for part in result for x in flat(part)]
    return [result]


def tensors(module: Any, arrays: tuple[Any, ...], grad: bool) -> list[Any]:
    made = []
    for a in arrays:
        numbers = np.asarray(a)
        tensor = (
            module.tensor(numbers.item()) if not numbers.ndim else module.from_numpy(numbers.copy())
        )
        tensor = tensor.to(getattr(module, str(numbers.dtype).replace("bool_", "bool")))
        made.append(tensor.requires_grad_() if grad and tensor.dtype.is_floating_point else tensor)
    return made


def _weights(module: Any, like: Any, seed: int) -> Any:
    numbers = np.random.default_rng(seed).uniform(0.5, 1.5, tuple(like.shape))
    return module.from_numpy(np.asarray(numbers)).to(like.dtype)


def run(module: Any, call: Call, arrays: tuple[Any, ...], order: int) -> list[Any]:
    """The results of a call, the gradients of their weighted sum, and for order 2 those of that."""
    inputs = tensors(module, arrays, order > 0)
    results = flat(call(module, *inputs))
    seen: list[Any] = [x.detach() if hasattr(x, "detach") else x for x in results]
    seen += [x.grad_fn is not None for x in results if hasattr(x, "grad_fn")]
    leaves = [x for x in inputs if x.requires_grad]
    roots = [x for x in results if getattr(x, "requires_grad", False)]
    if not roots:
        return seen
    total = sum((x * _weights(module, x, i)).sum() for i, x in enumerate(roots))
    first = module.autograd.grad(total, leaves, create_graph=order > 1, allow_unused=True)
    seen += [None if g is None else g.detach() for g in first]
    again = [g for g in first if g is not None and g.requires_grad]
    if order > 1 and again:
        total = sum((g * g * _weights(module, g, 9 + i)).sum() for i, g in enumerate(again))
        seen += list(module.autograd.grad(total, leaves, allow_unused=True))
    return seen


def agree(torch: Any, call: Call, *arrays: Any, order: int = 1, tolerance: float = 1e-9) -> None:
    """Assert that a call gives the same in both libraries: numbers, dtypes, shapes, gradients."""
    got, want = run(tidu, call, arrays, order), run(torch, call, arrays, order)
    assert len(got) == len(want), f"{len(got)} results, PyTorch {len(want)}"
    for number, (g, w) in enumerate(zip(got, want, strict=True)):
        what = f"result {number}"
        if g is None or w is None:
            present = w if g is None else g
            assert present is None or not np.any(table.numbers(present)), what
        elif hasattr(w, "shape"):
            table.assert_same(g, w, tolerance, what)
        else:
            assert g == w, what


def same_error(torch: Any, call: Call, *arrays: Any) -> None:
    """Assert that a call raises in both libraries, and the same kind of exception."""

    def raised(module: Any) -> list[str]:
        try:
            for x in flat(call(module, *tensors(module, arrays, False))):
                if hasattr(x, "tolist"):
                    x.tolist()
        except Exception as error:
            return [kind.__name__.lstrip("_") for kind in type(error).__mro__]
        return []

    want = raised(torch)
    assert want, "PyTorch does not raise"
    assert want[0] in raised(tidu)
