"""`Function`: operations whose derivative the user writes.

`apply` makes a node of the tape and the `ctx` that `forward` and `backward` share, runs `forward`
beside the tape, and makes its results the results of that node. As in PyTorch, what is set on `ctx`
can be read from `result.grad_fn`; they are two objects here, so that no attribute of the user's can
hide one of the node's.
"""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from tidu.autograd.context import FunctionCtx, Saved
from tidu.autograd.modes import no_grad
from tidu.autograd.tape import Edge, GradFn, Tape
from tidu.base.dtypes import dtype
from tidu.base.shapes import Shape
from tidu.base.source import at, here, warn
from tidu.base.state import state
from tidu.ir.value import Value
from tidu.ops.moving.movement import slice_
from tidu.ops.sources import full


class FunctionNode(GradFn):
    """The node of one call of a Function; each has its own subclass, <Function>Backward."""

    function: type[Function]
    ctx: FunctionCtx
    are_tensors: tuple[bool, ...] = ()  # which arguments of `apply`
    specs: tuple[tuple[Shape, dtype] | None, ...] = ()  # of each result, None for what is no tensor

    def __getattr__(self, name: str) -> Any:
        ctx = self.__dict__.get("ctx")
        if ctx is None or name.startswith("__"):
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        return getattr(ctx, name)

    @property
    def next_functions(self) -> tuple[tuple[GradFn | None, int], ...]:
        every = super().next_functions
        return tuple(f for f, is_tensor in zip(every, self.are_tensors, strict=False) if is_tensor)

    def spec(self, output: int) -> tuple[Shape, dtype]:
        found = self.specs[output]
        assert found is not None, "only tensors have gradients"
        return found

    def saved_values(self) -> list[Value]:
        """What `forward` has saved, as far as no hook has put it away."""
        values = (x.value for x in self.ctx._saved if x is not None)
        return [value for value in values if isinstance(value, Value)]

    def release(self) -> None:
        if self.ctx._saved:
            self.ctx._saved, self.ctx._freed = (), True

    def backward(self, cotangents: list[Any], create_graph: bool) -> Sequence[Any]:
        derivative = _derivative_of(self.function)
        # What the user's code computes, and what goes wrong there, carries its own lines.
        state.own.position = None
        grads = derivative(self.ctx, *(self._incoming(i, g) for i, g in enumerate(cotangents)))
        state.own.position = self.position
        return self._checked(grads if isinstance(grads, tuple) else (grads,), create_graph)

    def _incoming(self, output: int, g: Any) -> Any:
        if g is None:
            spec = self.specs[output]
            if spec is None or not self.ctx.materialize_grads:
                return None
            g = full(0.0, *spec)
        return Tape.wrap(g, None) if g.__class__ is Value else g

    def _checked(self, grads: tuple[Any, ...], create_graph: bool) -> Sequence[Any]:
        """What `backward` returned, as one cotangent for each argument of `apply`."""
        count = len(self.edges)
        if len(grads) < count or any(g is not None for g in grads[count:]):
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients (expected "
                f"{count}, got {len(grads)}): backward must return one for each argument of "
                f"forward, None where there is none{at(self.position)}"
            )
        results: list[Any] = []
        for number, (g, edge) in enumerate(zip(grads, self.edges, strict=False)):
            if g is not None:
                self._check(number, g, edge)
            results.append(
                None if g is None or edge is None else g if create_graph else Tape.value_of(g)
            )
        return results

    def _check(self, number: int, g: Any, edge: Edge | None) -> None:
        if not self.are_tensors[number]:
            raise RuntimeError(
                f"function {self.name()} returned a gradient different than None at position "
                f"{number + 1}, but the corresponding forward input was not a "
                f"Variable{at(self.position)}"
            )
        if not isinstance(g, Tape.tensor):
            raise RuntimeError(
                f"expected Variable or None (got {type(g).__name__}): gradient {number} of "
                f"{self.name()}{at(self.position)}"
            )
        if edge is None:
            return
        # The gradient may have more elements than the input where the engine can sum over them.
        shape, wanted = tuple(g.shape), edge[0].spec(edge[1])[0]
        extra = len(shape) - len(wanted)
        if extra < 0 or any(n not in (1, m) for n, m in zip(wanted, shape[extra:], strict=True)):
            raise RuntimeError(
                f"Function {self.name()} returned an invalid gradient at index {number} - got "
                f"{list(shape)} but expected shape compatible with "
                f"{list(wanted)}{at(self.position)}"
            )

    def __repr__(self) -> str:
        return f"<torch.autograd.function.{type(self).__name__} object at {hex(id(self))}>"


