"""ASGD: stochastic gradient descent that also averages the parameters it passes through."""

from __future__ import annotations

from tidu.base.dtypes import get_default_dtype
from tidu.ops.updates import moving_average, weighted_sum
from tidu.optim.advance import Advance
from tidu.optim.optimizer import Group, Optimizer, ParamsT, State
from tidu.optim.options import check_lr, check_option, number_of, numbers_of, scalar_tensor
from tidu.optim.scalars import rounded
from tidu.tensor import Tensor, zeros_like


class ASGD(Optimizer):
    """Averaged stochastic gradient descent: θ ← (1 − λη)θ − ηg, and a ← a + μ(θ − a).

    The average a is kept in the state as `ax`. η = γ / (1 + λγt)^α falls with each step, λ is
    `lambd`; μ = 1 / max(1, t − t0), so that the average `ax` begins after `t0` steps.
    `weight_decay` w adds wθ to g, `maximize` negates g. Raises ValueError for options out of range.
    Follows torch.optim.ASGD; Polyak and Juditsky, 1992, https://doi.org/10.1137/0330046.

    >>> optimizer = ASGD(model.parameters(), lr=1e-2, t0=1000)
    """

    _host_scalars = ("step", "eta", "mu")

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check_option(weight_decay >= 0.0, "weight_decay value", weight_decay)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _init_state(self, parameter: Tensor, group: Group) -> State:
        return {
            "step": scalar_tensor(0.0),
            "eta": scalar_tensor(number_of(group["lr"])),
            "mu": scalar_tensor(1.0),
            "ax": zeros_like(parameter),
        }

    def _update(self, group: Group, advance: Advance) -> None:
        rate, lambd, alpha, start = numbers_of(group, "lr", "lambd", "alpha", "t0")
        scalars = self._scalars
        for parameter, grad, state in self._gradients(group):
            count = self._count(state)
            eta = scalars.read(state["eta"])
            content = advance(parameter, weighted_sum, grad, 1 - lambd * eta, -eta)
            advance(state["ax"], moving_average, content, scalars.read(state["mu"]))
            # As in PyTorch, both pass through the default dtype, whatever that of their tensors.
            d = get_default_dtype()
            eta = rate / ((1 + lambd * rate * count) ** alpha)
            scalars.write(state["eta"], rounded(eta, d))
            scalars.write(state["mu"], rounded(1 / max(1, count - start), d))
