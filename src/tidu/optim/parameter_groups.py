"""Parameter groups: the parameters of an optimizer, with options of their own for each group."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from tidu.base.changes import changes
from tidu.base.source import located, warn
from tidu.tensor import Tensor

Group: TypeAlias = dict[str, Any]
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


class Grouped:
    """What is optimized, in groups."""

    defaults: dict[str, Any]
    param_groups: list[Group]

    @located
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
        changes.of(self)

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
            warn(
                "optimizer contains a parameter group with duplicate parameters; in future, "
                "this will cause an error"
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
