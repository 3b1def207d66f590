"""Op: everything about one operation in one record, and the registry of all of them.

An operation is called with its inputs, then its attributes: ``sum_(x, dims, keepdim)``. On Values
it makes a Value. On anything else that knows ``apply_op`` (a Tensor) it asks that, which is how the
same derivative, written once, makes plain Values in a backward pass and a new tape in a second one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import FunctionType
from typing import Any

from tidu.base.dtypes import dtype
from tidu.base.shapes import Shape
from tidu.base.source import at, here, locate, outside
from tidu.base.state import ThreadState, state
from tidu.base.strides import Operands, Strides, result_strides
from tidu.ir.argument import FloatArgument, IntArgument
from tidu.ir.declaration import Array, Correlation, Indexed, Lanes, Piece, Pieces, Sample, View
from tidu.ir.function import Function, function, functions, torch_and_tensor
from tidu.ir.reads import NUMBERS_READ, Spec, reads
from tidu.ir.value import Value, pending

# Declarations import all that they are written with from here.
__all__ = [
    "NUMBERS",
    "PLAIN",
    "Array",
    "Correlation",
    "Function",
    "Indexed",
    "Lanes",
    "Inferred",
    "Op",
    "Piece",
    "Pieces",
    "Sample",
    "Spec",
    "View",
    "define",
    "function",
    "functions",
    "registry",
    "torch_and_tensor",
]

Inferred = tuple[tuple[Any, ...], Shape, dtype]
# (shape of the result, shapes and strides of the inputs, attrs) -> strides, None for row-major
StridesRule = Callable[[Shape, Operands, tuple[Any, ...]], Strides | None]
NUMBERS = (bool, int, float)
# What an op takes as it is; anything else has to know `apply_op`.
PLAIN = frozenset({Value, bool, int, float, type(None), FloatArgument, IntArgument})


def class_of(x: Any) -> str:
    """The class of an object as PyTorch's messages name it."""
    kind = type(x)
    plain = kind.__module__ == "builtins"
    return kind.__qualname__ if plain else f"{kind.__module__}.{kind.__qualname__}"


