"""Modules that learn their input size from the first input they see."""

from __future__ import annotations

from typing import Any

from tidu.nn.module import Module
from tidu.nn.parameter import is_lazy


class LazyModuleMixin:
    """Makes a module of `Uninitialized` parameters that takes its shapes from the first call.

    A subclass defines ``initialize_parameters(*args, **kwargs)``, which gets what `forward` is
    about to get, and may name in `cls_to_become` the class of which it is an instance from then on.
    It stands first among the bases: ``class LazyLinear(LazyModuleMixin, Linear)``.
    """

    cls_to_become: type[Module] | None = None

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._load_hook = self._register_load_state_dict_pre_hook(self._lazy_load_hook)
        self._initialize_hook = self.register_forward_pre_hook(
            self._infer_parameters, with_kwargs=True
        )

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give the parameters the shapes that this input asks for."""
        raise NotImplementedError(
            f"initialize_parameters is not implemented for {type(self).__name__}"
        )

    def has_uninitialized_params(self: Any) -> bool:
        """Whether something in this module still has no shape."""
        own = [*self._parameters.values(), *self._buffers.values()]
        return any(is_lazy(tensor) for tensor in own)

    def _lazy_load_hook(self: Any, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Loading a state dict decides the shapes, too."""
        for name, own in [*self._parameters.items(), *self._buffers.items()]:
            given = state_dict.get(prefix + name)
            if is_lazy(own) and given is not None and not is_lazy(given):
                own.materialize(given.shape)

    def _infer_parameters(self: Any, module: Any, args: Any, kwargs: Any = None) -> None:
        module.initialize_parameters(*args, **(kwargs or {}))
        if module.has_uninitialized_params():
            raise RuntimeError(f"module {self._get_name()} has not been fully initialized")
        module._initialize_hook.remove()
        module._load_hook.remove()
        del module._initialize_hook, module._load_hook
        if module.cls_to_become is not None:
            module.__class__ = module.cls_to_become
