"""Batch norm has PyTorch's bits in both tiers, in training and in evaluation, forward and backward.

A training that magnifies small differences then goes as it does there.
"""

from __future__ import annotations

from collections.abc import Iterator
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

PLANES = [
    (32, 16, 32, 32), (32, 32, 16, 16), (32, 64, 8, 8), (4, 3, 7), (4, 3, 16), (3, 7, 100),
    (3, 4, 15), (3, 4, 17), (3, 4, 31), (1, 4, 5, 5), (5, 3, 7, 9), (2, 33, 13, 11), (3, 1, 5, 5),
    (7, 3, 4, 4), (2, 4, 3, 5, 6), (1, 1, 2), (16, 8, 28, 28), (4, 8, 64, 64),
]  # fmt: skip
ROWS = [(8, 5), (64, 100), (2, 3), (2, 20), (9, 24), (3, 17, 1, 1), (4, 3, 1), (128, 64)]


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def _numbers(shape: tuple[int, ...], affine: bool) -> dict[str, Any]:
    rng = np.random.default_rng(7)
    channels = shape[1]

    def normal(*shape: int) -> Any:
        return rng.standard_normal(shape).astype(np.float32)

    numbers = {"x": normal(*shape) * 3 + 1, "g": normal(*shape)}
    numbers |= {"mean": normal(channels), "var": np.abs(normal(channels)) + np.float32(0.1)}
    if affine:
        numbers |= {"weight": normal(channels), "bias": normal(channels)}
    return numbers


def _run(module: Any, name: str, numbers: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Everything that comes of a norm."""
    given = {key: module.from_numpy(x.copy()) for key, x in numbers.items()}
    leaves = {key: given[key].requires_grad_() for key in ("x", "weight", "bias") if key in given}
    parameters = [given.get(key) for key in ("mean", "var", "weight", "bias")]
    out = getattr(module.nn.functional, name)(given["x"], *parameters, **options)
    out.backward(given["g"])
    made = {"y": out.detach(), "mean": given["mean"], "var": given["var"]}
    made |= {f"gradient of {key}": leaf.grad for key, leaf in leaves.items()}
    return {key: x.numpy() for key, x in made.items()}


def _assert_same_bits(
    name: str, numbers: dict[str, Any], leaving_out: tuple[str, ...] = (), **options: Any
) -> None:
    theirs = _run(torch, name, numbers, **options)
    for number in (0, 1):
        with tier(number):
            ours = _run(tidu, name, numbers, **options)
        for key in theirs.keys() - set(leaving_out):
            np.testing.assert_array_equal(ours[key], theirs[key], f"{key}, tier {number}")


@pytest.mark.parametrize("shape", PLANES + ROWS, ids=str)
def test_batch_norm_in_training(shape: tuple[int, ...]) -> None:
    numbers = _numbers(shape, affine=True)
    _assert_same_bits("batch_norm", numbers, training=True, momentum=0.37, eps=1e-3)


@pytest.mark.parametrize("shape", PLANES + ROWS, ids=str)
def test_batch_norm_in_evaluation(shape: tuple[int, ...]) -> None:
    _assert_same_bits("batch_norm", _numbers(shape, affine=True), training=False)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(32, 64, 8, 8), (5, 3, 7, 9), (9, 24)], ids=str)
def test_batch_norm_without_weight_and_bias(shape: tuple[int, ...], training: bool) -> None:
    _assert_same_bits("batch_norm", _numbers(shape, affine=False), training=training)


# What instance norm adds up over the samples is the sum of other operations.
OVER_SAMPLES = ("mean", "var", "gradient of weight", "gradient of bias")


@pytest.mark.parametrize("shape", [(32, 64, 8, 8), (3, 7, 100), (1, 1, 2), (5, 3, 7, 9)], ids=str)
def test_instance_norm(shape: tuple[int, ...]) -> None:
    numbers = _numbers(shape, affine=True)
    left_out = OVER_SAMPLES if shape[0] > 3 else ()
    _assert_same_bits("instance_norm", numbers, left_out, use_input_stats=True)


def test_a_second_derivative_follows_the_same_bits() -> None:
    """A gradient that is itself to be differentiated is the one without."""
    numbers = _numbers((4, 3, 5, 7), affine=True)
    given = {key: tidu.from_numpy(x.copy()) for key, x in numbers.items()}
    x, weight = given["x"].requires_grad_(), given["weight"].requires_grad_()
    y = tidu.nn.functional.batch_norm(x, None, None, weight, given["bias"], True)
    plain = tidu.autograd.grad(y, (x, weight), given["g"], retain_graph=True)
    kept = tidu.autograd.grad(y, (x, weight), given["g"], create_graph=True)
    for one, other in zip(plain, kept, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.detach().numpy())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(0, 3), (0, 20), (0, 3, 4, 4), (2, 3, 0)], ids=str)
def test_nothing_at_all_has_gradients_of_zero(shape: tuple[int, ...], training: bool) -> None:
    _assert_same_bits("batch_norm", _numbers(shape, affine=True), training=training)
