"""What stands at the end of a model has PyTorch's bits in both tiers: pooling to one number, the
last layer, softmax, cross entropy, and SGD.

A training that magnifies small differences then goes as it does there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tidu
from tests.compiler.tiers import tier

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
pytestmark = pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() != "AVX512",
    reason="the order of additions is that of PyTorch on processors with AVX-512",
)

ROWS = [(32, 10), (64, 10), (5, 15), (5, 16), (5, 17), (9, 32), (9, 100), (7, 1), (80, 65), (1, 40)]


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def normal(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def results(library: Any, function: Callable[..., Any], arrays: tuple[Any, ...]) -> list[Any]:
    """What a function gives, and the gradients of its arguments for some cotangent."""
    leaves = [library.from_numpy(x.copy()).requires_grad_() for x in arrays]
    out = function(library, *leaves)
    out.backward(library.from_numpy(normal(*out.shape, seed=1)) if out.shape else None)
    return [out.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves)]


def assert_same_bits(function: Callable[..., Any], *arrays: Any) -> None:
    """In both tiers; unlike bits, zeros of both signs are the same."""
    theirs = results(torch, function, arrays)
    for number in (0, 1):
        with tier(number):
            ours = results(tidu, function, arrays)
        for mine, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(mine, other, f"tier {number}", strict=True)


@pytest.mark.parametrize("shape", ROWS)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_over_rows(name: str, shape: tuple[int, ...]) -> None:
    assert_same_bits(lambda T, x: getattr(T, name)(x, -1), 3 * normal(*shape))


@pytest.mark.parametrize("shape", [(300, 65), (40, 1000), (2, 3, 64, 64)])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_over_many_rows_where_it_is_compiled(name: str, shape: tuple[int, ...]) -> None:
    x = (3 * normal(*shape),)
    with tier(1):
        ours = results(tidu, lambda T, x: getattr(T, name)(x, -1), x)
    for mine, other in zip(ours, results(torch, lambda T, x: getattr(T, name)(x, -1), x)):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [*ROWS[:-1], (700, 10)])
def test_cross_entropy(shape: tuple[int, ...], reduction: str) -> None:
    target = np.random.default_rng(2).integers(0, shape[1], shape[0])
    assert_same_bits(
        lambda T, x: T.nn.functional.cross_entropy(x, T.from_numpy(target), reduction=reduction),
        3 * normal(*shape),
    )


@pytest.mark.parametrize(
    "shape",
    [(32, 64, 8, 8), (2, 3, 7, 7), (4, 5, 14, 14), (3, 4, 1, 1), (3, 4, 2, 2), (3, 3, 1, 11),
     (4, 4, 32, 32), (6, 4, 7, 9), (1, 7, 5, 4), (2, 2, 100, 100)],
)  # fmt: skip
def test_the_mean_of_a_plane(shape: tuple[int, ...]) -> None:
    assert_same_bits(lambda T, x: T.nn.functional.adaptive_avg_pool2d(x, 1), normal(*shape))


@pytest.mark.parametrize(
    ("rows", "inputs", "outputs"),
    [(32, 64, 10), (64, 64, 10), (32, 128, 10), (16, 84, 10), (100, 40, 11), (20, 100, 7),
     (32, 64, 9), (32, 64, 6)],
)  # fmt: skip
def test_a_linear_layer_of_few_outputs(rows: int, inputs: int, outputs: int) -> None:
    assert_same_bits(
        lambda T, *x: T.nn.functional.linear(*x),
        normal(rows, inputs), normal(outputs, inputs, seed=3), normal(outputs, seed=4),
    )  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [{}, {"momentum": 0.9}, {"momentum": 0.9, "weight_decay": 1e-4, "nesterov": True},
     {"momentum": 0.8, "dampening": 0.3, "weight_decay": 1e-2}],
)  # fmt: skip
def test_steps_of_sgd(options: dict[str, Any]) -> None:
    def run(library: Any) -> list[Any]:
        parameter = library.nn.Parameter(library.from_numpy(normal(70, 11)))
        optimizer = library.optim.SGD([parameter], lr=0.1, **options)
        for seed in range(5):
            parameter.grad = library.from_numpy(normal(70, 11, seed=seed))
            optimizer.step()
        state = optimizer.state[parameter].get("momentum_buffer")
        return [x.detach().numpy() for x in (parameter, state) if x is not None]

    theirs = run(torch)
    for number in (0, 1):
        with tier(number):
            ours = run(tidu)
        for mine, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(mine, other, f"tier {number}")


@pytest.mark.parametrize(
    "function",
    [lambda T, x, a, b: T.addcmul(x, a, b, value=0.3),
     lambda T, x, a, b: T.addcdiv(x, a, b, value=3),
     lambda T, x, a, b: T.lerp(x, a, b),
     lambda T, x, a, b: T.lerp(x, a, 0.7)],
    ids=["addcmul", "addcdiv", "lerp by a tensor", "lerp by a number"],
)  # fmt: skip
def test_combinations_that_are_rounded_once(function: Callable[..., Any]) -> None:
    arrays = [normal(40, 33, seed=seed) for seed in range(3)]
    theirs = function(torch, *map(torch.from_numpy, arrays)).numpy()
    for number in (0, 1):
        with tier(number):
            np.testing.assert_array_equal(
                function(tidu, *map(tidu.from_numpy, arrays)).numpy(), theirs, f"tier {number}"
            )
