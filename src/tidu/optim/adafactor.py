"""Adafactor: second moments kept as the product of a column and a row."""

from __future__ import annotations

from math import sqrt
from typing import Any

from tidu.base.limits import finfo
from tidu.ops.elementwise import mul, rsqrt
from tidu.ops.elementwise.choice import clamp_min
from tidu.ops.linear_algebra.contract import matmul
from tidu.ops.reductions.norms import vector_norm
from tidu.ops.reductions.reduce import mean
from tidu.ops.updates import add_scaled, moving_average
from tidu.optim.advance import Advance
from tidu.optim.optimizer import Group, Optimizer, ParamsT, State
from tidu.optim.options import numbers_of, scalar_tensor
from tidu.tensor import Tensor, zeros, zeros_like


class Adafactor(Optimizer):
    """Adafactor: θ ← θ − α·u / max(1, rms(u)/d), with u = g / √v and α = ρ·max(ε₂, rms(θ)).

    ρ = min(γ, 1/√t). Of the average v ← v + t^τ·(g² − v), with τ = `beta2_decay`, a matrix keeps
    only the means r over its rows and c over its columns: v = r·c / mean(r). `eps` is (ε₁, ε₂), the
    least √v and the least scale of a parameter; ε₁ = None is the precision of the dtype.
    `weight_decay` λ shrinks θ by 1 − γλ, `maximize` negates g. Raises ValueError for options out of
    range. Follows torch.optim.Adafactor; Shazeer and Stern, 2018, https://arxiv.org/abs/1804.04235.

    >>> optimizer = Adafactor(model.parameters(), lr=1e-2)
    """

    _decoupled_weight_decay = True

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        _check(lr >= 0.0, "Learning rate should be >= 0", lr)
        _check(beta2_decay <= 0.0, "beta2_decay should be <= 0", beta2_decay)
        _check(eps[0] is None or eps[0] >= 0.0, "epsilon1 should be >= 0", eps[0])
        _check(eps[1] >= 0.0, "epsilon2 should be >= 0", eps[1])
        _check(d >= 1.0, "Clipping threshold d should be >= 1", d)
        _check(weight_decay >= 0.0, "weight_decay should be >= 0", weight_decay)
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _init_state(self, parameter: Tensor, group: Group) -> State:
        shape = tuple(parameter.shape)
        if len(shape) < 2:
            return {"step": scalar_tensor(0.0), "variance": zeros_like(parameter)}
        return {
            "step": scalar_tensor(0.0),
            "row_var": zeros((*shape[:-1], 1), dtype=parameter.dtype),
            "col_var": zeros((*shape[:-2], 1, shape[-1]), dtype=parameter.dtype),
        }

    def _update(self, group: Group, advance: Advance) -> None:
        rate, beta2_decay, threshold, decay = numbers_of(
            group, "lr", "beta2_decay", "d", "weight_decay"
        )
        smallest, least_scale = group["eps"]
        for parameter, grad, state in self._gradients(group):
            count = self._count(state)
            least_root = finfo(parameter.dtype).eps if smallest is None else smallest
            scale = clamp_min(_root_mean_square(parameter._value), least_scale)
            if decay != 0:
                advance(parameter, mul, 1 - rate * decay)
            variance = _variance(advance, state, grad, count**beta2_decay, least_root)
            update = rsqrt(clamp_min(variance, least_root**2)) * grad
            clipping = clamp_min(_root_mean_square(update) / threshold, 1.0)
            update = update * (scale / clipping)
            advance(parameter, add_scaled, update, -min(rate, 1 / count**0.5))


def _check(valid: Any, what: str, value: Any) -> None:
    if not valid:
        raise ValueError(f"{what} but is: {value}")


def _root_mean_square(x: Any) -> Any:
    return vector_norm(x) / sqrt(x.numel())


def _variance(advance: Advance, state: State, grad: Any, weight: float, least: float) -> Any:
    """The averages of the state with g² taken into them, and the v that they stand for."""
    square = grad * grad
    if "variance" in state:
        return advance(state["variance"], moving_average, square, weight)
    rows = advance(state["row_var"], moving_average, mean(square, -1, True), weight)
    columns = advance(state["col_var"], moving_average, mean(square, -2, True), weight)
    return matmul(rows, columns) / clamp_min(mean(rows, -2, True), least)
