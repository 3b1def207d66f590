"""Adadelta: steps in units of the updates made so far, without a learning rate to choose."""

from __future__ import annotations

from tidu.ops.elementwise import sqrt
from tidu.ops.updates import add_scaled, moving_square
from tidu.optim.advance import Advance
from tidu.optim.optimizer import Group, Optimizer, ParamsT, State
from tidu.optim.options import check_lr, check_option, numbers_of, scalar_tensor
from tidu.tensor import Tensor, zeros_like


class Adadelta(Optimizer):
    """Adadelta: θ ← θ − γ·Δ with Δ = √(u + ε) / √(v + ε) · g.

    The running averages are v ← ρv + (1 − ρ)g² and u ← ρu + (1 − ρ)Δ². `weight_decay` λ adds λθ to
    g, `maximize` negates g. Raises ValueError for options out of range. Follows
    torch.optim.Adadelta; Zeiler, 2012, https://arxiv.org/abs/1212.5701.

    >>> optimizer = Adadelta(model.parameters())
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check_option(0.0 <= rho <= 1.0, "rho value", rho)
        check_option(eps >= 0.0, "epsilon value", eps)
        check_option(weight_decay >= 0.0, "weight_decay value", weight_decay)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _init_state(self, parameter: Tensor, group: Group) -> State:
        return {
            "step": scalar_tensor(0.0),
            "square_avg": zeros_like(parameter),
            "acc_delta": zeros_like(parameter),
        }

    def _update(self, group: Group, advance: Advance) -> None:
        rate, rho, eps = numbers_of(group, "lr", "rho", "eps")
        for parameter, grad, state in self._gradients(group):
            self._count(state)
            square = advance(state["square_avg"], moving_square, grad, rho, 1 - rho)
            updates = state["acc_delta"]
            before = updates if isinstance(grad, Tensor) else updates._value
            delta = sqrt(before + eps) / sqrt(square + eps) * grad
            advance(updates, moving_square, delta, rho, 1 - rho)
            advance(parameter, add_scaled, delta, -rate)