class FunctionMeta(type):
    """Gives each Function its class of nodes."""

    _backward_cls: type[FunctionNode]

    def __init__(cls, name: str, bases: tuple[type, ...], attributes: dict[str, Any]) -> None:
        super().__init__(name, bases, attributes)
        cls._backward_cls = type(f"{name}Backward", (FunctionNode,), {"function": cls})


class Function(metaclass=FunctionMeta):
    """An operation whose derivative you write: subclass it, write `forward` and `backward`.

    It is called as ``MyFunction.apply(*args)``. ``forward(ctx, *args)`` computes the results,
    beside the tape. ``backward(ctx, *grads)`` gets one gradient for each result and returns one for
    each argument, None where there is none. What is shared goes through `ctx`: tensors by
    `ctx.save_for_backward`, anything else as attributes. Instead of the `ctx` of `forward` there
    may be a ``setup_context(ctx, inputs, output)``. A `backward` made of differentiable operations
    can itself be differentiated. Follows torch.autograd.Function.

    >>> class Square(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         (x,) = ctx.saved_tensors
    ...         return 2 * x * grad
    >>> Square.apply(torch.tensor(3.0, requires_grad=True))
    tensor(9., grad_fn=<SquareBackward>)
    """

    generate_vmap_rule = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warn(
            f"{type(self)} should not be instantiated. Methods on autograd functions are all "
            "static, so you should invoke them on the class itself. Instantiating an autograd "
            "function will raise an error in a future version of PyTorch.",
            DeprecationWarning,
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        name = type(self).__name__
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use "
            f"new-style autograd function with static forward method: {name}.apply(...), not "
            f"{name}()(...){at(here())}"
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """The results of the operation."""
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Where it is overridden, `forward` gets no `ctx`, and this prepares it for `backward`."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradients of the arguments, given those of the results."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom "
            "autograd.Function to use it with backward mode AD."
        )

    vjp = backward

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """The derivative in forward mode, which nothing here asks for."""
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with "
            "forward mode AD."
        )

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Call the operation."""
        separate = cls.setup_context is not Function.setup_context
        if separate:
            args = _positional(cls.forward, args, kwargs)
        elif kwargs:
            raise TypeError(
                f"{cls.__name__}.apply() takes no keyword arguments, but got "
                f"{', '.join(kwargs)}{at(here())}"
            )
        tensor = Tape.tensor
        needs = tuple(isinstance(a, tensor) and a.requires_grad for a in args)
        edges: tuple[Edge | None, ...] = ()
        if state.own.grad_enabled and any(needs):
            edges = tuple(Tape.edge_of(a) if n else None for a, n in zip(args, needs, strict=True))
        node = cls._backward_cls((), None, edges, here())
        node.are_tensors = tuple(isinstance(a, tensor) for a in args)
        ctx = node.ctx = FunctionCtx()
        ctx._node = weakref.ref(node)
        ctx.needs_input_grad = needs
        with no_grad():
            if separate:
                output = cls.forward(*args)
                cls.setup_context(ctx, args, output)
            else:
                output = cls.forward(ctx, *args)
        outputs = output if isinstance(output, tuple) else (output,)
        outputs = _results(node, args, outputs)
        return outputs if isinstance(output, tuple) else outputs[0]


class InplaceFunction(Function):
    """A Function that may work in place; kept for code that expects the name."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace


