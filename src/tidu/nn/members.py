"""What is inside a module: the walk over its parts, and parts by their dotted names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from tidu.base.source import located
from tidu.nn.parameter import Parameter
from tidu.tensor import Tensor

if TYPE_CHECKING:
    from tidu.nn.module import Module


class Members:
    """The modules, parameters and buffers of a module, and those of all modules inside."""

    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Any]

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Itself and every module inside, with its dotted name;
        one that is used twice comes once.

        >>> [name for name, _ in model.named_modules()]
        ['', '0', '1', '2']
        """
        itself: Any = self
        memo = set() if memo is None else memo
        if itself in memo:
            return
        if remove_duplicate:
            memo.add(itself)
        yield prefix, itself
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(
                    memo, f"{prefix}.{name}" if prefix else name, remove_duplicate
                )

    def modules(self) -> Iterator[Module]:
        """Itself and every module inside."""
        if type(self).named_modules is not Members.named_modules:  # a subclass's own idea
            for _, module in self.named_modules():
                yield module
            return
        seen = set()
        waiting: list[Any] = [self]
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
        """The modules right inside.

        >>> [type(m).__name__ for m in model.children()]
        ['Linear', 'Tanh', 'Linear']
        """
        for _, module in self.named_children():
            yield module

    def _named_members(
        self, table: Callable[[Module], Any], prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen = set()
        modules: Iterable[tuple[str, Any]] = (
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
        """Every parameter with its dotted name; `recurse=False` leaves out the modules inside.

        >>> [name for name, _ in nn.Linear(2, 3).named_parameters()]
        ['weight', 'bias']
        """
        yield from self._named_members(
            lambda m: m._parameters.items(), prefix, recurse, remove_duplicate
        )

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Every parameter: what is given to an optimizer.

        >>> [tuple(p.shape) for p in nn.Linear(2, 3).parameters()]
        [(3, 2), (3,)]
        """
        if type(self).named_parameters is not Members.named_parameters:  # a subclass's own idea
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

    @located
    def get_submodule(self, target: str) -> Module:
        """The module with the dotted name `target`; AttributeError if there is none."""
        module: Any = self
        for name in target.split(".") if target else ():
            if not hasattr(module, name):
                raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
            module = getattr(module, name)
            if not isinstance(module, Members):
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
        if hasattr(parent, name) and not isinstance(getattr(parent, name), Members):
            raise AttributeError(f"`{name}` is not an nn.Module")
        setattr(parent, name, module)

    def _get_member(self, target: str) -> tuple[Module, str, Any]:
        place, _, name = target.rpartition(".")
        module = self.get_submodule(place)
        if not hasattr(module, name):
            raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
        return module, name, getattr(module, name)

    @located
    def get_parameter(self, target: str) -> Parameter:
        """The parameter with the dotted name `target`; AttributeError if there is none."""
        _, name, parameter = self._get_member(target)
        if not isinstance(parameter, Parameter):
            raise AttributeError(f"`{name}` is not an nn.Parameter")
        return parameter

    @located
    def get_buffer(self, target: str) -> Tensor:
        """The buffer with the dotted name `target`; AttributeError if there is none."""
        module, name, buffer = self._get_member(target)
        if name not in module._buffers:
            raise AttributeError(f"`{name}` is not a buffer")
        return buffer  # type: ignore[no-any-return]
