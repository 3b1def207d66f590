"""Module: the base of everything with parameters.

The layers are instances of it, and so are whole networks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from tidu.base import devices, dtypes
from tidu.base.changes import changes
from tidu.base.dtypes import dtype
from tidu.base.source import at, here, locate
from tidu.nn.hooks import GlobalHooks, Hooked, no_hooks
from tidu.nn.naming import indent, layout, typename
from tidu.nn.parameter import Buffer, Parameter, is_lazy
from tidu.nn.state_dict import Stateful
from tidu.tensor import Tensor, empty_like
from tidu.tensor.methods import dtype_of_type

Self = TypeVar("Self", bound="Module")


class Module(Hooked, Stateful):
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

    training: bool

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
            )
        except KeyError:
            hooked = self._backward_hooks  # the message that it is missing
        try:
            if hooked:
                return self._call_with_hooks(args, kwargs)
            return self.forward(*args, **kwargs) if kwargs else self.forward(*args)
        except Exception as error:
            locate(error)
            raise

    def forward(self, *input: Any) -> Any:
        """What the module computes; every subclass defines it."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    # Attributes -----------------------------------------------------------------------------------

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

    # What is inside -------------------------------------------------------------------------------

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Itself and every module inside, with its dotted name;
        one that is used twice comes once.
        """
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(
                    memo, f"{prefix}.{name}" if prefix else name, remove_duplicate
                )

    def modules(self) -> Iterator[Module]:
        """Itself and every module inside."""
        if type(self).named_modules is not Module.named_modules:  # a subclass's own idea
            for _, module in self.named_modules():
                yield module
            return
        seen = set()
        waiting = [self]
        while waiting:
            module = waiting.pop()
            if module not in seen:
                seen.add(module)
                yield module
                inside = module.__dict__.get("_modules") or module._modules
                if inside:
                    waiting += [m for m in reversed(inside.values()) if m is not None]

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules right inside, with their names."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """The modules right inside."""
        for _, module in self.named_children():
            yield module

    def _named_members(
        self, table: Callable[[Module], Any], prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen = set()
        modules = (
            self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
            if recurse
            else [(prefix, self)]
        )
        for place, module in modules:
            for name, member in table(module):
                if member is None or member in seen:
                    continue
                if remove_duplicate:
                    seen.add(member)
                yield (f"{place}.{name}" if place else name), member

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Every parameter with its dotted name; `recurse=False` leaves out the modules inside."""
        yield from self._named_members(
            lambda m: m._parameters.items(), prefix, recurse, remove_duplicate
        )

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Every parameter: what is given to an optimizer."""
        if type(self).named_parameters is not Module.named_parameters:  # a subclass's own idea
            yield from (parameter for _, parameter in self.named_parameters(recurse=recurse))
            return
        seen = set()
        for module in self.modules() if recurse else (self,):
            parameters = module.__dict__.get("_parameters") or module._parameters
            for parameter in parameters.values():
                if parameter is not None and parameter not in seen:
                    seen.add(parameter)
                    yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Every buffer with its dotted name."""
        yield from self._named_members(
            lambda m: m._buffers.items(), prefix, recurse, remove_duplicate
        )

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Every buffer."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_submodule(self, target: str) -> Module:
        """The module with the dotted name `target`; AttributeError if there is none."""
        module: Any = self
        for name in target.split(".") if target else ():
            if not hasattr(module, name):
                raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
            module = getattr(module, name)
            if not isinstance(module, Module):
                raise AttributeError(f"`{name}` is not an nn.Module")
        return module  # type: ignore[no-any-return]

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put `module` where the dotted name `target` stands;
        with `strict` something must stand there.
        """
        if target == "":
            raise ValueError("Cannot set the submodule without a target name!")
        place, _, name = target.rpartition(".")
        parent = self.get_submodule(place)
        if strict and not hasattr(parent, name):
            raise AttributeError(f"{parent._get_name()} has no attribute `{name}`")
        if hasattr(parent, name) and not isinstance(getattr(parent, name), Module):
            raise AttributeError(f"`{name}` is not an nn.Module")
        setattr(parent, name, module)

    def _get_member(self, target: str) -> tuple[Module, str, Any]:
        place, _, name = target.rpartition(".")
        module = self.get_submodule(place)
        if not hasattr(module, name):
            raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
        return module, name, getattr(module, name)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter with the dotted name `target`; AttributeError if there is none."""
        _, name, parameter = self._get_member(target)
        if not isinstance(parameter, Parameter):
            raise AttributeError(f"`{name}` is not an nn.Parameter")
        return parameter

    def get_buffer(self, target: str) -> Tensor:
        """The buffer with the dotted name `target`; AttributeError if there is none."""
        module, name, buffer = self._get_member(target)
        if name not in module._buffers:
            raise AttributeError(f"`{name}` is not a buffer")
        return buffer  # type: ignore[no-any-return]

    # Changing all of it ---------------------------------------------------------------------------

    def apply(self: Self, fn: Callable[[Module], None]) -> Self:
        """Call `fn` with every module inside, then with this one."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def train(self: Self, mode: bool = True) -> Self:
        """Training mode: dropout drops, batch normalization uses the batch.

        Set on every module inside.
        """
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self: Self) -> Self:
        """Evaluation mode: the same as ``train(False)``."""
        return self.train(False)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Ask for the gradients of all parameters, or freeze them."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or fill them with zeros."""
        for parameter in self.parameters():
            gradient = parameter._grad
            if gradient is None:
                continue
            if set_to_none:
                parameter._grad = None
            else:
                if gradient.grad_fn is not None:
                    gradient.detach_()
                else:
                    gradient.requires_grad_(False)
                gradient.zero_()

    def _apply(self: Self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Put ``fn(x)`` in the place of every parameter, gradient and buffer x;
        the objects stay.
        """
        if recurse:
            for module in self.children():
                module._apply(fn)
        for parameter in self._parameters.values():
            if parameter is None:
                continue
            parameter.data = fn(parameter.data)
            if parameter._grad is not None:
                parameter._grad.data = fn(parameter._grad.data)
        changes.of(self)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def _convert(self: Self, d: dtype) -> Self:
        return self._apply(lambda t: t.to(d) if t.is_floating_point() else t)

    def to(self: Self, *args: Any, **kwargs: Any) -> Self:
        """Move and convert all parameters and buffers:
        ``to(device)``, ``to(dtype)``, ``to(tensor)``.

        Only float tensors change their dtype. Raises TypeError for a dtype that is not a float
        dtype.
        """
        wanted, place = kwargs.get("dtype"), kwargs.get("device")
        for x in args:
            if isinstance(x, Tensor):
                wanted, place = x.dtype, x.device
            elif isinstance(x, dtype):
                wanted = x
            elif isinstance(x, (str, devices.device)):
                place = x
            elif isinstance(x, int):
                place = f"cuda:{x}"
        if place is not None:
            devices.check(place)
        if wanted is None:
            return self
        if not wanted.is_floating_point:
            raise TypeError(
                f"nn.Module.to only accepts floating point or complex dtypes, but got desired "
                f"dtype={wanted}"
            )
        return self._convert(wanted)

    def type(self: Self, dst_type: Any) -> Self:
        """Convert all parameters and buffers, those of integers too."""
        d = dst_type if isinstance(dst_type, dtype) else dtype_of_type(dst_type)
        return self._apply(lambda t: t.to(d))

    def float(self: Self) -> Self:
        """Convert all float parameters and buffers to float32."""
        return self._convert(dtypes.float32)

    def double(self: Self) -> Self:
        """Convert all float parameters and buffers to float64."""
        return self._convert(dtypes.float64)

    def half(self: Self) -> Self:
        """Convert all float parameters and buffers to float16."""
        return self._convert(dtypes.float16)

    def bfloat16(self: Self) -> Self:
        """Convert all float parameters and buffers to bfloat16."""
        return self._convert(dtypes.bfloat16)

    def cpu(self: Self) -> Self:
        """On the CPU, where everything is."""
        return self

    def cuda(self: Self, device: Any = None) -> Self:
        """RuntimeError: there is no CUDA device."""
        devices.check("cuda" if device is None or isinstance(device, int) else device)
        return self

    def to_empty(self: Self, *, device: Any, recurse: bool = True) -> Self:
        """Fresh memory for all parameters and buffers, its contents not specified."""
        devices.check(device)
        return self._apply(lambda t: t if is_lazy(t) else empty_like(t), recurse)

    def share_memory(self: Self) -> Self:
        """The module itself; warns that processes do not share tensors."""
        return self._apply(lambda t: t.share_memory_())

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Accepted, and nothing to do: what a module computes is compiled in any case.

        `torch.compile(function)` replays whole steps without their Python code.
        """

    # Text -----------------------------------------------------------------------------------------

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
    return f"cannot assign '{typename(value)}' {role} ({expected} expected)"
