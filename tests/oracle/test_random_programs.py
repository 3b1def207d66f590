"""Random programs of arithmetic, views, in-place writes,
cuts and backward passes must do what PyTorch does.

A program is run under both libraries side by side, and after every step every tensor is compared:
values, strides, requires_grad, is_leaf, gradient. An exception in one must be an exception of the
same type in the other, and must leave the same state behind.

Where tidu departs on purpose, PyTorch is asked for the truth: what autograd saves is cloned there,
so that an in-place edit after the save gives the gradient of the out-of-place program instead of an
error.

TIDU_RANDOM_PROGRAMS sets how many programs are tried.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tidu
from tests.oracle.programs import STEP, Machine, run_step

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")

PROGRAMS = int(os.environ.get("TIDU_RANDOM_PROGRAMS", "300"))


def _numbers(tensor: Any) -> Any:
    return tensor.detach().numpy()


def _steps(tensor: Any) -> list[int]:
    """The strides that somebody takes: a dimension of size 1 has no next element."""
    return [s for n, s in zip(tensor.shape, tensor.stride(), strict=True) if n != 1]


def _compare(ours: Machine, theirs: Machine, where: str) -> None:
    assert len(ours.tensors) == len(theirs.tensors), where
    for number, (a, b) in enumerate(zip(ours.tensors, theirs.tensors, strict=True)):
        what = f"tensor {number} after {where}"
        assert tuple(a.shape) == tuple(b.shape), what
        if 0 not in a.shape:
            assert _steps(a) == _steps(b), f"strides of {what}"
        np.testing.assert_allclose(_numbers(a), _numbers(b), rtol=1e-7, atol=1e-9, err_msg=what)
        assert a.requires_grad == b.requires_grad, f"requires_grad of {what}"
        assert a.is_leaf == b.is_leaf, f"is_leaf of {what}"
        ga, gb = (x.grad if x.is_leaf or x.retains_grad else None for x in (a, b))
        assert (ga is None) == (gb is None), f"gradient of {what}: {ga} and {gb}"
        if ga is not None:
            np.testing.assert_allclose(
                _numbers(ga), _numbers(gb), rtol=1e-6, atol=1e-9, err_msg=f"gradient of {what}"
            )


def _saved_as_copies() -> Any:
    """PyTorch keeps copies of what it saves:
    in-place edits cannot reach them, as they cannot in tidu.
    """
    return torch.autograd.graph.saved_tensors_hooks(lambda t: t.detach().clone(), lambda t: t)


@settings(
    max_examples=PROGRAMS,
    deadline=None,
    # The suite tries the same programs every time; asked for a number of them, it tries new ones.
    derandomize="TIDU_RANDOM_PROGRAMS" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    print_blob=True,
)
@given(st.lists(STEP, min_size=2, max_size=14))
def test_random_programs_agree_with_pytorch(steps: list[tuple[int, int, int, int]]) -> None:
    ours, theirs = Machine(tidu), Machine(torch)
    for number, step in enumerate(steps):
        got = run_step(ours, step)
        with _saved_as_copies() if step[0] != 8 else contextlib.nullcontext():
            want = run_step(theirs, step)
        assert got == want, f"step {number} {step}: tidu {got}, PyTorch {want}"
        _compare(ours, theirs, f"step {number} {step}")
