"""What a module saves and loads: `state_dict` and `load_state_dict`."""

from __future__ import annotations

import itertools
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from tidu.autograd.hooks import Handle
from tidu.autograd.modes import no_grad
from tidu.base.source import at, here, located
from tidu.nn.hooks import Hooks, register
from tidu.nn.parameter import Parameter, is_lazy
from tidu.tensor import Tensor
from tidu.tensor.separation import keep_apart

_EXTRA_STATE = "_extra_state"


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` did not find and what it did not need."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return (
            f"_IncompatibleKeys(missing_keys={self.missing_keys}, "
            f"unexpected_keys={self.unexpected_keys})"
        )


class Stateful:
    """Saving and loading the parameters and buffers of a module and of all inside it."""

    _version: int = 1
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Any]
    _non_persistent_buffers_set: set[str]
    _state_dict_hooks: Hooks
    _state_dict_pre_hooks: Hooks
    _load_state_dict_pre_hooks: Hooks
    _load_state_dict_post_hooks: Hooks

    def state_dict(
        self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> OrderedDict[str, Any]:
        """Every parameter and persistent buffer by its name, here and in all modules inside.

        The tensors share memory with the module's; they are detached unless `keep_vars`. `prefix`
        stands before every name.

        >>> list(torch.nn.Linear(2, 1).state_dict())
        ['weight', 'bias']
        """
        if args:
            warnings.warn(
                "Positional args are being deprecated, use kwargs instead. Refer to "
                "https://pytorch.org/docs/main/generated/torch.nn.Module.html"
                "#torch.nn.Module.state_dict for details.",
                FutureWarning,
                stacklevel=2,
            )
            given = dict(zip(("destination", "prefix", "keep_vars"), args, strict=False))
            destination = given.get("destination", destination)
            prefix = given.get("prefix", prefix)
            keep_vars = given.get("keep_vars", keep_vars)
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        local_metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = local_metadata
        for hook in self._state_dict_pre_hooks.values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(
                    destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars
                )
        for hook in self._state_dict_hooks.values():
            answer = hook(self, destination, prefix, local_metadata)
            if answer is not None:
                if getattr(hook, "_from_public_api", False):
                    raise RuntimeError("state_dict post-hook must return None")
                destination = answer
        return destination  # type: ignore[no-any-return]

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        """Put what this module itself owns into `destination`."""
        for name, tensor in self._own_state():
            if tensor is not None:
                destination[prefix + name] = tensor if keep_vars else tensor.detach()
        if (
            getattr(type(self), "get_extra_state", Stateful.get_extra_state)
            is not Stateful.get_extra_state
        ):
            destination[prefix + _EXTRA_STATE] = self.get_extra_state()

    def _own_state(self) -> Iterable[tuple[str, Tensor | None]]:
        buffers = (
            (n, b) for n, b in self._buffers.items() if n not in self._non_persistent_buffers_set
        )
        return itertools.chain(self._parameters.items(), buffers)

    def get_extra_state(self) -> Any:
        """What else belongs into the state dict, under ``_extra_state``;
        define it together with `set_extra_state`.
        """
        raise RuntimeError(
            "Reached a code path in Module.get_extra_state() that should never be called. Define "
            "get_extra_state() in the module to save extra state."
        )

    def set_extra_state(self, state: Any) -> None:
        """Take back what `get_extra_state` returned."""
        raise RuntimeError(
            "Reached a code path in Module.set_extra_state() that should never be called. Define "
            "set_extra_state() in the module to load extra state."
        )

    @located
    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy what `state_dict` holds into the parameters and buffers of the same names.

        Raises one RuntimeError that lists every name that is missing or not expected (with
        `strict`) and every shape that does not fit (always). `assign` takes the given tensors
        themselves instead of copying. Returns the missing and the unexpected names.

        >>> layer = torch.nn.Linear(4, 3)
        >>> layer.load_state_dict(torch.nn.Linear(4, 3).state_dict())
        <All keys matched successfully>
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        missing: list[str] = []
        unexpected: list[str] = []
        errors: list[str] = []
        metadata = getattr(state_dict, "_metadata", None)
        state = OrderedDict(state_dict)
        if metadata is not None:
            state._metadata = metadata  # type: ignore[attr-defined]
        with no_grad():
            _load(self, state, "", assign, (missing, unexpected, errors))
        keep_apart()
        if strict:
            if unexpected:
                errors.insert(0, f"Unexpected key(s) in state_dict: {_quoted(unexpected)}. ")
            if missing:
                errors.insert(0, f"Missing key(s) in state_dict: {_quoted(missing)}. ")
        if errors:
            listed = "\n\t".join(errors)
            raise RuntimeError(
                f"Error(s) in loading state_dict for {type(self).__name__}:\n\t{listed}{at(here())}"
            )
        return IncompatibleKeys(missing, unexpected)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Load what this module itself owns;
        subclasses override it to read older versions of themselves.

        Findings are added to the three lists, which `load_state_dict` reports all at once.
        """
        for hook in self._load_state_dict_pre_hooks.values():
            hook(
                state_dict,
                prefix,
                local_metadata,
                strict,
                missing_keys,
                unexpected_keys,
                error_msgs,
            )
        assign = local_metadata.get("assign_to_params_buffers", False)
        for name, own in list(self._own_state()):
            key = prefix + name
            if own is None:
                continue
            if key not in state_dict:
                if strict:
                    missing_keys.append(key)
                continue
            message = self._load_tensor(name, own, key, state_dict[key], assign)
            if message:
                error_msgs.append(message)
        self._load_extra_state(state_dict, prefix, strict, missing_keys, unexpected_keys)
        if strict:
            unexpected_keys.extend(key for key in state_dict if self._is_unexpected(key, prefix))

    def _load_tensor(
        self, name: str, own: Tensor, key: str, given: Any, assign: bool
    ) -> str | None:
        """Load one parameter or buffer; returns what was wrong with it."""
        if not isinstance(given, Tensor):
            return (
                f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like '
                f"object from checkpoint but received {type(given)}"
            )
        if is_lazy(own) and is_lazy(given):
            return None
        if is_lazy(own) or is_lazy(given):
            whose, other = (
                ("the model", "the checkpoint") if is_lazy(own) else ("the checkpoint", "the model")
            )
            return (
                f"{key} has no shape yet in {whose}, but it has one in {other}: call the lazy "
                "module once with an input before its state is saved or loaded"
            )
        if own.ndim == 0 and given.ndim == 1 and given.shape[0] == 1:
            given = given[0]  # old checkpoints keep numbers as vectors of one element
        if own.shape != given.shape:
            return (
                f"size mismatch for {key}: copying a param with shape {given.shape} from "
                f"checkpoint, the shape in current model is {own.shape}."
            )
        try:
            if not assign:
                own.copy_(given)
                return None
            if isinstance(own, Parameter):
                if not isinstance(given, Parameter):
                    given = Parameter(given, requires_grad=own.requires_grad)
                else:
                    given.requires_grad_(own.requires_grad)
            setattr(self, name, given)
        except Exception as error:
            return (
                f'While copying the parameter named "{key}", whose dimensions in the model are '
                f"{own.shape} and whose dimensions in the checkpoint are {given.shape}, an "
                f"exception occurred : {error.args}."
            )
        return None

    def _load_extra_state(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        strict: bool,
        missing: list[str],
        unexpected: list[str],
    ) -> None:
        key = prefix + _EXTRA_STATE
        wanted = (
            getattr(type(self), "set_extra_state", Stateful.set_extra_state)
            is not Stateful.set_extra_state
        )
        if wanted and key in state_dict:
            self.set_extra_state(state_dict[key])
        elif wanted and strict:
            missing.append(key)
        elif strict and key in state_dict:
            unexpected.append(key)

    def _is_unexpected(self, key: str, prefix: str) -> bool:
        """Whether a name under `prefix` is neither ours nor that of a module inside."""
        if not key.startswith(prefix) or key == prefix + _EXTRA_STATE:
            return False
        first, dot, _ = key[len(prefix) :].partition(".")
        if dot and first in self._modules:
            return False
        # A name with a dot below no module of ours cannot be a parameter or buffer.
        return bool(dot) or not any(
            first == name for name, own in self._own_state() if own is not None
        )

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(module, prefix, keep_vars)`` before `state_dict` collects."""
        return register(self._state_dict_pre_hooks, hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(module, state_dict, prefix, local_metadata)`` after `state_dict`;
        it edits in place.
        """
        hook._from_public_api = True  # type: ignore[attr-defined]
        return register(self._state_dict_hooks, hook)

    def _register_state_dict_hook(self, hook: Callable[..., Any]) -> Handle:
        """As `register_state_dict_post_hook`, but what the hook returns replaces the state dict."""
        if getattr(hook, "_from_public_api", False):
            raise RuntimeError(
                "Cannot register the same function as the state dict post hook that was previously "
                "registered via register_state_dict_post_hook"
            )
        return register(self._state_dict_hooks, hook)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(module, state_dict, prefix, local_metadata, strict, missing, unexpected,
        errors)`` before loading.
        """
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], with_module: bool = False
    ) -> Handle:
        if with_module:
            return register(self._load_state_dict_pre_hooks, _WithModule(hook, self))
        return register(self._load_state_dict_pre_hooks, hook)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(module, incompatible_keys)`` after loading;
        it may edit the two lists of names.
        """
        return register(self._load_state_dict_post_hooks, hook)


class _WithModule:
    """A hook that is given its module first; pickled and copied together with it."""

    def __init__(self, hook: Callable[..., Any], module: Stateful) -> None:
        self.hook = hook
        self.module = module

    def __call__(self, *args: Any) -> Any:
        return self.hook(self.module, *args)


Findings = tuple[list[str], list[str], list[str]]


def _load(module: Any, state: Any, prefix: str, assign: bool, findings: Findings) -> None:
    """Load a module and all inside it, each from the part of `state` under its own name."""
    metadata = getattr(state, "_metadata", None)
    local_metadata = {} if metadata is None else metadata.get(prefix[:-1], {})
    if assign:
        local_metadata["assign_to_params_buffers"] = assign
    # What is missing is always found; `strict` decides whether it is an error.
    module._load_from_state_dict(state, prefix, local_metadata, True, *findings)
    for name, child in module._modules.items():
        if child is not None:
            child_prefix = f"{prefix}{name}."
            below = OrderedDict(
                (key, x) for key, x in state.items() if key.startswith(child_prefix)
            )
            if metadata is not None:
                below._metadata = metadata  # type: ignore[attr-defined]
            _load(child, below, child_prefix, assign, findings)
    incompatible = IncompatibleKeys(findings[0], findings[1])
    for hook in module._load_state_dict_post_hooks.values():
        if hook(module, incompatible) is not None:
            raise AssertionError(
                "Hooks registered with ``register_load_state_dict_post_hook`` are not expected to "
                "return new values, if incompatible_keys need to be modified, it should be done "
                "inplace."
            )


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
