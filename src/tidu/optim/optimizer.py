"""Optimizer: parameter groups, the state of parameters, state dicts, and the step."""

from __future__ import annotations

import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from typing import Any, TypeAlias

from tidu.autograd.tape import Handle
from tidu.base.changes import changes
from tidu.base.source import here
from tidu.base.state import state as thread_state
from tidu.ops.elementwise import neg
from tidu.ops.updates import add_scaled
from tidu.optim.advance import Advance, advance, advance_on_tape
from tidu.optim.options import number_of, scalar_tensor
from tidu.optim.scalars import HostScalars
from tidu.optim.stepping import (
    Hooks,
    outermost_step,
    register,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from tidu.tensor import Tensor, enable_grad

__all__ = [
    "Optimizer",
    "register_optimizer_step_post_hook",
    "register_optimizer_step_pre_hook",
]

Group: TypeAlias = dict[str, Any]
State: TypeAlias = dict[str, Any]
StateDict: TypeAlias = dict[str, Any]
Closure: TypeAlias = Callable[[], Any]
ParamsT: TypeAlias = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]


class _Required:
    """The default of an option that every parameter group has to give."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()


def _list_parameters(param_group: Group) -> None:
    """Make lists of what the group gives as parameters, and of their names if it has those."""
    params = param_group["params"]
    if isinstance(params, Tensor):
        params = [params]
    elif isinstance(params, set):
        raise TypeError(
            "optimizer parameters need to be organized in ordered collections, but the "
            "ordering of tensors in sets will change between runs. Please use a list instead."
        )
    entries = list(params)
    names = [entry[0] for entry in entries if isinstance(entry, tuple)]
    param_group["params"] = [entry[1] if isinstance(entry, tuple) else entry for entry in entries]
    if not names:
        return
    if len(names) != len(entries):
        raise ValueError(
            "all optimizer params should be with/without names. Some param names are missing"
        )
    param_group["param_names"] = names


class Optimizer:
    """Base class of all optimizers; follows torch.optim.Optimizer.

    `params` is an iterable of tensors, of `(name, tensor)` pairs, or of dicts `{"params": ...,
    option: ...}`, one for each parameter group; `defaults` are the options that a group does not
    give itself. A subclass overrides `step`, or, to have closures, gradient modes and weight decay
    done for it, `_update` and `_init_state`.

    >>> body, head = model[0].parameters(), model[2].parameters()
    >>> optimizer = SGD([{"params": body}, {"params": head, "lr": 0.1}], lr=0.01)
    >>> optimizer.zero_grad(); loss.backward(); optimizer.step()
    """

    # The entries of a parameter's state that are 0-d tensors of a number Python works with.
    _host_scalars: tuple[str, ...] = ("step",)
    # Whether `step` was ever called: schedulers warn when they are stepped first.
    _opt_called: bool = False
    _stepping: bool = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls.step = outermost_step(cls.__dict__["step"])  # type: ignore[method-assign]

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._make_hooks()
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, "
                "but got a Tensor: write [tensor] for a single one"
            )
        self.state: defaultdict[Any, Any] = defaultdict(dict)
        self.param_groups: list[Group] = []
        groups: list[Any] = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def _make_hooks(self) -> None:
        self._scalars = HostScalars()
        self._step_pre_hooks: Hooks = OrderedDict()
        self._step_post_hooks: Hooks = OrderedDict()
        self._state_dict_pre_hooks: Hooks = OrderedDict()
        self._state_dict_post_hooks: Hooks = OrderedDict()
        self._load_state_dict_pre_hooks: Hooks = OrderedDict()
        self._load_state_dict_post_hooks: Hooks = OrderedDict()

    # ---- one step

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
                self._update(group, advance_on_tape if on_tape else advance)
        finally:
            own.grad_enabled, own.position = before
        return loss

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
        decoupled = group.get("decoupled_weight_decay", False)
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

    # ---- parameter groups

    def add_param_group(self, param_group: Group) -> None:
        """Add a parameter group: a dict with `params` and the options that are not the defaults.

        Raises ValueError for tensors that are not leaves, or that another group has already.

        >>> head = torch.nn.Linear(3, 1)
        >>> optimizer.add_param_group({"params": head.parameters(), "lr": 0.1})
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        _list_parameters(param_group)
        for parameter in param_group["params"]:
            self._check_parameter(parameter)
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(
                    "parameter group didn't specify a value of required optimization parameter "
                    f"{name}"
                )
            param_group.setdefault(name, default)

        self._check_overlap(param_group)
        self.param_groups.append(param_group)
        changes.count += 1

    def _check_parameter(self, parameter: Any) -> None:
        if not isinstance(parameter, Tensor):
            raise TypeError(
                "optimizer can only optimize Tensors, but one of the params is "
                f"{type(parameter).__name__}"
            )
        if not (self.defaults.get("differentiable") or parameter.is_leaf or parameter.retains_grad):
            raise ValueError(
                "can't optimize a non-leaf Tensor: it is the result of an operation, and only "
                "tensors made with requires_grad=True or nn.Parameter are stepped. "
                "Use .detach().requires_grad_() to make a leaf of it"
            )

    def _check_overlap(self, param_group: Group) -> None:
        """No parameter is in two groups, and all groups have names or none has."""
        identities = {id(parameter) for parameter in param_group["params"]}
        if len(identities) != len(param_group["params"]):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, "
                "this will cause an error",
                stacklevel=4,
            )
        for group in self.param_groups:
            if ("param_names" in param_group) != ("param_names" in group):
                which = "with names" if "param_names" in param_group else "without names"
                raise ValueError(
                    "all optimizer param groups should be with/without names. "
                    f"cannot add param group {which} to the optimizer"
                )
            if any(id(parameter) in identities for parameter in group["params"]):
                raise ValueError("some parameters appear in more than one parameter group")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or with `set_to_none=False` make them zeros."""
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

    # ---- state dicts

    def state_dict(self) -> StateDict:
        """The state as PyTorch lays it out: `{"state": {index: ...}, "param_groups": [...]}`.

        Parameters are named by their position over all groups. The tensors are those of the
        optimizer, not copies.
        """
        for hook in self._state_dict_pre_hooks.values():
            hook(self)
        positions: dict[int, int] = {}
        groups = []
        start = 0
        for group in self.param_groups:
            for position, parameter in enumerate(group["params"], start):
                positions.setdefault(id(parameter), position)
            packed = {key: value for key, value in group.items() if key != "params"}
            packed["params"] = [positions[id(parameter)] for parameter in group["params"]]
            groups.append(packed)
            start += len(group["params"])
        state = {
            positions[id(key)] if isinstance(key, Tensor) else key: value
            for key, value in self.state.items()
        }
        result: StateDict = {"state": state, "param_groups": groups}
        for hook in self._state_dict_post_hooks.values():
            changed = hook(self, result)
            if changed is not None:
                result = changed
        return result

    def load_state_dict(self, state_dict: StateDict) -> None:
        """Take over the state and the options of a `state_dict()`.

        The parameters stay those of this optimizer. State tensors are converted to the dtype and
        device of their parameter, step counts stay as they are. Raises ValueError if the groups do
        not match in number or size.
        """
        state_dict = state_dict.copy()
        for hook in self._load_state_dict_pre_hooks.values():
            changed = hook(self, state_dict)
            if changed is not None:
                state_dict = changed

        saved_groups = deepcopy(state_dict["param_groups"])
        if len(self.param_groups) != len(saved_groups):
            raise ValueError(
                "loaded state dict has a different number of parameter groups: "
                f"{len(saved_groups)}, and this optimizer has {len(self.param_groups)}"
            )
        parameters: dict[Any, Tensor] = {}
        for number, (group, saved) in enumerate(zip(self.param_groups, saved_groups, strict=True)):
            if len(group["params"]) != len(saved["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of "
                    f"optimizer's group: group {number} was saved with {len(saved['params'])} "
                    f"parameters and has {len(group['params'])} here"
                )
            parameters.update(zip(saved["params"], group["params"], strict=True))
            saved["params"] = group["params"]
            if "param_names" in group:
                saved.setdefault("param_names", group["param_names"])

        state: defaultdict[Any, Any] = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in parameters:
                state[parameters[key]] = _convert(value, parameters[key])
            else:
                state[key] = value
        self.__setstate__({"state": state, "param_groups": saved_groups})
        for hook in self._load_state_dict_post_hooks.values():
            hook(self)

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if "_step_pre_hooks" not in self.__dict__:
            self._make_hooks()
        self._scalars.forget()
        changes.count += 1
        # Options that came after the checkpoint was written, and step counts that were plain
        # numbers then.
        self.defaults.setdefault("differentiable", False)
        for group in self.param_groups:
            for name, default in self.defaults.items():
                group.setdefault(name, default)
            for parameter in group["params"]:
                of_parameter = self.state.get(parameter, {})
                for name in self._host_scalars:
                    number = of_parameter.get(name)
                    if number is not None and not isinstance(number, Tensor):
                        of_parameter[name] = scalar_tensor(number)

    # ---- hooks

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call `hook(optimizer, args, kwargs)` before each step; it may return both anew."""
        return register(self._step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        return register(self._step_post_hooks, hook)

    def register_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> Handle:
        """Call `hook(optimizer)` before `state_dict` gathers the state."""
        return register(self._state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> Handle:
        """Call `hook(optimizer, state_dict)` with what was gathered; it may return another one."""
        return register(self._state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> Handle:
        """Call `hook(optimizer, state_dict)` before it is loaded; it may return another one."""
        return register(self._load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> Handle:
        """Call `hook(optimizer)` after a state dict has been loaded."""
        return register(self._load_state_dict_post_hooks, hook, prepend)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for number, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {number}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
            lines.append("")
        lines[-1] = ")"
        return "\n".join(lines)


def _convert(value: Any, parameter: Tensor, key: str | None = None) -> Any:
    """A saved value with its tensors in the dtype and on the device of their parameter."""
    if isinstance(value, Tensor):
        if key == "step":
            return value
        if parameter.is_floating_point():
            return value.to(dtype=parameter.dtype, device=parameter.device)
        return value.to(device=parameter.device)
    if isinstance(value, dict):
        return {name: _convert(entry, parameter, name) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_convert(entry, parameter) for entry in value)
    return value
