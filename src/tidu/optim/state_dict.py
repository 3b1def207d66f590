"""The state of an optimizer as a dict that can be saved, in PyTorch's layout."""

from __future__ import annotations

from collections import defaultdict
from copy import deepcopy
from typing import Any, TypeAlias

from tidu.base.changes import changes
from tidu.base.source import located
from tidu.optim.hooks import Hooked
from tidu.optim.options import scalar_tensor
from tidu.optim.parameter_groups import Group
from tidu.optim.scalars import HostScalars
from tidu.tensor import Tensor
from tidu.tensor.separation import keep_apart

State: TypeAlias = dict[str, Any]  # of one parameter
StateDict: TypeAlias = dict[str, Any]


class Stateful(Hooked):
    """What an optimizer keeps for each parameter, and how it is saved and loaded."""

    defaults: dict[str, Any]
    state: defaultdict[Any, Any]
    param_groups: list[Group]
    _scalars: HostScalars
    # The entries of a parameter's state that are 0-d tensors of a number Python works with.
    _host_scalars: tuple[str, ...] = ("step",)

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

    @located
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
        keep_apart()
        for hook in self._load_state_dict_post_hooks.values():
            hook(self)

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if "_step_pre_hooks" not in self.__dict__:
            self._make_hooks()
            self._scalars = HostScalars()
        self._scalars.forget()
        changes.of(self)
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
