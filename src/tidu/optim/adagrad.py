"""Adagrad: steps scaled by the sum of all squared gradients so far."""

from __future__ import annotations

from tidu.ops.updates import moving_square, normalized_step
from tidu.optim.advance import Advance
from tidu.optim.optimizer import Group, Optimizer, ParamsT, State
from tidu.optim.options import check_fused, check_lr, check_option, numbers_of, scalar_tensor
from tidu.tensor import Tensor, full_like


class Adagrad(Optimizer):
    """Adagrad: θ ← θ − γₜ·g / (√s + ε), with s ← s + g² and γₜ = γ / (1 + (t − 1)·lr_decay).

    s starts at `initial_accumulator_value`. `weight_decay` λ adds λθ to g, `maximize` negates g.
    Raises ValueError for negative options. Follows torch.optim.Adagrad; Duchi et al., 2011,
    https://jmlr.org/papers/v12/duchi11a.html.

    >>> optimizer = Adagrad(model.parameters(), lr=1e-2)
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check_option(lr_decay >= 0.0, "lr_decay value", lr_decay)
        check_option(weight_decay >= 0.0, "weight_decay value", weight_decay)
        check_option(
            initial_accumulator_value >= 0.0,
            "initial_accumulator_value value",
            initial_accumulator_value,
        )
        check_option(eps >= 0.0, "epsilon value", eps)
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_fused(fused, foreach, differentiable)
        # The state is there from the start, as in PyTorch: a state dict taken before any step has
        # it.
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter].update(self._init_state(parameter, group))

    def _init_state(self, parameter: Tensor, group: Group) -> State:
        start = self.defaults["initial_accumulator_value"]
        return {"step": scalar_tensor(0.0), "sum": full_like(parameter, start)}

    def _update(self, group: Group, advance: Advance) -> None:
        rate, lr_decay, eps = numbers_of(group, "lr", "lr_decay", "eps")
        for parameter, grad, state in self._gradients(group):
            scale = -rate / (1 + (self._count(state) - 1) * lr_decay)
            total = advance(state["sum"], moving_square, grad, 1.0, 1.0)
            advance(parameter, normalized_step, grad, total, scale, 1.0, eps)