def _positional(
    forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, ...]:
    """All arguments of `forward` in order, with defaults."""
    bound = _signature(forward).bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.args


@functools.cache
def _signature(forward: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(forward)


def _derivative_of(function: type[Function]) -> Callable[..., Any]:
    backward, vjp = function.backward, function.vjp
    if backward is not Function.backward and vjp is not Function.vjp:
        raise RuntimeError(
            "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You "
            f"should only implement one of them: {function.__name__}"
        )
    return vjp if backward is Function.backward else backward


def _results(
    node: FunctionNode, args: tuple[Any, ...], outputs: tuple[Any, ...]
) -> tuple[Any, ...]:
    """The results of `forward` as those of the node, which keeps what `ctx` was told to save."""
    ctx, tensor, recording = node.ctx, Tape.tensor, bool(node.edges)
    inputs = {id(a) for a in args if isinstance(a, tensor)}
    dirty = {id(t) for t in ctx.dirty_tensors}
    silent = {id(t) for t in ctx.non_differentiable}
    if not dirty <= {id(t) for t in outputs}:
        raise RuntimeError(
            "Some elements marked as dirty during the forward method were not returned as output. "
            "The inputs that are modified inplace must all be outputs of the Function. "
            f"({node.name()}){at(node.position)}"
        )
    node.outputs = len(outputs)
    node.specs = tuple(
        (tuple(t.shape), t.dtype) if isinstance(t, tensor) else None for t in outputs
    )
    if len(outputs) == 1 and node.specs[0] is not None:
        node.shape, node.dtype = node.specs[0]
    saved: list[Saved | None] = []
    if recording:
        own = {id(t): n for n, t in enumerate(outputs) if id(t) not in inputs or id(t) in dirty}
        for t in ctx.to_save:
            number = own.get(id(t))
            edge = None if t is None or number is not None else Tape.edge_of(t)
            saved.append(None if t is None else Saved(t, edge, number))
    ctx._saved = tuple(saved)
    ctx.to_save = ctx.dirty_tensors = ctx.non_differentiable = ()
    made = []
    for number, t in enumerate(outputs):
        if isinstance(t, tensor):
            if id(t) in inputs and id(t) not in dirty:
                with no_grad():
                    t = slice_(t, tuple((0, n, 1) for n in t.shape))
            if not recording:
                pass
            elif id(outputs[number]) in silent or not t.dtype.is_floating_point:
                t = t.detach() if t.requires_grad else t
            elif id(t) in dirty:
                Tape.rewrite(t, (node, number))
            else:
                Tape.adopt(t, (node, number), len(outputs) > 1)
        made.append(t)
    return tuple(made)


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a `backward` that cannot itself be differentiated: trying to raises RuntimeError.

    Inside, the tape is off. Follows torch.autograd.function.once_differentiable.
    """

    @functools.wraps(backward)
    def wrapper(ctx: Any, *grads: Any) -> Any:
        with no_grad():
            results = backward(ctx, *grads)
        if not state.own.grad_enabled or not any(
            isinstance(g, Tape.tensor) and g.requires_grad for g in grads
        ):
            return results
        node = _Refusal((), None, tuple(Tape.edge_of(g) for g in grads if g is not None), here())
        if not isinstance(results, tuple):
            return node.guard(results)
        return tuple(node.guard(g) for g in results)

    return wrapper


class _Refusal(GradFn):
    """Stands behind the results of a derivative that has no derivative."""

    def guard(self, g: Any) -> Any:
        if not isinstance(g, Tape.tensor):
            return g
        own = _Refusal(tuple(g.shape), g.dtype, self.edges, self.position)
        return Tape.wrap(Tape.value_of(g), (own, 0))

    def backward(self, cotangents: list[Any], create_graph: bool) -> Sequence[Any]:
        raise RuntimeError(
            "trying to differentiate twice a function that was marked with "
            f"@once_differentiable{at(self.position)}"
        )

    def name(self) -> str:
        return "DelayedErrorBackward"
