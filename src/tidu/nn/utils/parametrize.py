"""Parameters that are functions of others: a module computes `weight` whenever it is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from tidu.autograd.modes import no_grad
from tidu.nn.container import ModuleDict, ModuleList
from tidu.nn.module import Module
from tidu.nn.parameter import Parameter
from tidu.tensor import Tensor


class _Cache:
    """While somebody is inside `cached()`: each parametrized tensor is computed once."""

    depth = 0
    tensors: dict[tuple[int, str], Tensor] = {}


@contextmanager
def cached() -> Iterator[None]:
    """A block in which a parametrized tensor is computed once, however often it is read."""
    _Cache.depth += 1
    try:
        yield
    finally:
        _Cache.depth -= 1
        if not _Cache.depth:
            _Cache.tensors.clear()


class ParametrizationList(ModuleList):
    """The functions that make one tensor, with the tensor or tensors it is made of.

    Those are `original`, or `original0`, `original1`, ... where a function's `right_inverse` splits
    a tensor into several.
    """

    def __init__(
        self, modules: Sequence[Module], original: Tensor | Parameter, unsafe: bool = False
    ) -> None:
        if not modules:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        with no_grad():
            inverted: Any = original
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    # A map that says it has no inverse starts at the tensor itself.
                    with suppress(NotImplementedError):
                        inverted = module.right_inverse(inverted)
        self.is_tensor = isinstance(inverted, Tensor)
        self.ntensors = 1 if self.is_tensor else len(inverted)
        parts = [inverted] if self.is_tensor else list(inverted)
        if self.is_tensor and inverted.shape == original.shape and inverted.dtype is original.dtype:
            # The object stays, so that an optimizer that has it goes on with it.
            original.data = inverted.data
            parts = [original]
        for name, part in zip(self._names(), parts, strict=True):
            if isinstance(original, Parameter):
                kept = part if isinstance(part, Parameter) else Parameter(part)
                kept.requires_grad_(original.requires_grad)
                self.register_parameter(name, kept)
            else:
                self.register_buffer(name, part)

    def _names(self) -> list[str]:
        return ["original"] if self.is_tensor else [f"original{i}" for i in range(self.ntensors)]

    def originals(self) -> list[Tensor]:
        return [getattr(self, name) for name in self._names()]

    def forward(self) -> Tensor:
        functions = iter(self)
        made: Tensor = next(functions)(*self.originals())
        for function in functions:
            made = function(made)
        return made

    def right_inverse(self, value: Tensor) -> None:
        """Set the originals so that the functions make `value` of them."""
        with no_grad():
            inverted: Any = value
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(
                        f"parametrization {type(module).__name__} does not implement right_inverse."
                    )
                inverted = module.right_inverse(inverted)
            parts = [inverted] if self.is_tensor else list(inverted)
            for original, part in zip(self.originals(), parts, strict=True):
                original.data = part.data.clone()


def _inject_class(module: Module) -> None:
    """Give the module a class of its own, on which properties can be set."""
    cls = type(module)
    module.__class__ = type(f"Parametrized{cls.__name__}", (cls,), {"__module__": cls.__module__})


def _inject_property(module: Module, tensor_name: str) -> None:
    def read(self: Any) -> Tensor:
        if not _Cache.depth:
            return self.parametrizations[tensor_name]()  # type: ignore[no-any-return]
        key = (id(self), tensor_name)
        if key not in _Cache.tensors:
            _Cache.tensors[key] = self.parametrizations[tensor_name]()
        return _Cache.tensors[key]

    def write(self: Any, value: Tensor) -> None:
        self.parametrizations[tensor_name].right_inverse(value)

    setattr(type(module), tensor_name, property(read, write))


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether something in `module`, or the tensor of that name, is parametrized."""
    parametrizations = module._modules.get("parametrizations")
    if not isinstance(parametrizations, ModuleDict):
        return False
    return len(parametrizations) > 0 if tensor_name is None else tensor_name in parametrizations


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Make ``module.tensor_name`` the result of `parametrization` on a new parameter;
    returns `module`.

    The new parameter is ``module.parametrizations.<tensor_name>.original``. Assigning to the tensor
    uses `right_inverse`, if the parametrization has it. Several parametrizations of a tensor are
    chained. Raises ValueError for a name that is no parameter or buffer, and for a result of
    another shape or dtype unless `unsafe`.
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        parametrizations: Any = module.parametrizations
        chain = parametrizations[tensor_name]
        if not unsafe:
            _check_result(getattr(module, tensor_name), parametrization, tensor_name)
        if hasattr(parametrization, "right_inverse"):
            value = getattr(module, tensor_name).detach()
            chain.append(parametrization)
            chain.right_inverse(value)
        else:
            chain.append(parametrization)
        return module
    original = module._parameters.get(tensor_name)
    tensor = module._buffers.get(tensor_name) if original is None else original
    if tensor is None:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element "
            f"with name '{tensor_name}'"
        )
    chain = ParametrizationList([parametrization], tensor, unsafe)
    if not unsafe:
        _check_result(tensor, chain, tensor_name, alone=True)
    delattr(module, tensor_name)
    if not is_parametrized(module):
        _inject_class(module)
        module.parametrizations = ModuleDict()
    _inject_property(module, tensor_name)
    module.parametrizations[tensor_name] = chain
    return module


def _check_result(tensor: Tensor, function: Module, name: str, alone: bool = False) -> None:
    with no_grad():
        made = function() if alone else function(tensor)
    if not isinstance(made, Tensor):
        raise ValueError(f"A parametrization must return a tensor. Got {type(made).__name__}.")
    if made.dtype is not tensor.dtype or made.shape != tensor.shape:
        raise ValueError(
            f"Registering a parametrization may not change the shape or dtype of the tensor: "
            f"'{name}' is {tensor.dtype} of shape {tensor.shape}, the parametrization gives "
            f"{made.dtype} of shape {made.shape}. Pass unsafe=True to allow it."
        )


def remove_parametrizations(
    module: Module, tensor_name: str, leave_parametrized: bool = True
) -> Module:
    """Make ``module.tensor_name`` an ordinary parameter again; returns `module`.

    It keeps the values it showed, or with ``leave_parametrized=False`` becomes the original again.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    parametrizations: Any = module.parametrizations
    chain = parametrizations[tensor_name]
    if not chain.is_tensor and not leave_parametrized:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is "
            "parametrized in terms of a sequence of tensors."
        )
    originals = chain.originals()
    with no_grad():
        value = getattr(module, tensor_name).detach().clone()
    if chain.is_tensor:
        original = originals[0]
        if leave_parametrized:
            original.data = value
    else:
        original = Parameter(value) if isinstance(originals[0], Parameter) else value
    delattr(type(module), tensor_name)
    del parametrizations[tensor_name]
    if isinstance(original, Parameter):
        module.register_parameter(tensor_name, original)
    else:
        module.register_buffer(tensor_name, original)
    if not len(parametrizations):
        delattr(module, "parametrizations")
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module: Module) -> type:
    """The class of a module as it was before its tensors were parametrized."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)
