"""L-BFGS follows PyTorch's: iterates, numbers of evaluations and state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tidu
import tidu.optim

torch = pytest.importorskip("torch")


def rosenbrock(x: Any) -> Any:
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def minimize(library: Any, steps: int, **options: Any) -> Any:
    x = library.tensor([-1.2, 1.0], dtype=library.float64, requires_grad=True)
    y = (library.ones(2, 3, dtype=library.float64) * 2).requires_grad_()
    unused = library.ones(2, dtype=library.float64).requires_grad_()
    optimizer = library.optim.LBFGS([x, y, unused], **options)
    evaluations = 0

    def closure() -> Any:
        nonlocal evaluations
        evaluations += 1
        optimizer.zero_grad()
        loss = rosenbrock(x) + (y**4).sum() + y[0, 0] * x[0]
        loss.backward()
        return loss

    losses = [optimizer.step(closure).item() for _ in range(steps)]
    state = optimizer.state_dict()["state"][0]
    return {
        "losses": losses,
        "x": x.tolist(),
        "y": y.tolist(),
        "evaluations": evaluations,
        "counts": (state["n_iter"], state["func_evals"], len(state["old_dirs"])),
    }, set(state)


@pytest.mark.parametrize(
    "options",
    [
        dict(lr=0.05, max_iter=5),
        dict(lr=0.01, max_iter=4, history_size=3),
        dict(line_search_fn="strong_wolfe", max_iter=6),
        dict(line_search_fn="strong_wolfe", lr=0.5, max_iter=4, history_size=2),
        dict(line_search_fn="strong_wolfe", max_iter=9, max_eval=5),
    ],
    ids=lambda options: ",".join(options),
)
def test_iterates_are_those_of_pytorch(options: dict[str, Any]) -> None:
    (expected, keys), (found, own_keys) = (minimize(L, 4, **options) for L in (torch, tidu))
    assert own_keys == keys
    assert (found["evaluations"], found["counts"]) == (expected["evaluations"], expected["counts"])
    for key in ("losses", "x", "y"):
        np.testing.assert_allclose(found[key], expected[key], rtol=1e-6, atol=1e-9)


def test_the_minimum_is_found() -> None:
    x = tidu.tensor([-1.2, 1.0], dtype=tidu.float64, requires_grad=True)
    optimizer = tidu.optim.LBFGS([x], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Any:
        optimizer.zero_grad()
        loss = rosenbrock(x)
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == pytest.approx(24.2)
    np.testing.assert_allclose(x.detach().numpy(), [1.0, 1.0], rtol=1e-4)
    before = optimizer.state_dict()["state"][0]["n_iter"]
    optimizer.step(closure)  # nothing is left to do
    assert optimizer.state_dict()["state"][0]["n_iter"] <= before + 1


def test_it_needs_a_closure_and_knows_one_line_search() -> None:
    x = tidu.ones(1).requires_grad_()
    with pytest.raises(TypeError, match="needs a closure"):
        tidu.optim.LBFGS([x]).step()
    with pytest.raises(RuntimeError, match="only 'strong_wolfe' is supported"):
        tidu.optim.LBFGS([x], line_search_fn="armijo").step(lambda: (x * x).sum())
