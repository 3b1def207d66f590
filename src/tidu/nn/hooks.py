"""Hooks of modules: how they are registered, and a call of a module that runs them.

What backward hooks put onto the tape is in `backward_hooks`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from tidu.autograd.hooks import Handle, Hooks, register
from tidu.base.source import warn
from tidu.base.state import state
from tidu.nn.backward_hooks import Crossing
from tidu.tensor import Tensor
from tidu.tensor.overriding import asked, classes, takers


class GlobalHooks:
    """Hooks that are called for every module; `used` says whether there ever was one."""

    used = False
    forward: Hooks = OrderedDict()
    forward_pre: Hooks = OrderedDict()
    forward_always: OrderedDict[int, bool] = OrderedDict()
    forward_with_kwargs: OrderedDict[int, bool] = OrderedDict()
    backward: Hooks = OrderedDict()
    backward_pre: Hooks = OrderedDict()


def _is_ours(kind: type) -> bool:
    """Whether this package defines a class; `tidu run` gives its layers the names of PyTorch's."""
    return kind.__module__.partition(".")[0] in ("tidu", "torch")


def _register_for_all(hooks: Hooks, hook: Callable[..., Any]) -> Handle:
    GlobalHooks.used = True
    return register(hooks, hook)


def no_hooks() -> dict[str, Any]:
    """The tables of a module on which no hook was registered yet."""
    names = (
        "_backward_pre_hooks",
        "_backward_hooks",
        "_forward_hooks",
        "_forward_hooks_with_kwargs",
        "_forward_hooks_always_called",
        "_forward_pre_hooks",
        "_forward_pre_hooks_with_kwargs",
        "_state_dict_hooks",
        "_state_dict_pre_hooks",
        "_load_state_dict_pre_hooks",
        "_load_state_dict_post_hooks",
    )
    return {**{name: OrderedDict() for name in names}, "_is_full_backward_hook": None}


