"""Module: the base of everything with parameters.

The layers are instances of it, and so are whole networks. Here is what it owns and how it is
called; `members` has the walk over what is inside, `conversion` what is done to all of it, `hooks`
and `state_dict` the rest.
"""

from __future__ import annotations

from typing import Any

from tidu.base.changes import changes
from tidu.base.source import at, here, locate, locate_constructor, located
from tidu.nn.conversion import Convertible
from tidu.nn.hooks import GlobalHooks, Hooked, no_hooks
from tidu.nn.naming import indent, layout, typename
from tidu.nn.parameter import Buffer, Parameter
from tidu.nn.state_dict import Stateful
from tidu.tensor import Tensor
from tidu.tensor.overriding import classes as classes_taking_over
from tidu.tensor.strangers import not_a_tensor


class Module(Hooked, Stateful, Convertible):
    """A part of a network: it owns parameters, buffers and other modules,
    and computes in `forward`.

    Whatever is assigned to an attribute is registered by its kind: a Parameter joins
    `parameters()`, a Module `modules()`. Call ``super().__init__()`` first in a subclass.

    >>> class Scale(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = torch.nn.Parameter(torch.ones(1))
    ...     def forward(self, x):
    ...         return x * self.factor
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        locate_constructor(cls)

    @located
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if kwargs:
            raise TypeError(
                f"{type(self).__name__}.__init__() got an unexpected keyword argument "
                f"'{next(iter(kwargs))}'"
            )
        if args:
            raise TypeError(
                f"{type(self).__name__}.__init__() takes 1 positional argument but {len(args) + 1} "
                f"were given"
            )
        # Past our own __setattr__, which has to look into these tables.
        self.__dict__.update(
            training=True,
            _parameters={},
            _buffers={},
            _non_persistent_buffers_set=set(),
            _modules={},
        )
        self.__dict__.update(no_hooks())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # Attributes of a class with a __getattr__ of its own are slow; those in this are not.
        state = self.__dict__
        try:
            hooked = (
                state["_backward_hooks"]
                or state["_backward_pre_hooks"]
                or state["_forward_hooks"]
                or state["_forward_pre_hooks"]
                or GlobalHooks.used
                or classes_taking_over
            )
        except KeyError:
            hooked = self._backward_hooks  # the message that it is missing
        try:
            if hooked:
                return self._call_with_hooks(args, kwargs)
            return self.forward(*args, **kwargs) if kwargs else self.forward(*args)
        except Exception as error:
            mistake = not_a_tensor(error)
            if mistake is not None:
                raise mistake from None
            locate(error)
            raise

    def forward(self, *input: Any) -> Any:
        """What the module computes; every subclass defines it.

        >>> class Twice(nn.Module):
        ...     def forward(self, x):
        ...         return 2 * x
        ...
        >>> Twice()(torch.ones(2))
        tensor([2., 2.])
        """
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    def __getattr__(self, name: str) -> Any:
        # Only called for what is not an ordinary attribute; often, so it is written out.
        state = self.__dict__
        parameters = state.get("_parameters")
        if parameters is not None and name in parameters:
            return parameters[name]
        buffers = state.get("_buffers")
        if buffers is not None and name in buffers:
            return buffers[name]
        modules = state.get("_modules")
        if modules is not None and name in modules:
            return modules[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def _weight_and_bias(self) -> tuple[Any, Any]:
        """The attributes of these names, found quickly where they are parameters."""
        parameters = self._parameters
        if "weight" in parameters and "bias" in parameters:
            return parameters["weight"], parameters["bias"]
        return self.weight, self.bias

    def __setattr__(self, name: str, value: Any) -> None:
        state = self.__dict__
        if state.get(name, self) is not value:
            changes.of(self)
        if isinstance(value, Parameter):
            if "_parameters" not in state:
                raise AttributeError(_too_early("parameters"))
            self._forget(name, state, "_buffers", "_modules")
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            if "_modules" not in state:
                raise AttributeError(_too_early("module"))
            if self._holds(name, state, "_parameters"):
                raise TypeError(
                    _cannot(value, f"as parameter '{name}'", "torch.nn.Parameter or None")
                )
            self._forget(name, state, "_buffers")
            state["_modules"][name] = value
        elif self._holds(name, state, "_parameters"):
            if value is not None:
                raise TypeError(
                    _cannot(value, f"as parameter '{name}'", "torch.nn.Parameter or None")
                )
            self.register_parameter(name, None)
        elif self._holds(name, state, "_modules"):
            if value is not None:
                raise TypeError(
                    _cannot(value, f"as child module '{name}'", "torch.nn.Module or None")
                )
            state["_modules"][name] = None
        elif isinstance(value, Buffer):
            if "_buffers" not in state:
                raise AttributeError(_too_early("buffer"))
            state.pop(name, None)
            state["_buffers"].pop(name, None)
            self.register_buffer(name, value, value.persistent)
        elif self._holds(name, state, "_buffers"):
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(
                    _cannot(value, f"as buffer '{name}'", "torch.nn.Buffer, torch.Tensor or None")
                )
            state["_buffers"][name] = value
        else:
            object.__setattr__(self, name, value)

    @staticmethod
    def _holds(name: str, state: dict[str, Any], table: str) -> bool:
        return table in state and name in state[table]

    def _forget(self, name: str, state: dict[str, Any], *tables: str) -> None:
        """The name is about to mean something else."""
        state.pop(name, None)
        for table in tables:
            state[table].pop(name, None)
        self._non_persistent_buffers_set.discard(name)

    def __delattr__(self, name: str) -> None:
        changes.of(self)
        for table in (self._parameters, self._buffers, self._modules):
            if name in table:
                del table[name]
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = {
            *dir(type(self)),
            *self.__dict__,
            *self._parameters,
            *self._buffers,
            *self._modules,
        }
        return sorted(name for name in names if not name[0].isdigit())

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for name, hooks in no_hooks().items():
            self.__dict__.setdefault(name, hooks)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Own `param` under `name`; None keeps the name for later.

        A Parameter set as an attribute does this.
        """
        if "_parameters" not in self.__dict__:
            raise AttributeError(_too_early("parameter"))
        changes.of(self)
        self._check_name("parameter", name, name in self._parameters)
        if param is None:
            self._parameters[name] = None
        elif not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{typename(param)}' object to parameter '{name}' "
                f"(torch.nn.Parameter or None required)"
            )
        elif param.grad_fn is not None:
            raise ValueError(
                f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be "
                f"created explicitly. To express '{name}' as a function of another Tensor, compute "
                "the value in the forward() method."
            )
        else:
            self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Own `tensor` under `name` without training it;
        `persistent=False` keeps it out of `state_dict`.

        >>> layer = nn.Linear(2, 2)
        >>> layer.register_buffer("mean", torch.zeros(2))
        >>> list(layer.state_dict())
        ['weight', 'bias', 'mean']
        """
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        changes.of(self)
        self._check_name("buffer", name, name in self._buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{typename(tensor)}' object to buffer '{name}' (torch Tensor or "
                f"None required)"
            )
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Own `module` under `name`, as assigning it to an attribute does."""
        if not isinstance(module, Module) and module is not None:
            raise TypeError(f"{typename(module)} is not a Module subclass")
        if not isinstance(name, str):
            raise TypeError(f"module name should be a string. Got {typename(name)}")
        if hasattr(self, name) and name not in self._modules:
            raise KeyError(f"attribute '{name}' already exists")
        if "." in name:
            raise KeyError(f'module name can\'t contain ".", got: {name}')
        if name == "":
            raise KeyError('module name can\'t be empty string ""')
        changes.of(self)
        self._modules[name] = module

    def register_module(self, name: str, module: Module | None) -> None:
        """The same as `add_module`."""
        self.add_module(name, module)

    def _check_name(self, kind: str, name: str, known: bool) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {typename(name)}")
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain "."')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if not known and hasattr(self, name):
            raise KeyError(f"attribute '{name}' already exists")

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What `print(module)` shows between the parentheses."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = [f"({name}): {indent(repr(module))}" for name, module in self._modules.items()]
        return layout(self._get_name(), extra.split("\n") if extra else [], lines)


def _too_early(kind: str) -> str:
    return (
        f"cannot assign {kind} before Module.__init__() call; write super().__init__() as the "
        f"first line of __init__{at(here())}"
    )


def _cannot(value: Any, role: str, expected: str) -> str:
    return f"cannot assign '{typename(value)}' {role} ({expected} expected){at(here())}"
