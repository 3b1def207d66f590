"""Rprop: a step size for each element, from the sign of its gradient alone."""

from __future__ import annotations

from typing import Any

from tidu.ops.elementwise import clamp, sign, where
from tidu.optim.advance import Advance
from tidu.optim.optimizer import Group, Optimizer, ParamsT, State
from tidu.optim.options import check_lr, number_of, scalar_tensor
from tidu.tensor import Tensor, full_like, zeros_like


class Rprop(Optimizer):
    """Resilient backpropagation: θ ← θ − sign(g)·s, each element with its own step size s.

    Where g kept its sign, s grows by η₊; where it changed, s shrinks by η₋ and that element waits
    for one step; s stays within `step_sizes` and starts at `lr`. `etas` is (η₋, η₊), `maximize`
    negates g. Raises ValueError unless 0 < η₋ < 1 < η₊. For full batches. Follows
    torch.optim.Rprop; Riedmiller and Braun, 1993, https://doi.org/10.1109/ICNN.1993.298623.

    >>> optimizer = Rprop(model.parameters(), lr=1e-2)
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _init_state(self, parameter: Tensor, group: Group) -> State:
        return {
            "step": scalar_tensor(0.0),
            "prev": zeros_like(parameter),
            "step_size": full_like(parameter, number_of(group["lr"])),
        }

    def _update(self, group: Group, advance: Advance) -> None:
        bounds = [number_of(bound) for bound in (*group["etas"], *group["step_sizes"])]
        for parameter, grad, state in self._gradients(group):
            self._count(state)
            previous = state["prev"]
            agreement = grad * (previous if isinstance(grad, Tensor) else previous._value)
            size = advance(state["step_size"], _sizes, agreement, *bounds)
            followed = advance(previous, _followed, grad, agreement)
            advance(parameter, _step, followed, size)


def _sizes(
    size: Any, agreement: Any, shrink: float, grow: float, smallest: float, largest: float
) -> Any:
    resized = where(agreement < 0.0, size * shrink, where(agreement > 0.0, size * grow, size))
    return clamp(resized, smallest, largest)


def _followed(previous: Any, grad: Any, agreement: Any) -> Any:
    """The gradient, but nothing where its sign has changed."""
    return where(agreement < 0.0, 0.0, grad)


def _step(parameter: Any, followed: Any, size: Any) -> Any:
    return parameter - sign(followed) * size
