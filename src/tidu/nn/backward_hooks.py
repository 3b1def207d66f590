"""Backward hooks of modules: nodes on the tape where gradients enter and leave a module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tidu.autograd.tape import Edge, GradFn, Tape
from tidu.base.source import here, warn
from tidu.ir.value import Value
from tidu.tensor import Tensor


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


class Crossing:
    """One call of a module whose gradients are watched:
    nodes on the tape where they leave and enter.
    """

    def __init__(
        self, module: object, hooks: list[Callable[..., Any]], pre_hooks: list[Callable[..., Any]]
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
        """The arguments of the call; if gradients are watched, their tensors come from a node."""
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
        """The output of the call, its tensors passed through a node."""
        if isinstance(output, Tensor):
            self.output_places, self.output_count = [0], 1
            return _pass_through([output], self._entered)[0] if output.requires_grad else output
        if not isinstance(output, (tuple, list)):
            warn(
                "For backward hooks to be called, module output should be a Tensor or a tuple of "
                f"Tensors but received {type(output)}"
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
        warn(
            "Full backward hook is firing when gradients are computed with respect to module "
            "outputs since no inputs require gradients. See "
            "https://docs.pytorch.org/docs/main/generated/torch.nn.Module.html"
            "#torch.nn.Module.register_full_backward_hook for more details."
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
