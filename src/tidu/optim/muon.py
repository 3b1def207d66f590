"""Muon: momentum made orthogonal, for the matrices of hidden layers."""

from __future__ import annotations

from math import sqrt
from typing import Any

from tidu.base.dtypes import bfloat16, float32
from tidu.ops.cast import as_dtype, cast
from tidu.ops.elementwise import mul
from tidu.ops.elementwise.choice import clamp_min
from tidu.ops.linear_algebra.contract import matmul
from tidu.ops.linear_algebra.matrices import transposed
from tidu.ops.reductions.norms import vector_norm
from tidu.ops.updates import add_scaled, moving_average, weighted_sum
from tidu.optim.advance import Advance
from tidu.optim.optimizer import Group, Optimizer, ParamsT, State
from tidu.optim.options import numbers_of
from tidu.tensor import Tensor, zeros_like

# Of the quintic iteration by which singular values are brought near 1, chosen by Keller Jordan.
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_RATE_RULES = (None, "original", "match_rms_adamw")


class Muon(Optimizer):
    """Muon: θ ← θ(1 − γλ) − γ'·O, with O the orthogonalized momentum b ← μ·b + (1 − μ)·g.

    With `nesterov` it is that of (1 − μ)·g + μ·b. O is b/‖b‖ after `ns_steps` Newton-Schulz
    iterations x ← ax + (b·xxᵀ + c·(xxᵀ)²)x with `ns_coefficients`, in bfloat16. For an m × n matrix
    γ' = γ·√max(1, m/n), with `adjust_lr_fn="match_rms_adamw"` γ·0.2·√max(m, n). Raises ValueError
    for options out of range and for parameters that are not matrices. Follows torch.optim.Muon;
    Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/.

    >>> matrices = [p for p in model.parameters() if p.ndim == 2]
    >>> optimizer = Muon(matrices, lr=0.02)
    """

    _host_scalars = ()
    _decoupled_weight_decay = True

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = _COEFFICIENTS,
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not lr >= 0.0:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not momentum >= 0.0:
            raise ValueError(f"momentum should be >= 0 but is: {momentum}")
        if not weight_decay >= 0.0:
            raise ValueError(f"weight decay should be >= 0 but is: {weight_decay}")
        if adjust_lr_fn not in _RATE_RULES:
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.ndim != 2:
                    raise ValueError(
                        "Muon only supports 2D parameters whereas we found a parameter with size: "
                        f"{parameter.size()}"
                    )

    def _init_state(self, parameter: Tensor, group: Group) -> State:
        return {"momentum_buffer": zeros_like(parameter)}

    def _update(self, group: Group, advance: Advance) -> None:
        rate, decay, momentum, eps = numbers_of(group, "lr", "weight_decay", "momentum", "eps")
        coefficients, steps = group["ns_coefficients"], group["ns_steps"]
        _check_iteration(coefficients, steps)
        for parameter, grad, state in self._gradients(group):
            update = advance(state["momentum_buffer"], moving_average, grad, 1 - momentum)
            if group["nesterov"]:
                update = moving_average(grad, update, momentum)
            update = _orthogonalized(update, coefficients, steps, eps)
            factor = _rate_factor(group["adjust_lr_fn"], *parameter.shape)
            advance(parameter, mul, 1 - rate * decay)
            advance(parameter, add_scaled, as_dtype(update, parameter.dtype), -rate * factor)


def _check_iteration(coefficients: Any, steps: int) -> None:
    if steps >= 100:
        raise ValueError("Number of steps must be less than 100 for computational efficiency")
    if len(coefficients) != 3:
        raise ValueError("Coefficients must be a tuple of exactly 3 values")


def _orthogonalized(x: Any, coefficients: Any, steps: int, eps: float) -> Any:
    """Nearly U·Vᵀ for x = U·S·Vᵀ: the singular values come near 1."""
    a, b, c = coefficients
    tall = x.shape[0] > x.shape[1]
    x = _rounded(transposed(x) if tall else x)
    x = _rounded(x / clamp_min(_rounded(vector_norm(x)), eps))
    for _ in range(steps):
        gram = _rounded(matmul(x, transposed(x)))  # (m, m) with m the smaller size
        change = _rounded(weighted_sum(gram, matmul(gram, gram), b, c))
        x = _rounded(weighted_sum(x, matmul(change, x), a, 1.0))
    return transposed(x) if tall else x


def _rounded(x: Any) -> Any:
    """As PyTorch's bfloat16 operations leave it, which compute in float32 and round once."""
    return cast(cast(x, bfloat16), float32)


def _rate_factor(rule: str | None, rows: int, columns: int) -> float:
    if rule == "match_rms_adamw":
        return 0.2 * sqrt(max(rows, columns))
    return sqrt(max(1, rows / columns))
