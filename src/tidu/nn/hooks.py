"""Hooks of modules: functions called before and after `forward`,
and with the gradients that pass.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from tidu.autograd.tape import Edge, GradFn, Handle, Tape
from tidu.base.source import here
from tidu.base.state import state
from tidu.ir.value import Value
from tidu.tensor import Tensor

Hooks = OrderedDict[int, Callable[..., Any]]


class GlobalHooks:
    """Hooks that are called for every module; `used` says whether there ever was one."""

    used = False
    forward: Hooks = OrderedDict()
    forward_pre: Hooks = OrderedDict()
    forward_always: OrderedDict[int, bool] = OrderedDict()
    forward_with_kwargs: OrderedDict[int, bool] = OrderedDict()
    backward: Hooks = OrderedDict()
    backward_pre: Hooks = OrderedDict()


def register(hooks: Hooks, hook: Callable[..., Any], prepend: bool = False) -> Handle:
    handle = Handle(hooks, hook)
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


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

    def _run_hooks_and_forward(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], done: set[int]
    ) -> Any:
        args, kwargs = self._run_forward_pre_hooks(args, kwargs)
        full = list(GlobalHooks.backward.values())
        if self._is_full_backward_hook is not False:
            full += self._backward_hooks.values()
        pre = [*GlobalHooks.backward_pre.values(), *self._backward_pre_hooks.values()]
        crossing = _Crossing(self, full, pre) if (full or pre) and state.grad_enabled else None
        if crossing is not None:
            args = crossing.enter(args)
        output = self.forward(*args, **kwargs)
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
                warnings.warn(
                    "module forward hook with ``always_call=True`` raised an exception that was "
                    f"silenced as another error was raised in forward: {error}",
                    stacklevel=2,
                )

    def _hook_last_node(self, output: Any) -> None:
        while not isinstance(output, Tensor):
            output = next(iter(output.values() if isinstance(output, dict) else output))
        if output.grad_fn is not None:
            for hook in self._backward_hooks.values():
                output.grad_fn.register_hook(
                    lambda inputs, outputs, hook=hook: hook(self, inputs, outputs)
                )


class BackwardHookFunctionBackward(GradFn):
    """A node that passes cotangents on, one for each tensor, after a function has seen them all."""

    __slots__ = ("outputs", "seen", "specs")

    def __init__(
        self, tensors: Sequence[Tensor], seen: Callable[[list[Any], bool], Sequence[Any]]
    ) -> None:
        self.specs = tuple((t._value.shape, t.dtype) for t in tensors)
        shape, d = self.specs[0] if len(tensors) == 1 else (None, None)
        super().__init__(shape, d, tuple(t._edge() for t in tensors), here())
        self.outputs = len(tensors)
        self.seen = seen

    def backward(self, cotangents: list[Any], create_graph: bool) -> Sequence[Any]:
        return self.seen(cotangents, create_graph)

    def spec(self, output: int) -> Any:
        return self.specs[output]


class _Crossing:
    """One call of a module whose gradients are watched:
    nodes on the tape where they leave and enter.
    """

    def __init__(
        self, module: Hooked, hooks: list[Callable[..., Any]], pre_hooks: list[Callable[..., Any]]
    ) -> None:
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.grad_output: tuple[Any, ...] | None = None
        # Where the tensors stand among the arguments and results, and how many those are.
        self.places: list[int] = []
        self.count = 0
        self.output_places: list[int] = []
        self.output_count = 0
        self.watching = False

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self.places = [i for i, x in enumerate(args) if isinstance(x, Tensor)]
        self.count = len(args)
        tensors = [args[i] for i in self.places]
        self.watching = bool(self.hooks) and any(t.requires_grad for t in tensors)
        if not self.watching:
            return args
        through = _pass_through(tensors, self._left)
        changed = list(args)
        for i, t in zip(self.places, through, strict=True):
            changed[i] = t
        return tuple(changed)

    def leave(self, output: Any) -> Any:
        if isinstance(output, Tensor):
            self.output_places, self.output_count = [0], 1
            return _pass_through([output], self._entered)[0] if output.requires_grad else output
        if not isinstance(output, (tuple, list)):
            warnings.warn(
                "For backward hooks to be called, module output should be a Tensor or a tuple of "
                f"Tensors but received {type(output)}",
                stacklevel=2,
            )
            return output
        self.output_places = [i for i, x in enumerate(output) if isinstance(x, Tensor)]
        self.output_count = len(output)
        tensors = [output[i] for i in self.output_places]
        if not any(t.requires_grad for t in tensors):
            return output
        changed = list(output)
        for i, t in zip(self.output_places, _pass_through(tensors, self._entered), strict=True):
            changed[i] = t
        # A named tuple takes its fields one by one.
        return type(output)(*changed) if hasattr(output, "_fields") else type(output)(changed)

    def _entered(self, cotangents: list[Any], create_graph: bool) -> Sequence[Any]:
        """The gradients of the outputs are known."""
        grads: tuple[Any, ...] = _spread(cotangents, self.output_places, self.output_count)
        for hook in self.pre_hooks:
            answer = hook(self.module, grads)
            if answer is not None:
                grads = _replaced(answer, grads, "Backward pre hook", "grad_output")
        self.grad_output = grads
        if self.hooks and not self.watching:
            self._without_inputs(grads)
        return [_to_engine(grads[i], create_graph) for i in self.output_places]

    def _without_inputs(self, grads: tuple[Any, ...]) -> None:
        """No input needs a gradient, so that the hooks can be called as soon as gradients enter."""
        warnings.warn(
            "Full backward hook is firing when gradients are computed with respect to module "
            "outputs since no inputs require gradients.",
            stacklevel=2,
        )
        for hook in self.hooks:
            answer = hook(self.module, (None,) * self.count, grads)
            if answer is not None and not (
                isinstance(answer, tuple) and all(a is None for a in answer)
            ):
                raise RuntimeError(
                    "Backward hook for Modules where no input requires gradient should always "
                    "return None or None for all gradients."
                )

    def _left(self, cotangents: list[Any], create_graph: bool) -> Sequence[Any]:
        """The gradients of the inputs are known."""
        seen = _spread(cotangents, self.places, self.count)
        if self.grad_output is not None:
            for hook in self.hooks:
                answer = hook(self.module, seen, self.grad_output)
                if answer is not None:
                    seen = _replaced(answer, seen, "Backward hook", "grad_input")
        return [_to_engine(seen[i], create_graph) for i in self.places]


def _spread(cotangents: list[Any], places: list[int], count: int) -> tuple[Any, ...]:
    """What hooks get: a tensor at each of `places`, None elsewhere."""
    spread: list[Any] = [None] * count
    for i, g in zip(places, cotangents, strict=True):
        spread[i] = _to_user(g)
    return tuple(spread)


def _replaced(given: Any, before: tuple[Any, ...], who: str, what: str) -> tuple[Any, ...]:
    answer: tuple[Any, ...] = given if isinstance(given, tuple) else (given,)
    if len(answer) != len(before):
        raise RuntimeError(
            f"{who} returned an invalid number of {what}, got {len(answer)}, but expected "
            f"{len(before)}"
        )
    return answer


def _to_user(g: Any) -> Any:
    return Tape.wrap(g, None) if g.__class__ is Value else g


def _to_engine(g: Any, create_graph: bool) -> Any:
    return g if g is None or create_graph or g.__class__ is Value else Tape.value_of(g)


def _pass_through(
    tensors: Sequence[Tensor], seen: Callable[[list[Any], bool], Sequence[Any]]
) -> list[Tensor]:
    """The same numbers behind a node at which `seen` is called."""
    node = BackwardHookFunctionBackward(tensors, seen)
    passed = []
    for number, t in enumerate(tensors):
        edge: Edge | None = (node, number) if t.dtype.is_floating_point else None
        passed.append(Tape.wrap(t._value, edge))
    return passed


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
