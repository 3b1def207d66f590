"""SGD: stochastic gradient descent with momentum."""

from __future__ import annotations

from typing import Any

from tidu.ops.updates import add_scaled, weighted_sum
from tidu.optim.advance import Advance
from tidu.optim.optimizer import Group, Optimizer, ParamsT
from tidu.optim.options import check_fused, check_lr, check_option, numbers_of, rate_of
from tidu.tensor import Tensor, from_value


class SGD(Optimizer):
    """Stochastic gradient descent: θ ← θ − γ·b with the momentum buffer b ← μ·b + (1 − τ)·g.

    γ is `lr`, μ `momentum`, τ `dampening`; the first buffer is g itself, and without momentum b =
    g. With `nesterov`, θ ← θ − γ·(g + μ·b). `weight_decay` λ adds λθ to g, `maximize` negates g.
    With `differentiable`, `lr` may be a tensor that requires grad. Raises ValueError for negative
    options, and for `nesterov` without momentum or with dampening. Follows torch.optim.SGD;
    Sutskever et al., 2013, https://proceedings.mlr.press/v28/sutskever13.html.

    >>> optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check_option(momentum >= 0.0, "momentum value", momentum)
        check_option(weight_decay >= 0.0, "weight_decay value", weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_fused(fused, foreach, differentiable)

    def _update(self, group: Group, advance: Advance) -> None:
        rate = rate_of(group)
        momentum, dampening = numbers_of(group, "momentum", "dampening")
        parameters, gradients, states = self._columns(group)
        directions = gradients
        if momentum != 0:
            buffers: list[Any] = [state.get("momentum_buffer") for state in states]
            if any([buffer is None for buffer in buffers]):
                directions = [
                    self._begin(parameter, grad)
                    if buffer is None
                    else advance(buffer, weighted_sum, grad, momentum, 1 - dampening)
                    for parameter, grad, buffer in zip(parameters, gradients, buffers, strict=True)
                ]
            else:
                directions = advance.each(buffers, weighted_sum, gradients, momentum, 1 - dampening)
            if group["nesterov"]:
                directions = [
                    add_scaled(grad, content, momentum)
                    for grad, content in zip(gradients, directions, strict=True)
                ]
        advance.each(parameters, add_scaled, directions, -rate)

    def _begin(self, parameter: Tensor, grad: Any) -> Any:
        """The first content of the momentum buffer: the gradient."""
        # A Value never changes, so that the buffer may begin as the gradient's own.
        buffer = grad.detach().clone() if isinstance(grad, Tensor) else from_value(grad)
        self.state[parameter]["momentum_buffer"] = buffer
        return buffer if isinstance(grad, Tensor) else grad