class Hooked:
    """The hooks of one module, and a call that runs them."""

    _forward_hooks: Hooks
    _forward_hooks_with_kwargs: OrderedDict[int, bool]
    _forward_hooks_always_called: OrderedDict[int, bool]
    _forward_pre_hooks: Hooks
    _forward_pre_hooks_with_kwargs: OrderedDict[int, bool]
    _backward_hooks: Hooks
    _backward_pre_hooks: Hooks
    _is_full_backward_hook: bool | None
    _modules: dict[str, Any]
    forward: Callable[..., Any]

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> Handle:
        """Call ``hook(module, args)`` before `forward`; what it returns replaces the arguments.

        With `with_kwargs` it is ``hook(module, args, kwargs)``, which may return both. `prepend`
        puts it before the hooks that are there. `handle.remove()` takes it off again.
        """
        handle = register(self._forward_pre_hooks, hook, prepend)
        if with_kwargs:
            self._forward_pre_hooks_with_kwargs[handle.id] = True
        return handle

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> Handle:
        """Call ``hook(module, args, output)`` after `forward`; what it returns replaces the output.

        With `with_kwargs` it is ``hook(module, args, kwargs, output)``. `always_call` runs it even
        where `forward` raises.

        >>> handle = model.register_forward_hook(lambda m, args, output: 2 * output)
        >>> handle.remove()
        """
        handle = register(self._forward_hooks, hook, prepend)
        if with_kwargs:
            self._forward_hooks_with_kwargs[handle.id] = True
        if always_call:
            self._forward_hooks_always_called[handle.id] = True
        return handle

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> Handle:
        """Call ``hook(module, grad_output)`` before gradients enter; it may return new ones."""
        return register(self._backward_pre_hooks, hook, prepend)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> Handle:
        """Call ``hook(module, grad_input, grad_output)`` when the gradients
        of the module's inputs are known.

        It may return a tuple that replaces `grad_input`. Both are tuples over the positional
        tensors, None for what needs no gradient.
        """
        if self._is_full_backward_hook is False:
            raise RuntimeError(
                "Cannot use both regular backward hooks and full backward hooks on a single "
                "Module. Please use only one of them."
            )
        self._is_full_backward_hook = True
        return register(self._backward_hooks, hook, prepend)

    def register_backward_hook(self, hook: Callable[..., Any]) -> Handle:
        """The old form: ``hook(module, grad_input, grad_output)``
        of the last operation of `forward`.

        For more than one operation its `grad_input` is not that of the module;
        `register_full_backward_hook` is right.
        """
        if self._is_full_backward_hook is True:
            raise RuntimeError(
                "Cannot use both regular backward hooks and full backward hooks on a single "
                "Module. Please use only one of them."
            )
        self._is_full_backward_hook = False
        return register(self._backward_hooks, hook)

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        done: set[int] = set()
        try:
            return self._run_hooks_and_forward(args, kwargs, done)
        except Exception:
            self._run_always_called(args, kwargs, done)
            raise

    def _forward_or_ask(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What `forward` returns, or, of a layer of ours, what a class of the user's that takes
        functions of tensors over makes of it.
        """
        if classes and not self._modules and _is_ours(type(self)):
            found = takers((*args, *kwargs.values()))
            if found:
                return asked(self.forward, found, args, kwargs)
        return self.forward(*args, **kwargs)

    def _run_hooks_and_forward(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], done: set[int]
    ) -> Any:
        args, kwargs = self._run_forward_pre_hooks(args, kwargs)
        full = list(GlobalHooks.backward.values())
        if self._is_full_backward_hook is not False:
            full += self._backward_hooks.values()
        pre = [*GlobalHooks.backward_pre.values(), *self._backward_pre_hooks.values()]
        crossing = Crossing(self, full, pre) if (full or pre) and state.own.grad_enabled else None
        if crossing is not None:
            args = crossing.enter(args)
        output = self._forward_or_ask(args, kwargs)
        for number, hook in [*GlobalHooks.forward.items(), *self._forward_hooks.items()]:
            done.add(number)
            if (
                number in self._forward_hooks_with_kwargs
                or number in GlobalHooks.forward_with_kwargs
            ):
                answer = hook(self, args, kwargs, output)
            else:
                answer = hook(self, args, output)
            output = output if answer is None else answer
        if crossing is not None:
            output = crossing.leave(output)
        if self._is_full_backward_hook is False and self._backward_hooks:
            self._hook_last_node(output)
        return output

    def _run_forward_pre_hooks(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        for number, hook in [*GlobalHooks.forward_pre.items(), *self._forward_pre_hooks.items()]:
            if number in self._forward_pre_hooks_with_kwargs:
                answer = hook(self, args, kwargs)
                if answer is None:
                    continue
                if not isinstance(answer, tuple) or len(answer) != 2:
                    raise RuntimeError(
                        f"forward pre-hook must return None or a tuple of (new_args, new_kwargs), "
                        f"but got {answer}."
                    )
                args, kwargs = answer
            else:
                answer = hook(self, args)
                if answer is not None:
                    args = answer if isinstance(answer, tuple) else (answer,)
        return args, kwargs

    def _run_always_called(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], done: set[int]
    ) -> None:
        """`forward` or a hook raised:
        run the rest of those that want to know, and raise nothing else.
        """
        always = self._forward_hooks_always_called | GlobalHooks.forward_always
        for number, hook in [*GlobalHooks.forward.items(), *self._forward_hooks.items()]:
            if number in done or number not in always:
                continue
            try:
                if number in self._forward_hooks_with_kwargs:
                    hook(self, args, kwargs, None)
                else:
                    hook(self, args, None)
            except Exception as error:
                warn(
                    "module forward hook with ``always_call=True`` raised an exception that was "
                    f"silenced as another error was raised in forward: {error}"
                )

    def _hook_last_node(self, output: Any) -> None:
        while not isinstance(output, Tensor):
            output = next(iter(output.values() if isinstance(output, dict) else output))
        if output.grad_fn is not None:
            for hook in self._backward_hooks.values():
                output.grad_fn.register_hook(
                    lambda inputs, outputs, hook=hook: hook(self, inputs, outputs)
                )


def register_module_forward_pre_hook(hook: Callable[..., Any]) -> Handle:
    """Call ``hook(module, args)`` before the `forward` of every module."""
    return _register_for_all(GlobalHooks.forward_pre, hook)


def register_module_forward_hook(
    hook: Callable[..., Any], *, with_kwargs: bool = False, always_call: bool = False
) -> Handle:
    """Call ``hook(module, args, output)`` after the `forward` of every module."""
    handle = _register_for_all(GlobalHooks.forward, hook)
    if with_kwargs:
        GlobalHooks.forward_with_kwargs[handle.id] = True
    if always_call:
        GlobalHooks.forward_always[handle.id] = True
    return handle


def register_module_full_backward_hook(hook: Callable[..., Any]) -> Handle:
    """Call ``hook(module, grad_input, grad_output)`` for every module as gradients leave it."""
    return _register_for_all(GlobalHooks.backward, hook)


def register_module_full_backward_pre_hook(hook: Callable[..., Any]) -> Handle:
    """Call ``hook(module, grad_output)`` for every module as gradients enter it."""
    return _register_for_all(GlobalHooks.backward_pre, hook)
