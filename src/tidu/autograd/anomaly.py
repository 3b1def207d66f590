"""Anomaly detection: a backward pass that stops at the first NaN and says where it comes from."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from tidu.autograd.tape import GradFn, Tape
from tidu.base.source import at, describe
from tidu.execute import buffer_of
from tidu.ir.value import Value


class Anomaly:
    """Whether backward passes are checked; for all threads, as in PyTorch."""

    enabled = False
    check_nan = True


def is_anomaly_enabled() -> bool:
    """Whether anomaly detection is on."""
    return Anomaly.enabled


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly detection, where it is on, looks for NaN."""
    return Anomaly.check_nan


class set_detect_anomaly:  # noqa: N801
    """Turn anomaly detection on or off; as a context manager only for the block.

    With it on, a backward pass raises RuntimeError at the first operation whose derivative contains
    NaN, and whatever goes wrong in a derivative is reported with the line of the forward operation.
    Every derivative is computed on the spot, which is slow. Follows
    torch.autograd.set_detect_anomaly.

    >>> with set_detect_anomaly(True):
    ...     loss.backward()
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.before = (Anomaly.enabled, Anomaly.check_nan)
        self.wanted = (bool(mode), check_nan)
        Anomaly.enabled, Anomaly.check_nan = self.wanted

    def __enter__(self) -> None:
        Anomaly.enabled, Anomaly.check_nan = self.wanted

    def __exit__(self, *exception: object) -> None:
        Anomaly.enabled, Anomaly.check_nan = self.before


class detect_anomaly(set_detect_anomaly):  # noqa: N801
    """A block with anomaly detection on; see `set_detect_anomaly`.

    >>> with detect_anomaly():
    ...     loss.backward()
    """

    def __init__(self, check_nan: bool = True) -> None:
        self.wanted = (True, check_nan)
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should "
            "only be enabled for debugging.",
            stacklevel=2,
        )

    def __enter__(self) -> None:
        self.before = (Anomaly.enabled, Anomaly.check_nan)
        super().__enter__()


def run_checked(node: GradFn, cotangents: list[Any], create_graph: bool) -> Sequence[Any]:
    """`node.backward`, with its failures and NaNs explained."""
    try:
        results = node.backward(cotangents, create_graph)
        if Anomaly.check_nan:
            _refuse_nan(node, results)
    except Exception:
        where = describe(node.position)
        warnings.warn(
            f"Error detected in {node.name()}. "
            + (
                f"The forward call that caused the error: {where}"
                if where
                else "No forward pass information available."
            ),
            stacklevel=2,
        )
        raise
    return results


def _refuse_nan(node: GradFn, results: Sequence[Any]) -> None:
    for number, g in enumerate(results):
        if g is None:
            continue
        numbers = buffer_of(g if g.__class__ is Value else Tape.value_of(g))
        if np.isnan(
            numbers.astype(np.float32, copy=False) if numbers.dtype.kind == "V" else numbers
        ).any():
            raise RuntimeError(
                f"Function '{node.name()}' returned nan values in its {number}th "
                f"output.{at(node.position)}"
            )
