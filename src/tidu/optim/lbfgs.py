"""L-BFGS: a quasi-Newton method from the last few changes of the gradient."""

from __future__ import annotations

from typing import Any

from tidu.ops.moving.joining import cat
from tidu.optim.line_search import Point, strong_wolfe
from tidu.optim.optimizer import Closure, Optimizer, ParamsT, State
from tidu.optim.options import check_lr, number_of
from tidu.tensor import Tensor, enable_grad, no_grad


class LBFGS(Optimizer):
    """L-BFGS: θ ← θ + t·d with d = −H·g, and H near the inverse Hessian.

    H comes from the last changes of θ and g. One `step(closure)` makes up to `max_iter` iterations
    with up to `max_eval` evaluations of the closure (`max_iter · 5 / 4` unless given), and ends
    early when |g| ≤ `tolerance_grad` everywhere, or when an iteration changes parameters or loss by
    less than `tolerance_change`. `history_size` changes are kept. t is `lr`, or what the line
    search "strong_wolfe" finds from there. For the full data set, and for one parameter group:
    raises ValueError for more. Follows torch.optim.LBFGS; Nocedal and Wright, Numerical
    Optimization, 2006, chapter 7.

    >>> x = torch.zeros(2, requires_grad=True)
    >>> optimizer = LBFGS([x], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad(); loss = ((x - 3) ** 2).sum(); loss.backward(); return loss
    >>> loss = optimizer.step(closure)
    >>> x
    tensor([3., 3.], requires_grad=True)
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_lr(lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    def step(self, closure: Closure | None = None) -> Any:
        """Minimize for up to `max_iter` iterations; returns the loss at the start."""
        if closure is None:
            raise TypeError(
                "LBFGS.step() needs a closure that clears the gradients, computes the loss, calls "
                "backward() and returns the loss, because it evaluates the model several times"
            )
        with no_grad():
            return self._minimize(closure)

    def _minimize(self, closure: Closure) -> Any:
        group = self.param_groups[0]
        lr = number_of(group["lr"])
        tolerance_change = group["tolerance_change"]
        line_search = group["line_search_fn"]
        if line_search not in (None, "strong_wolfe"):
            raise RuntimeError(f"only 'strong_wolfe' is supported, but got {line_search!r}")
        # One state for all parameters; the first one holds it, so that loading converts its dtypes.
        state: State = self.state[group["params"][0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        with enable_grad():
            first_loss = closure()
        loss = float(first_loss)
        evaluations = 1
        state["func_evals"] += 1
        grad = self._flat_grad()
        if _largest(grad) <= group["tolerance_grad"]:
            return first_loss

        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            direction = self._direction(state, grad, group["history_size"])
            previous_loss = loss
            if state["n_iter"] == 1:
                t = min(1.0, 1.0 / float(grad.abs().sum())) * lr
            else:
                t = lr
            state["d"], state["t"] = direction, t
            state["prev_flat_grad"], state["prev_loss"] = grad, loss
            slope = float(grad.dot(direction))
            if slope > -tolerance_change:
                break

            used = 0
            if line_search is not None:
                start = Point(0.0, loss, grad, slope)
                found, used = self._search(
                    closure, start, t, direction, group["max_eval"] - evaluations
                )
                t, loss, grad = found.t, found.loss, found.grad
                self._move(direction, t)
            else:
                self._move(direction, t)
                if iteration != group["max_iter"]:
                    with enable_grad():
                        new_loss = closure()
                    loss = float(new_loss)
                    grad = self._flat_grad()
                    used = 1
            state["t"] = t
            evaluations += used
            state["func_evals"] += used

            if (
                iteration == group["max_iter"]
                or evaluations >= group["max_eval"]
                or _largest(grad) <= group["tolerance_grad"]
                or _largest(direction) * t <= tolerance_change
                or abs(loss - previous_loss) < tolerance_change
            ):
                break
        return first_loss

    def _direction(self, state: State, grad: Tensor, history_size: int) -> Tensor:
        """−H·g, after the last change of parameters and gradient has entered the history."""
        if state["n_iter"] == 1:
            state["old_dirs"], state["old_stps"], state["ro"] = [], [], []
            state["H_diag"] = 1
            descent: Tensor = grad.neg()
            return descent
        old_dirs, old_stps, ro = state["old_dirs"], state["old_stps"], state["ro"]
        change = grad - state["prev_flat_grad"]
        moved = state["d"] * state["t"]
        curvature = change.dot(moved)
        if curvature.item() > 1e-10:
            if len(old_dirs) == history_size:
                for history in (old_dirs, old_stps, ro):
                    history.pop(0)
            old_dirs.append(change)
            old_stps.append(moved)
            ro.append(1.0 / curvature)
            state["H_diag"] = curvature / change.dot(change)

        weights: list[Tensor] = []
        direction: Tensor = grad.neg()
        for change, moved, scale in zip(reversed(old_dirs), reversed(old_stps), reversed(ro)):
            weights.append(moved.dot(direction) * scale)
            direction = direction - change * weights[-1]
        direction = direction * state["H_diag"]
        for change, moved, scale, weight in zip(old_dirs, old_stps, ro, reversed(weights)):
            direction = direction + moved * (weight - change.dot(direction) * scale)
        state["al"] = weights[::-1] + [None] * (history_size - len(weights))
        return direction

    def _search(
        self, closure: Closure, start: Point, t: float, direction: Tensor, most_iterations: int
    ) -> tuple[Point, int]:
        parameters = self.param_groups[0]["params"]
        origin = [parameter.clone() for parameter in parameters]

        def evaluate(distance: float) -> Point:
            self._move(direction, distance)
            with enable_grad():
                loss = closure()
            grad = self._flat_grad()
            for parameter, data in zip(parameters, origin, strict=True):
                parameter.copy_(data)
            return Point(distance, float(loss), grad, float(grad.dot(direction)))

        return strong_wolfe(evaluate, start, t, _largest(direction), most_iterations)

    def _flat_grad(self) -> Tensor:
        """All gradients in one vector, zeros where a parameter has none."""
        pieces = []
        for parameter in self.param_groups[0]["params"]:
            grad = parameter.grad
            if grad is None:
                grad = parameter.new_zeros(parameter.numel())
            pieces.append(grad.reshape(-1))
        flat: Tensor = cat(pieces, 0)
        return flat

    def _move(self, direction: Tensor, distance: float) -> None:
        offset = 0
        for parameter in self.param_groups[0]["params"]:
            count = parameter.numel()
            piece = direction[offset : offset + count].view_as(parameter)
            parameter.add_(piece, alpha=distance)
            offset += count


def _largest(x: Tensor) -> float:
    return float(x.abs().max())
