"""RMSprop: steps scaled by a running average of the squared gradient."""

from __future__ import annotations

from tidu.ops.elementwise import mul
from tidu.ops.elementwise.blending import addcmul_
from tidu.ops.updates import add_scaled, moving_average, moving_square, normalized_step
from tidu.optim.advance import Advance
from tidu.optim.optimizer import Group, Optimizer, ParamsT, State
from tidu.optim.options import check_lr, check_option, numbers_of, scalar_tensor
from tidu.tensor import Tensor, zeros_like


class RMSprop(Optimizer):
    """RMSprop: θ ← θ − γ·g / (√v + ε), with v ← αv + (1 − α)g².

    With `centered`, v is reduced by the square of a running average of g, which makes it a
    variance. With `momentum` μ, θ ← θ − γ·b with b ← μb + g / (√v + ε). `weight_decay` λ adds λθ to
    g, `maximize` negates g. Raises ValueError for negative options. Follows torch.optim.RMSprop;
    Hinton, 2012, https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf;
    centered: Graves, 2013, https://arxiv.org/abs/1308.0850.

    >>> optimizer = RMSprop(model.parameters(), lr=1e-2, momentum=0.9)
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check_option(eps >= 0.0, "epsilon value", eps)
        check_option(momentum >= 0.0, "momentum value", momentum)
        check_option(weight_decay >= 0.0, "weight_decay value", weight_decay)
        check_option(alpha >= 0.0, "alpha value", alpha)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _init_state(self, parameter: Tensor, group: Group) -> State:
        state = {"step": scalar_tensor(0.0), "square_avg": zeros_like(parameter)}
        if group["momentum"] > 0:
            state["momentum_buffer"] = zeros_like(parameter)
        if group["centered"]:
            state["grad_avg"] = zeros_like(parameter)
        return state

    def _update(self, group: Group, advance: Advance) -> None:
        rate, alpha, eps, momentum = numbers_of(group, "lr", "alpha", "eps", "momentum")
        weight = 1 - alpha
        centered = group["centered"]
        for parameter, grad, state in self._gradients(group):
            self._count(state)
            square = advance(state["square_avg"], moving_square, grad, alpha, weight)
            if centered:
                average = advance(state["grad_avg"], moving_average, grad, weight)
                square = addcmul_(square, average, average, -1.0)
            if momentum > 0:
                buffer = state["momentum_buffer"]
                advance(buffer, mul, momentum)
                buffer = advance(buffer, normalized_step, grad, square, 1.0, 1.0, eps)
                advance(parameter, add_scaled, buffer, -rate)
            else:
                advance(parameter, normalized_step, grad, square, -rate, 1.0, eps)