class Op:
    """One operation. Made by `define`; the fields are described there."""

    __slots__ = (
        "arity",
        "attr_names",
        "correlation",
        "decompose",
        "doc",
        "dtypes",
        "emit",
        "ends",
        "grad_name",
        "identity",
        "indexed",
        "infer",
        "inplace",
        "input_names",
        "joined",
        "keepers",
        "kind",
        "lanes",
        "lasts",
        "layout",
        "name",
        "numpy",
        "ordered",
        "outputs",
        "pieces",
        "public",
        "raises",
        "reference",
        "samples",
        "saved",
        "strides",
        "takes",
        "tolerance",
        "variadic",
        "view",
        "vjps",
    )

    name: str
    kind: str
    arity: int
    takes: int
    variadic: bool
    input_names: tuple[str, ...]
    attr_names: tuple[str, ...]
    infer: Callable[[Op, tuple[Any, ...], tuple[Any, ...]], Inferred]
    numpy: Callable[..., Any] | None
    emit: Callable[..., Any] | None
    decompose: Callable[..., Any] | None
    vjps: Any
    ends: Callable[..., Sequence[Any]] | None
    # What the tape makes for the op: its class of nodes, and by the inputs that need gradients (as
    # bits) the function that collects what is saved.
    keepers: dict[int, Callable[..., tuple[Any, ...]]]
    samples: Callable[[], Sequence[Sample]]
    view: View | None
    layout: Callable[..., Any] | None
    pieces: Callable[..., Pieces] | None
    indexed: Callable[..., Indexed | None] | None
    correlation: Callable[..., Correlation] | None
    identity: Callable[[dtype], float] | None
    ordered: bool
    lanes: Lanes | None
    grad_name: str
    public: tuple[str, ...]
    inplace: bool
    outputs: int
    raises: bool
    lasts: bool
    joined: bool
    doc: str
    dtypes: str
    reference: str | Callable[..., Any] | None
    tolerance: float
    saved: slice
    strides: StridesRule | None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs:
            args = self._positional(args, kwargs)
        if len(args) != self.takes:
            raise self._miscounted(len(args))
        arity = self.arity
        attrs: tuple[Any, ...]
        if len(args) == arity:
            inputs, attrs = args, ()
        else:
            inputs, attrs = args[:arity], args[arity:]
        if self.variadic:
            inputs = tuple(inputs[0])
        for x in inputs:
            kind = x.__class__
            if kind is not Value and kind not in PLAIN:
                apply_op = getattr(x, "apply_op", None)
                if apply_op is None:
                    return self._elsewhere(inputs, attrs)
                return apply_op(self, inputs, attrs)
        return self.value(inputs, attrs)

    def named(self, grad_name: str, *args: Any) -> Any:
        """Call the op, under another name on the tape: transpose and permute are one op to us."""
        arity = self.arity
        inputs, attrs = args[:arity], args[arity:]
        if self.variadic:
            inputs = tuple(inputs[0])
        for x in inputs:
            if x.__class__ not in PLAIN:
                apply_op = getattr(x, "apply_op", None)
                if apply_op is None:
                    return self._elsewhere(inputs, attrs, grad_name)
                return apply_op(self, inputs, attrs, grad_name)
        return self.value(inputs, attrs)

    def _elsewhere(self, inputs: tuple[Any, ...], attrs: tuple[Any, ...], *grad_name: str) -> Any:
        """Leave the call to an input that is neither a Value nor a number."""
        for x in inputs:
            if hasattr(x, "apply_op"):
                return x.apply_op(self, inputs, attrs, *grad_name)
        position, x = next((i, x) for i, x in enumerate(inputs) if x.__class__ not in PLAIN)
        name = self.input_names[min(position, len(self.input_names) - 1)]
        raise TypeError(
            f"{self.name}(): argument '{name}' (position {position + 1}) must be Tensor, not "
            f"{class_of(x)}"
        )

    def value(
        self, inputs: tuple[Any, ...], attrs: tuple[Any, ...] = (), own: ThreadState | None = None
    ) -> Value:
        """Make the Value of this op:
        check and promote the inputs, work out shape and dtype, record.

        `own` is the state of this thread, from a caller who has it at hand and is itself called by
        another function of this package.
        """
        try:
            inputs, shape, result = self.infer(self, inputs, attrs)
        except Exception as error:
            if isinstance(error, AttributeError):
                error.call = (self, inputs)  # type: ignore[attr-defined]
            locate(error, self._shapes(inputs, str(error)))
            raise
        inner = 4  # frames: that of `outside`, this one, the caller, and its caller
        if own is None:
            own = state.own
            inner = 3
        made = Value.__new__(Value)  # what `Value(...)` does, for half the price
        made.op = self
        made.inputs = inputs
        made.attrs = attrs
        made.shape = shape
        made.dtype = result
        made.position = own.position or outside(inner)
        made.buffer = made.bounds = None
        recorded = own.pending
        values = recorded.values
        values.append(made)
        if len(values) > recorded.limit:
            pending.overflow(recorded)
        return made

    def values(self, rows: Iterable[tuple[Any, ...]]) -> list[Value]:
        """`value` for each of several rows of inputs, at a lower price for each."""
        own = state.own
        position = own.position or outside(3)
        infer = self.infer
        every = []
        inputs: tuple[Any, ...] = ()
        try:
            for inputs in rows:
                made = Value.__new__(Value)
                made.op = self
                made.inputs, made.shape, made.dtype = infer(self, inputs, ())
                made.attrs = ()
                made.position = position
                made.buffer = made.bounds = None
                every.append(made)
        except Exception as error:
            locate(error, self._shapes(inputs, str(error)))
            raise
        recorded = own.pending
        recorded.values += every
        if len(recorded.values) > recorded.limit:
            pending.overflow(recorded)
        return every

    def _shapes(self, inputs: tuple[Any, ...], message: str) -> str:
        """For the end of a message:
        the operation and the shapes of its inputs, unless it has both.
        """
        shapes = [str(list(x.shape)) for x in inputs if x.__class__ is Value]
        named = self.name in message or " of shape" in message
        if not shapes or (named and all(shape in message for shape in shapes)):
            return ""
        count = "shapes" if len(shapes) > 1 else "shape"
        return f": {self.name} of {count} {' and '.join(shapes)}"

    def _positional(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        names = self.input_names + self.attr_names
        values = list(args)
        for name in names[len(args) :]:
            if name in kwargs:
                values.append(kwargs.pop(name))
            else:
                break
        if kwargs:
            name = next(iter(kwargs))
            raise TypeError(
                f"{self.name}() got an unexpected keyword argument '{name}'; it takes "
                f"{', '.join(names)}"
            )
        return tuple(values)

    def _miscounted(self, given: int) -> TypeError:
        names = self.input_names + self.attr_names
        return TypeError(
            f"{self.name}() takes {self.takes} argument{'s' if self.takes != 1 else ''} "
            f"({', '.join(names)}), but {given} {'were' if given != 1 else 'was'} given{at(here())}"
        )

    def keeps(self, mask: int) -> tuple[tuple[int, bool], ...]:
        """What the tape keeps of (out, *inputs) when the inputs whose bits are set in `mask` need
        gradients: places in that tuple, each with whether the numbers or the shape are read.
        """
        one = isinstance(self.vjps, FunctionType)
        vjps = (self.vjps,) * self.arity if one else self.vjps
        wanted = [reads(vjp, self.name, self.arity) for i, vjp in enumerate(vjps) if mask >> i & 1]
        levels = map(max, zip(*wanted, strict=True))
        return tuple((place, level == NUMBERS_READ) for place, level in enumerate(levels) if level)

    @property
    def differentiable(self) -> bool:
        return self.vjps is not None

    def __repr__(self) -> str:
        return f"<Op {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return (registry.__getitem__, (self.name,))


registry: dict[str, Op] = {}


def define(
    name: str,
    *,
    infer: Callable[[Op, tuple[Any, ...], tuple[Any, ...]], Inferred],
    samples: Callable[[], Sequence[Sample]],
    inputs: str = "input",
    attrs: str = "",
    kind: str = "elementwise",
    numpy: Callable[..., Any] | None = None,
    emit: Callable[..., Any] | None = None,
    decompose: Callable[..., Any] | None = None,
    vjp: Any = None,
    saved: slice = slice(0, 0),
    view: View | None = None,
    layout: Callable[..., Any] | None = None,
    pieces: Callable[..., Pieces] | None = None,
    indexed: Callable[..., Indexed | None] | None = None,
    correlation: Callable[..., Correlation] | None = None,
    identity: Callable[[dtype], float] | None = None,
    ordered: bool = False,
    lanes: Lanes | None = None,
    grad_name: str = "",
    ends: Callable[..., Sequence[Any]] | None = None,
    public: str = "",
    inplace: bool = False,
    outputs: int = 1,
    raises: bool = False,
    lasts: bool = False,
    joined: bool = False,
    dtypes: str = "all",
    reference: str | Callable[..., Any] | None = None,
    tolerance: float = 1.0,
    strides: StridesRule | None = None,
    doc: str = "",
) -> Op:
    """Declare an operation and put it into the registry.

    name        unique; the word for it in graphs and messages
    infer       (op, inputs, attrs) -> (inputs with casts inserted, shape, dtype); raises on bad
                arguments
    samples     () -> the calls with which the tests compare it with PyTorch and finite differences
    inputs      names of the tensor inputs; "*tensors" for an op on a list of them
    attrs       names of the attributes (hashable), which follow the inputs
    kind        elementwise, reduction, movement, indexing, contraction, source (the same number
                everywhere), range, pick (one result of an op with several), host (a call to NumPy
                in every tier: sorting, factorisations) or composite
    numpy       the NumPy implementation: (*arrays, *attrs) -> array
    emit        the scalar emission: (builder, *scalars, *attrs) -> scalar
    decompose   (*inputs, *attrs) -> the same in terms of other ops, for composites
    vjp         a tuple with one function for each input, (g, out, *inputs, *attrs) -> cotangent,
                or None where there is no derivative; or, where the derivatives share work, one
                function that returns the cotangents of all inputs. For an op on a list, one
                function that gets the position first, or a tuple of one that returns them all.
                The result is summed over broadcast dimensions and cast to the input's dtype by
                the engine. What a vjp reads is what the tape keeps.
    layout      for a movement that is no view to users: as `View.layout`; strides may be negative
    pieces      for an op that puts its result together: (input shapes, *attrs) -> Pieces
    indexed     for reading and writing at indices: (input shapes, *attrs) -> Indexed, or None
    correlation for convolutions and their derivatives: (*attrs) -> Correlation
    raises      some integers in the last input are an error: where that is a tensor of integers,
                `numpy` does it in every tier
    lasts       its backward may run again without retain_graph, although it reads a number
    joined      PyTorch has one function for all its derivatives, so that each of them requires a
                gradient where any input does, be it one that is zero
    identity    for a reduction: dtype -> the number that changes nothing
    ordered     of a reduction whose elements have to be taken in one by one, in the order of their
                indices; others may be cut into parts, which are then combined
    lanes       of a reduction over the last dimension: which elements are combined first
    saved       for an op on a list: the part of it whose numbers the vjp reads
    view        for ops whose result shares memory with the input
    grad_name   the name shown in grad_fn=<...>
    ends        what its node on the tape shows as its `next_functions` where PyTorch records
                several: (name of the node, ends of the inputs) -> ends, of which some may be nodes
                in between, each a pair of its name and a list of its own ends
    public      where users find it: paths such as "torch.exp Tensor.exp torch.special.exp"
    inplace     whether Tensor gets a method with a trailing underscore
    outputs     number of results; more than one are read through `pick`
    dtypes      what the tests run it on: all, number, float, wide (float without halves), integer
                or bool
    reference   the PyTorch function to compare with, if it is not torch.<name>
    tolerance   multiplies the tests' tolerance, for ops that lose accuracy by nature
    strides     how the result lies in memory where an input does not lie there by rows, as a rule
                of `tidu.base.strides`. By rows if there is none; `result_strides` is that of
                elementwise ops.
    doc         what it computes, with an example, for those who call it
    """
    if name in registry:
        raise ValueError(f"op '{name}' is declared twice")
    if not samples():
        raise ValueError(f"op '{name}' has no samples, so nothing would test it")
    op = Op()
    op.name, op.kind, op.infer, op.samples, op.view = name, kind, infer, samples, view
    op.variadic = inputs.startswith("*")
    op.input_names = tuple(inputs.lstrip("*").split())
    op.attr_names = tuple(attrs.split())
    op.arity = len(op.input_names)
    op.takes = op.arity + len(op.attr_names)
    op.numpy, op.emit, op.decompose = numpy, emit, decompose
    op.vjps, op.saved, op.ends = vjp, saved, ends
    op.layout = view.layout if view is not None else layout
    op.pieces, op.indexed, op.identity = pieces, indexed, identity
    op.correlation, op.ordered, op.lanes = correlation, ordered, lanes
    op.keepers = {}
    op.grad_name = grad_name or "".join(word.capitalize() for word in name.split("_")) + "Backward0"
    op.public, op.inplace = tuple(public.split()), inplace
    op.outputs, op.raises, op.dtypes = outputs, raises, dtypes
    op.lasts, op.joined = lasts, joined
    op.strides = result_strides if strides is None and kind == "elementwise" else strides
    op.reference, op.tolerance, op.doc = reference, tolerance, doc
    registry[name] = op
    return op
