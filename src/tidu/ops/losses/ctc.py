"""Connectionist temporal classification: the likelihood of a label sequence under all its
alignments in time.

Graves et al., "Connectionist temporal classification", ICML 2006. Both sweeps over time run on the
whole batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tidu.base import dtypes
from tidu.base.dtypes import dtype, from_numpy
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ir.precision import in_full_precision
from tidu.ir.value import leaf
from tidu.ops.cast import cast
from tidu.ops.elementwise import clamp
from tidu.ops.losses.reduction import collect, reduction_of
from tidu.ops.moving.movement import reshape
from tidu.ops.rules import not_implemented, same

_IMPOSSIBLE = -np.inf


class _Lattice(NamedTuple):
    """The states of all alignments: each label with a blank before, between and after."""

    emitted: Any  # (T, N, L) log probability of the label of each state
    labels: Any  # (N, L)
    may_skip: Any  # (N, L) whether a state can be reached from the one before its blank
    last: Any  # (N,) the last state, a blank
    steps: Any  # (N,) the number of time steps


def _lattice(log_probs: Any, targets: Any, steps: Any, lengths: Any, blank: int) -> _Lattice:
    time, batch, classes = log_probs.shape
    longest = int(lengths.max(initial=0))
    labels = np.full((batch, 2 * longest + 1), blank, np.int64)
    start = 0
    for n, length in enumerate(lengths):
        row = targets[n, :length] if targets.ndim == 2 else targets[start : start + length]
        start += length
        labels[n, 1 : 2 * length : 2] = row
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        wrong = labels[(labels < 0) | (labels >= classes)][0]
        raise RuntimeError(
            f"ctc_loss: label {int(wrong)} is out of range, there are {classes} classes"
        )
    emitted = np.take_along_axis(log_probs, np.broadcast_to(labels, (time, *labels.shape)), 2)
    may_skip = np.zeros(labels.shape, bool)
    may_skip[:, 2:] = (labels[:, 2:] != blank) & (labels[:, 2:] != labels[:, :-2])
    return _Lattice(emitted, labels, may_skip, 2 * lengths, steps)


def _shifted(x: Any, by: int) -> Any:
    """Row entries moved to the right (or left), with nothing flowing in."""
    moved = np.full_like(x, _IMPOSSIBLE)
    if by > 0:
        moved[:, by:] = x[:, :-by]
    else:
        moved[:, :by] = x[:, -by:]
    return moved


def _forward(lattice: _Lattice) -> Any:
    """log α (T, N, L): of all beginnings of alignments that end in a state at a time."""
    emitted = lattice.emitted
    alpha = np.full_like(emitted, _IMPOSSIBLE)
    if not len(alpha):
        return alpha
    alpha[0, :, :1] = emitted[0, :, :1]
    some = lattice.last > 0
    alpha[0, some, 1:2] = emitted[0, some, 1:2]
    for t in range(1, len(alpha)):
        before = alpha[t - 1]
        skipped = np.where(lattice.may_skip, _shifted(before, 2), _IMPOSSIBLE)
        alpha[t] = np.logaddexp(np.logaddexp(before, _shifted(before, 1)), skipped) + emitted[t]
    return alpha


def _backward(lattice: _Lattice) -> Any:
    """log β (T, N, L): of all endings of alignments that begin in a state at a time,
    that state included.
    """
    emitted = lattice.emitted
    beta = np.full_like(emitted, _IMPOSSIBLE)
    states = np.arange(emitted.shape[2])
    final = (states == lattice.last[:, None]) | (states == lattice.last[:, None] - 1)
    may_skip = np.zeros_like(lattice.may_skip)
    may_skip[:, :-2] = lattice.may_skip[:, 2:]
    for t in range(len(beta) - 1, -1, -1):
        after = beta[t + 1] if t + 1 < len(beta) else np.full_like(beta[0], _IMPOSSIBLE)
        skipped = np.where(may_skip, _shifted(after, -2), _IMPOSSIBLE)
        onward = np.logaddexp(np.logaddexp(after, _shifted(after, -1)), skipped)
        ends = final & (lattice.steps == t + 1)[:, None]
        beta[t] = np.where(ends, 0.0, onward) + emitted[t]
    return beta


def _losses(lattice: _Lattice, alpha: Any) -> Any:
    """-log of the probability of each label sequence."""
    rows = np.arange(len(lattice.last))
    # Over no time: certain for no labels, else impossible.
    result = np.where(lattice.last == 0, -0.0, np.inf)
    timed = lattice.steps > 0
    ends = alpha[lattice.steps - 1, rows] if len(alpha) else np.zeros((len(rows), 1))
    whole = ends[rows, lattice.last]
    cut = np.where(lattice.last > 0, ends[rows, np.maximum(lattice.last - 1, 0)], _IMPOSSIBLE)
    result[timed] = -np.logaddexp(whole, cut)[timed]
    return result


def _ctc_numpy(
    log_probs: Any, targets: Any, steps: Any, lengths: Any, blank: int, zero_infinity: bool
) -> Any:
    lattice = _lattice(log_probs, targets, steps, lengths, blank)
    losses = _losses(lattice, _forward(lattice))
    return np.where(np.isinf(losses), 0.0, losses) if zero_infinity else losses


def _gradient_numpy(
    log_probs: Any, targets: Any, steps: Any, lengths: Any, blank: int, zero_infinity: bool
) -> Any:
    """exp(log_probs) minus the share of each class at each time among the alignments."""
    lattice = _lattice(log_probs, targets, steps, lengths, blank)
    alpha, beta = _forward(lattice), _backward(lattice)
    losses = _losses(lattice, alpha)
    shares = np.exp(alpha + beta - lattice.emitted + losses[:, None])
    expected = np.zeros_like(log_probs)
    rows = np.arange(log_probs.shape[1])
    for state in range(lattice.labels.shape[1]):
        expected[:, rows, lattice.labels[:, state]] += np.nan_to_num(shares[:, :, state])
    gradient = np.exp(log_probs) - expected
    gradient[:, np.isinf(losses)] = 0.0 if zero_infinity else np.nan
    gradient[np.arange(len(log_probs))[:, None] >= steps] = 0.0
    return gradient


def _ctc_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    d: dtype = inputs[0].dtype
    if d not in (dtypes.float32, dtypes.float64):
        raise not_implemented("ctc_loss_cpu", d)
    return inputs, (inputs[0].shape[1],), d


def _samples() -> list[Sample]:
    # The derivative is that with respect to the logits behind, so it is not the slope of these
    # numbers.
    targets, lengths = Array((2, 2), 1, 4, "int64"), Array((2,), 1, 3, "int64")
    steps = Array((2,), 5, 7, "int64")
    return [Sample((Array((6, 2, 4), -2, -1), targets, steps, lengths, 0, False), smooth=False)]


def _torch_ctc(torch: Any, *arguments: Any) -> Any:
    *inputs, blank, zero_infinity = arguments
    return torch.nn.functional.ctc_loss(*inputs, blank, "none", zero_infinity)


_INPUTS = "log_probs targets input_lengths target_lengths"
ctc_gradient = define(
    "ctc_gradient",
    inputs=_INPUTS,
    attrs="blank zero_infinity",
    kind="host",
    infer=same,
    numpy=_gradient_numpy,
    samples=_samples,
    dtypes="float",
    reference=lambda torch, log_probs, *rest: torch.autograd.grad(
        _torch_ctc(torch, log_probs.requires_grad_(), *rest).sum(), log_probs
    )[0],
)
ctc = define(
    "ctc_loss",
    inputs=_INPUTS,
    attrs="blank zero_infinity",
    kind="host",
    infer=_ctc_infer,
    numpy=_ctc_numpy,
    vjp=(
        lambda g, out, log_probs, targets, steps, lengths, *attrs: (
            reshape(g, (1, -1, 1)) * ctc_gradient(log_probs, targets, steps, lengths, *attrs)
        ),
        None,
        None,
        None,
    ),
    joined=True,
    samples=_samples,
    dtypes="float",
    reference=_torch_ctc,
)


def _lengths(role: str, given: Any, batch: int) -> Any:
    """Lengths as a Value or tensor of int64; they may come as a list or as numbers."""
    if isinstance(given, (int, Sequence)):
        array = np.asarray(given, np.int64).reshape(-1)
        given = leaf(array, from_numpy(array.dtype))
    if given.dtype.is_floating_point:
        raise RuntimeError(f"{role} must be integral, but is {given.dtype}")
    if len(given.shape) != 1:
        given = reshape(given, (-1,))
    if given.shape != (batch,):
        raise RuntimeError(
            f"{role} must be of size batch_size: got {given.shape[0]} for a batch of {batch}"
        )
    return given if given.dtype is dtypes.int64 else cast(given, dtypes.int64)


# Lengths that are not known yet are checked when the loss is run.
def _bounded_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    if inputs[0].buffer is not None:
        _checked_numpy(inputs[0].buffer, *attrs)
    return inputs, inputs[0].shape, inputs[0].dtype


def _checked_numpy(lengths: Any, most: int, role: str) -> Any:
    if lengths.size and lengths.max() > most:
        raise RuntimeError(
            f"Expected {role} to have value at most {most}, but got value {lengths.max()}"
        )
    if lengths.size and lengths.min() < 0:
        raise RuntimeError(
            f"Expected {role} to have value at least 0, but got value {lengths.min()}"
        )
    return lengths


bounded_lengths = define(
    "bounded_lengths",
    inputs="lengths",
    attrs="most role",
    kind="host",
    infer=_bounded_infer,
    numpy=_checked_numpy,
    samples=lambda: [Sample((Array((3,), 0, 5, "int64"), 5, "input_lengths"))],
    reference=lambda torch, lengths, most, role: lengths,
)


@function("torch.nn.functional.ctc_loss")
@in_full_precision
def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """-log of the probability of each target sequence,
    over all alignments with (T, N, C) log probabilities.

    `targets` is (N, S), padded, or all sequences joined; (T, C) and (S) do for a single sample. The
    mean is that of losses divided by target lengths. `zero_infinity` makes 0 of what no alignment
    fits. Raises RuntimeError for lengths that do not fit (Graves et al., 2006).
    """
    reduction = reduction_of(reduction, None, None)
    single = len(log_probs.shape) == 2
    if single:
        log_probs = reshape(log_probs, (log_probs.shape[0], 1, log_probs.shape[1]))
    time, batch, classes = log_probs.shape
    if not 0 <= blank < classes:
        raise RuntimeError(f"blank must be in label range: got {blank} for {classes} classes")
    steps = bounded_lengths(_lengths("input_lengths", input_lengths, batch), time, "input_lengths")
    lengths = _lengths("target_lengths", target_lengths, batch)
    if len(targets.shape) == 2 and targets.shape[0] != batch:
        raise RuntimeError(
            f"Expected tensor to have size {batch} at dimension 0, but got size {targets.shape[0]} "
            "for argument #2 'targets'"
        )
    lengths = bounded_lengths(lengths, targets.shape[-1], "target_lengths")
    if targets.dtype is not dtypes.int64:
        targets = cast(targets, dtypes.int64)
    attrs = int(blank), bool(zero_infinity)
    name = "WhereBackward0" if zero_infinity else "CtcLossBackward0"
    losses = ctc.named(name, log_probs, targets, steps, lengths, *attrs)
    if reduction == "mean":
        return collect(losses / cast(clamp(lengths, 1, None), losses.dtype), "mean")
    if single and reduction == "none":
        return reshape.named("SqueezeBackward1", losses, ())
    return collect(losses, reduction)
