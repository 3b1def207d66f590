"""RAdam: Adam without the average of squares while that is still too short to rely on."""

from __future__ import annotations

from tidu.ops.elementwise import mul
from tidu.ops.updates import add_scaled, moving_average, moving_square, normalized_step
from tidu.optim.advance import Advance
from tidu.optim.optimizer import Group, Optimizer, ParamsT, State
from tidu.optim.options import (
    check_betas,
    check_lr,
    check_option,
    number_of,
    numbers_of,
    scalar_tensor,
)
from tidu.tensor import Tensor, zeros_like


class RAdam(Optimizer):
    """RAdam: θ ← θ − γ·r·m̂·√(1 − β₂ᵗ) / (√v + ε), and θ ← θ − γ·m̂ at first.

    The first form begins when the average of squares is long enough to rely on. m̂ and v are those
    of Adam. The length of the average is ρₜ = ρ∞ − 2t·β₂ᵗ/(1 − β₂ᵗ) with ρ∞ = 2/(1 − β₂) − 1; it is
    long enough when ρₜ > 5, and r = √((ρₜ − 4)(ρₜ − 2)ρ∞ / ((ρ∞ − 4)(ρ∞ − 2)ρₜ)). `weight_decay` λ
    adds λθ to g, or with `decoupled_weight_decay` shrinks θ by 1 − γλ. Raises ValueError for
    options out of range. Follows torch.optim.RAdam; Liu et al., 2019,
    https://arxiv.org/abs/1908.03265.

    >>> optimizer = RAdam(model.parameters(), lr=1e-3)
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check_option(eps >= 0.0, "epsilon value", eps)
        check_betas(betas)
        check_option(weight_decay >= 0.0, "weight_decay value", weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _init_state(self, parameter: Tensor, group: Group) -> State:
        return {
            "step": scalar_tensor(0.0),
            "exp_avg": zeros_like(parameter),
            "exp_avg_sq": zeros_like(parameter),
        }

    def _update(self, group: Group, advance: Advance) -> None:
        rate, eps, decay = numbers_of(group, "lr", "eps", "weight_decay")
        beta1, beta2 = (number_of(beta) for beta in group["betas"])
        decoupled = group["decoupled_weight_decay"] and decay != 0
        for parameter, grad, state in self._gradients(group):
            count = self._count(state)
            if decoupled:
                advance(parameter, mul, 1 - rate * decay)
            average = advance(state["exp_avg"], moving_average, grad, 1 - beta1)
            square = advance(state["exp_avg_sq"], moving_square, grad, beta2, 1 - beta2)
            correction1, correction2 = 1 - beta1**count, 1 - beta2**count
            rectification = _rectification(beta2, count, correction2)
            if rectification is None:
                advance(parameter, add_scaled, average, -rate / correction1)
            else:
                scale = -rate / correction1 * correction2**0.5 * rectification
                advance(parameter, normalized_step, average, square, scale, 1.0, eps)


def _rectification(beta2: float, count: float, correction2: float) -> float | None:
    """The factor r, or None while the average of squares is too short to have a variance."""
    full = 2 / (1 - beta2) - 1
    length = full - 2 * count * beta2**count / correction2
    if length <= 5.0:
        return None
    above = (length - 4) * (length - 2) * full
    rectification: float = (above / ((full - 4) * (full - 2) * length)) ** 0.5
    return rectification
