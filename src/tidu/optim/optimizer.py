"""Optimizer: the step, and what is common to the updates of all kinds.

What it keeps is in the modules beside it: `parameter_groups`, `state_dict`, `hooks`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from tidu.base.source import here, locate_constructor, located
from tidu.base.state import state as thread_state
from tidu.ops.elementwise import neg
from tidu.ops.updates import add_scaled
from tidu.optim.advance import Advance, advance, advance_on_tape
from tidu.optim.options import number_of
from tidu.optim.parameter_groups import Group, Grouped, ParamsT, required
from tidu.optim.scalars import HostScalars
from tidu.optim.state_dict import State, StateDict, Stateful
from tidu.optim.stepping import (
    outermost_step,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from tidu.tensor import Tensor, enable_grad
from tidu.tensor.separation import keep_apart

__all__ = [
    "Group",
    "Optimizer",
    "ParamsT",
    "State",
    "StateDict",
    "register_optimizer_step_post_hook",
    "register_optimizer_step_pre_hook",
    "required",
]

Closure: TypeAlias = Callable[[], Any]


class Optimizer(Grouped, Stateful):
    """Base class of all optimizers; follows torch.optim.Optimizer.

    `params` is an iterable of tensors, of `(name, tensor)` pairs, or of dicts `{"params": ...,
    option: ...}`, one for each parameter group; `defaults` are the options that a group does not
    give itself. A subclass overrides `step`, or, to have closures, gradient modes and weight decay
    done for it, `_update` and `_init_state`.

    >>> body, head = model[0].parameters(), model[2].parameters()
    >>> optimizer = SGD([{"params": body}, {"params": head, "lr": 0.1}], lr=0.01)
    >>> optimizer.zero_grad(); loss.backward(); optimizer.step()
    """

    # Whether weight decay is never added to the gradient; otherwise a group may say so.
    _decoupled_weight_decay: bool = False
    # Whether `step` was ever called: schedulers warn when they are stepped first.
    _opt_called: bool = False
    _stepping: bool = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        locate_constructor(cls)
        if "step" in cls.__dict__:
            cls.step = outermost_step(cls.__dict__["step"])  # type: ignore[method-assign]

    @located
    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._make_hooks()
        self._scalars = HostScalars()
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, "
                "but got a Tensor: write [tensor] for a single one"
            )
        self.state = defaultdict(dict)
        self.param_groups = []
        if not isinstance(params, Iterable):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, "
                f"but got {type(params).__name__}; write model.parameters()"
            )
        groups: list[Any] = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    @outermost_step
    def step(self, closure: Closure | None = None) -> Any:
        """Update every parameter that has a gradient.

        A closure is called first, with gradients enabled, and its loss returned.

        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = torch.nn.functional.cross_entropy(model(x), labels)
        ...     loss.backward()
        ...     return loss
        >>> loss = optimizer.step(closure)
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        on_tape = self.defaults.get("differentiable", False)
        own = thread_state.own
        before = own.grad_enabled, own.position
        # All operations of the update belong to the line that calls step().
        own.grad_enabled, own.position = on_tape, here()
        try:
            for group in self.param_groups:
                for part in _one_after_the_other(group):
                    self._update(part, advance_on_tape if on_tape else advance)
        finally:
            own.grad_enabled, own.position = before
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or with `set_to_none=False` make them zeros.

        >>> loss.backward()
        >>> optimizer.zero_grad()
        >>> model[0].weight.grad is None
        True
        """
        keep_apart()
        for group in self.param_groups:
            for parameter in group["params"]:
                grad = parameter._grad
                if grad is None:
                    continue
                if set_to_none:
                    parameter._grad = None
                    continue
                if grad.grad_fn is not None:
                    grad.detach_()
                else:
                    grad.requires_grad_(False)
                grad.zero_()

    def _update(self, group: Group, advance: Advance) -> None:
        """Update the parameters of one group, writing to tensors with `advance`."""
        raise NotImplementedError(f"{type(self).__name__} defines neither step() nor _update()")

    def _init_state(self, parameter: Tensor, group: Group) -> State:
        """The state of a parameter before its first update."""
        return {}

    def _gradients(self, group: Group) -> Iterator[tuple[Tensor, Any, State]]:
        """Each parameter of the group that has a gradient, that gradient, and the state.

        The gradient is the one to follow: negated for `maximize`, with λθ added for a weight decay
        λ that is not decoupled. It is an operand for `advance`: a Value, or on the tape a tensor.
        """
        on_tape = self.defaults.get("differentiable", False)
        states = self.state
        maximize = group.get("maximize", False)
        decoupled = self._decoupled_weight_decay or group.get("decoupled_weight_decay", False)
        weight_decay = 0.0 if decoupled else number_of(group.get("weight_decay", 0))
        for parameter in group["params"]:
            grad = parameter._grad
            if grad is None:
                continue
            content = parameter._value
            gradient = grad._value
            if gradient.shape != content.shape:
                raise RuntimeError(self._shape_message(parameter, grad))
            if on_tape:
                content, gradient = parameter, grad
            state = states.get(parameter)
            if not state:
                state = self._init_state(parameter, group)
                if state:
                    states[parameter] = state
            if maximize:
                gradient = neg(gradient)
            if weight_decay != 0:
                gradient = add_scaled(gradient, content, weight_decay)
            yield parameter, gradient, state

    def _columns(self, group: Group) -> tuple[list[Tensor], list[Any], list[State]]:
        """What `_gradients` gives, as three lists."""
        rows = list(self._gradients(group))
        return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]

    def _shape_message(self, parameter: Tensor, grad: Tensor) -> str:
        for number, group in enumerate(self.param_groups):
            for index, other in enumerate(group["params"]):
                if other is parameter:
                    named = group.get("param_names", {})
                    name = f" ({named[index]})" if named else ""
                    return (
                        f"{type(self).__name__}.step(): parameter {index}{name} of group {number} "
                        f"has shape {tuple(parameter.shape)}, but its gradient has shape "
                        f"{tuple(grad.shape)}. Was the parameter given other data after "
                        "backward()? Call zero_grad() and backward() again before step()."
                    )
        raise AssertionError("the parameter belongs to no group")

    def _count(self, state: State) -> float:
        """Add one to the step count of a parameter, and return it."""
        step = state["step"]
        count = self._scalars.read(step) + 1.0
        self._scalars.write(step, count)
        return count

    def _counts(self, states: list[State]) -> list[float]:
        """`_count` for several parameters."""
        return self._scalars.increase([state["step"] for state in states])

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for number, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {number}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
            lines.append("")
        lines[-1] = ")"
        return "\n".join(lines)


def _one_after_the_other(group: Group) -> Iterable[Group]:
    """The group, or its parameters one by one if some share memory (`b.data = a.data`): each update
    begins with what the one before has left there.
    """
    parameters = group["params"]
    if len({id(parameter._storage) for parameter in parameters}) == len(parameters):
        return (group,)
    return [{**group, "params": [parameter]} for parameter in parameters]
