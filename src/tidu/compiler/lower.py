"""From a graph of Values to steps: what is stored, and the expression each of its elements is.

Every Value gets an expression in the index space of its shape. Movements change its strides,
elementwise operations put a node on top; nothing is stored for either. A Value is stored (becomes a
`Root`) where it has to be: as a result of the region, as an operand of a matrix product, as the
result of a reduction, or where several others would compute it again.
"""

from __future__ import annotations

from math import prod
from typing import Any

from tidu.base import dtypes
from tidu.base.dtypes import dtype
from tidu.base.shapes import Shape
from tidu.compiler import convolve
from tidu.compiler.costs import is_cheap_to_repeat
from tidu.compiler.expressions import (
    ARGUMENT,
    COMPUTE,
    CONSTANT,
    GUARDED,
    IOTA,
    LOAD,
    Expression,
    Expressions,
    Guard,
    Index,
    Layout,
    UnviewableError,
    broadcast_to,
    contiguous,
    lifted,
    moved,
    reshaped,
    usual_order,
    without_ones,
)
from tidu.compiler.graph import Graph
from tidu.compiler.joins import Joins, are_apart, is_join, pieces_of, within
from tidu.compiler.operands import straighten
from tidu.compiler.products import lower_product
from tidu.compiler.steps import (
    Buffer,
    HostCall,
    Root,
    Scatter,
    Steps,
    Stored,
    has_several,
    results_of,
)
from tidu.ir.argument import FloatArgument, IntArgument
from tidu.ir.op import Op, registry
from tidu.ir.value import Value

# An expression of more operations than this is stored, whoever uses it.
_LARGEST = 48
# A reduction of so many elements to so few results is done in two steps, so that it can be shared
# among workers; the partial results are of chunks of this size.
_LONG, _FEW, _CHUNK = 1 << 15, 64, 1 << 13
# The outermost dimension is cut, unless that gives less than so many parts.
_FEW_PARTS = 8


def is_composite(value: Value) -> bool:
    op = value.op
    assert op is not None
    if op.decompose is None or op.emit is not None or convolve.supports(value):
        return False
    return op.kind == "composite" or (op.kind == "contraction" and _is_tiny(value))


# A smaller product is a loop among others: calling BLAS would cost more than the work.
_TINY_PRODUCT = 4096


def _is_tiny(value: Value) -> bool:
    x, y = value.inputs
    return prod(value.shape) * x.shape[-1] <= _TINY_PRODUCT and 0 not in (*x.shape, *y.shape)


class Lowering:
    def __init__(self, graph: Graph, vector_bytes: int) -> None:
        self.graph = graph
        self.vector_bytes = vector_bytes
        self.make = Expressions()
        # Copies of tensors with zeros around them, by expression and pads; see `convolve`.
        self.planes: dict[Any, Any] = {}
        self.steps = Steps()
        self.found: dict[int, Any] = {}  # by id of a Value: its expression, or a tuple of them
        self.uses: dict[int, int] = {}
        # By id: how often all elements of a Value are read. A slice reads only some of them.
        self.readings: dict[int, float] = {}
        self.convolutions: dict[int, list[Value]] = {}  # by id of a Value: those that read it
        self.in_memory: set[int] = set()  # by id: Values that have to be stored for some reader
        self.whole_for: set[int] = set()  # those of them that lie in row-major order for it
        self.wanted: set[int] = set()
        self.joins = Joins(self)

    def run(self) -> Steps:
        graph, steps = self.graph, self.steps
        for leaf in graph.leaves:
            self.found[id(leaf)] = self.leaf(leaf)
        for constant in graph.constants:
            buffer = self.buffer(constant.shape, constant.dtype)
            steps.constants[buffer.number] = constant.buffer
            self.found[id(constant)] = self.whole(buffer)
        for value in reversed(graph.values):
            for x in value.inputs:
                if x.__class__ is Value:
                    self.uses[id(x)] = self.uses.get(id(x), 0) + 1
                    readings = self.readings.get(id(x), 0.0)
                    self.readings[id(x)] = readings + self.readings_of(x, value)
                    if convolve.supports(value):
                        self.convolutions.setdefault(id(x), []).insert(0, value)
        for output in graph.outputs:
            self.wanted.update(map(id, output if output.__class__ is tuple else (output,)))
        self.find_stored()
        self.joins.find()
        for value in graph.values:
            self.lower(value)
        for output in graph.outputs:
            if output.__class__ is tuple:
                steps.outputs.append(tuple(self.stored(x) for x in output))
            elif has_several(output):
                steps.outputs.append(tuple(map(self.buffer_of, self.found[id(output)])))
            else:
                steps.outputs.append(self.stored(output))
        straighten(steps, self.make)
        return steps

    def find_stored(self) -> None:
        """Which Values have to be stored for a product, NumPy or an access by index.

        They are stored before anything moves their elements, so in their own order.
        """
        for value in reversed(self.graph.values):
            op = value.op
            assert op is not None
            read: tuple[Any, ...] = ()
            access = _access(value, op)
            gathers = access is not None and access.value is None
            moves = op.layout is not None
            if gathers or (moves and id(value) in self.in_memory):
                read = value.inputs[:1]
            special = has_several(value) or _is_empty(value) or self.rule(op, value) is None
            if special or op.kind == "contraction":
                read = value.inputs
            numbers = [id(x) for x in read if x.__class__ is Value]
            self.in_memory.update(numbers)
            if special or gathers or (moves and id(value) in self.whole_for):
                self.whole_for.update(numbers)

    # Buffers --------------------------------------------------------------------------------------

    def leaf(self, value: Value) -> Any:
        """What a leaf is read as: each of the results of an op with several."""
        buffers = [self.buffer(shape, d) for shape, d in results_of(value)]
        self.steps.leaves += buffers
        made = tuple(map(self.whole, buffers))
        return made if has_several(value) else made[0]

    def buffer(self, shape: Shape, d: dtype) -> Buffer:
        made = Buffer(len(self.steps.buffers), prod(shape), d, tuple(shape))
        self.steps.buffers.append(made)
        return made

    def whole(self, buffer: Buffer) -> Expression:
        return self.make.load(buffer.number, contiguous(buffer.shape), buffer.dtype)

    def buffer_of(self, x: Expression) -> Buffer:
        assert x.kind == LOAD
        number: int = x.what[0]
        return self.steps.buffers[number]

    def stored(self, value: Value) -> Buffer:
        """The buffer that holds a Value in row-major order, storing it if none does."""
        x = self.found[id(value)]
        if x.kind == LOAD and not x.what[2] and _is_whole(x.what[1], value.shape):
            buffer = self.buffer_of(x)
            if buffer.size == prod(value.shape):
                return buffer
        return self.buffer_of(self.store(value, x))

    def store(self, value: Value, x: Expression) -> Expression:
        """Make `x` a root; what reads the Value from now on loads it."""
        buffer = self.root(x, value.shape, value.dtype, value)
        made = self.found[id(value)] = self.whole(buffer)
        return made

    def store_part(self, value: Value, x: Expression) -> None:
        """Make `x` a root that is written to its place in a join."""
        buffer, layout = self.joins.place(value, x)
        self.write(buffer, x, tuple(value.shape), layout, value)
        self.found[id(value)] = self.make.load(buffer.number, layout, value.dtype)
        self.joins.filled.add(id(value))

    def store_ordered(self, value: Value, x: Expression) -> None:
        """Make `x` a root, in the order in which what it is made of lies in memory."""
        by_rows = id(value) in self.in_memory or id(value) in self.wanted
        buffer, layout = self.ordered(value, x, by_rows=by_rows)
        self.write(buffer, x, tuple(value.shape), layout, value)
        self.found[id(value)] = self.make.load(buffer.number, layout, value.dtype)

    def ordered(self, value: Value, like: Expression, *, by_rows: bool) -> tuple[Buffer, Layout]:
        """A buffer for a Value in row-major order, or in the order of what `like` is made of."""
        shape = tuple(value.shape)
        order = tuple(range(len(shape))) if by_rows else usual_order(like, shape)
        buffer = self.buffer(tuple(shape[d] for d in order), value.dtype)
        strides = dict(zip(order, contiguous(buffer.shape).strides, strict=True))
        return buffer, Layout(tuple(strides[d] for d in range(len(shape))), 0)

    def root(self, x: Expression, shape: Shape, d: dtype, value: Value | None = None) -> Buffer:
        buffer = self.buffer(shape, d)
        self.write(buffer, x, tuple(shape), contiguous(shape), value)
        return buffer

    def write(
        self,
        buffer: Buffer,
        x: Expression,
        shape: Shape,
        layout: Layout,
        value: Value | None,
        *,
        around: bool = False,
    ) -> None:
        """A root whose elements, one for each coordinate of `shape`, go where `layout` says."""
        space, squeeze = without_ones(shape)
        root = Root(buffer, space, self.make.relaid(x, squeeze), squeeze(layout), value=value)
        root.around = around
        self.steps.steps.append(root)

    # One Value ------------------------------------------------------------------------------------

    def lower(self, value: Value) -> None:
        op = value.op
        assert op is not None
        rule = None
        if not has_several(value) and not _is_empty(value):
            rule = self.rule(op, value)
        try:
            made = None if rule is None else rule(value, op)
        except UnviewableError:
            made = None
        if made is None:
            made = self.host(value, op)
        self.found[id(value)] = made
        if made.__class__ is tuple or made.kind == LOAD:
            return
        made.position = made.position or value.position
        readers = self.convolutions.get(id(value), [])
        if readers and id(value) not in self.wanted and convolve.place(self, value, readers):
            return
        if id(value) in self.joins.parts:
            self.store_part(value, made)
            return
        # A single number that is wanted, a loss, is there early: somebody may wait for it.
        is_loss = id(value) in self.wanted and prod(value.shape) == 1
        stays = id(value) in self.in_memory or made.size > _LARGEST or is_loss
        if stays or not self.repeats(value, made):
            self.store_ordered(value, made)

    def readings_of(self, x: Value, reader: Value) -> float:
        """How often another Value reads all of `x`: of a slice, that is what reads the slice."""
        assert reader.op is not None
        if reader.op.layout is None or has_several(x) or prod(reader.shape) >= prod(x.shape):
            return 1.0
        return max(1.0, self.readings.get(id(reader), 0.0)) * prod(reader.shape) / prod(x.shape)

    def repeats(self, value: Value, made: Expression) -> bool:
        """Whether all that use a Value compute it for themselves."""
        if self.uses.get(id(value), 0) <= 1:
            return True
        space, readings = tuple(value.shape), self.readings[id(value)]
        return is_cheap_to_repeat(made, space, readings)

    def rule(self, op: Op, value: Value) -> Any:
        if op.kind == "pick":
            return self.pick
        if convolve.supports(value):
            return self.correlation
        if op.kind == "elementwise" and op.emit is not None:
            if (
                op.raises
                and value.dtype.category == dtypes.INTEGER
                and (value.inputs[-1].__class__ is Value)
            ):
                return None
            return self.elementwise
        if op.layout is not None:
            return self.movement
        if op.pieces is not None:
            return self.assembly
        if op.kind == "reduction" and op.identity is not None:
            return self.reduction
        if op.kind == "contraction":
            return self.product
        if op.indexed is not None:
            return self.indexing
        if op.kind in ("source", "range") and op.emit is not None:
            return self.source
        return None

    def operand(self, x: Any, like: dtype) -> Expression:
        """An input of an elementwise operation in its own space."""
        if x.__class__ is Value:
            found: Expression = self.found[id(x)]
            return found
        return self.number(x, like)

    def number(self, x: Any, like: dtype) -> Expression:
        if isinstance(x, (FloatArgument, IntArgument)):
            kind = float if isinstance(x, FloatArgument) else int
            return self.make.make(ARGUMENT, (x.number, kind), (), like)
        if x is not None:
            x = bool(x) if like is dtypes.bool_ else float(x) if like.is_floating_point else int(x)
        return self.make.make(CONSTANT, x, (), like)

    def elementwise(self, value: Value, op: Op) -> Expression:
        like = next(
            (x.dtype for x in value.inputs if x.__class__ is Value and x.dtype is not dtypes.bool_),
            value.dtype,
        )
        inputs = tuple(
            self.broadcast(x, value.shape) if x.__class__ is Value else self.number(x, like)
            for x in value.inputs
        )
        return self.compute(op, value.attrs, inputs, value.dtype)

    def compute(
        self, op: Op, attrs: tuple[Any, ...], inputs: tuple[Expression, ...], d: dtype
    ) -> Expression:
        return self.make.make(COMPUTE, (op, attrs), inputs, d)

    def broadcast(self, x: Value, shape: Shape) -> Expression:
        found: Expression = self.found[id(x)]
        if x.shape == shape:
            return found
        return self.make.relaid(found, broadcast_to(tuple(x.shape), tuple(shape)))

    def source(self, value: Value, op: Op) -> Expression:
        if op.kind == "source":
            (number,) = value.inputs
            like = dtypes.float64 if isinstance(number, float) else dtypes.int64
            if value.dtype.is_half and like is dtypes.float64:
                like = dtypes.float32
            return self.compute(op, value.attrs, (self.number(number, like),), value.dtype)
        index = self.make.make(IOTA, Layout((1,), 0), (), dtypes.int64)
        exact = all(isinstance(x, int) for x in value.inputs)
        like = dtypes.int64 if exact else dtypes.float64
        numbers = tuple(self.number(x, like) for x in value.inputs)
        if not exact:
            index = self.cast(index, dtypes.float64)
        return self.compute(op, value.attrs, (index, *numbers), value.dtype)

    def movement(self, value: Value, op: Op) -> Expression:
        (x,) = value.inputs
        change = moved(op.layout, tuple(x.shape), value.attrs)  # type: ignore[arg-type]
        try:
            return self.make.relaid(self.found[id(x)], change)
        except UnviewableError:
            return self.make.relaid(self.store(x, self.found[id(x)]), change)

    def pick(self, value: Value, op: Op) -> Expression:
        found: tuple[Expression, ...] = self.found[id(value.inputs[0])]
        number: int = value.attrs[0]
        return found[number]

    # Joining --------------------------------------------------------------------------------------

    def assembly(self, value: Value, op: Op) -> Expression | None:
        """A buffer written piece by piece; or no buffer, where the rest is zero."""
        inputs = value.inputs
        assert op.pieces is not None
        if is_join(value):
            return self.join(value)
        zero, pieces = op.pieces(_shapes(value), *value.attrs)
        if zero and len(pieces) == 1 and all(step == 1 for _, _, step in pieces[0].ranges):
            return self.place(inputs[pieces[0].input], pieces[0].ranges, value.shape)
        around = self.filling(inputs, pieces, value)
        if around is not None:
            return self.place(inputs[pieces[1].input], pieces[1].ranges, value.shape, around)
        buffer = self.buffer(value.shape, value.dtype)
        apart = are_apart(zero, pieces, value)
        if zero:
            nothing = self.number(0, value.dtype)
            whole = tuple((0, n, 1) for n in value.shape)
            self.piece(buffer, nothing, whole, value, adds=False, ordered=True)
        for piece in pieces:
            if any(start >= stop for start, stop, _ in piece.ranges):
                continue
            x, shape = inputs[piece.input], tuple(len(range(*r)) for r in piece.ranges)
            part = self.broadcast(x, shape) if x.__class__ is Value else self.number(x, value.dtype)
            self.piece(buffer, part, piece.ranges, value, adds=piece.adds, ordered=not apart)
        return self.whole(buffer)

    def join(self, value: Value) -> Expression:
        """A buffer in which most parts lie already, and copies of the others."""
        given = [value.inputs[piece.input] for piece in pieces_of(value)[1]]
        buffer, layout = self.joins.place(value, self.found[id(given[0])])
        for number, (x, piece) in enumerate(zip(given, pieces_of(value)[1], strict=True)):
            if not self.joins.has(value, number) and 0 not in x.shape:
                part = within(layout, piece.ranges)
                self.write(buffer, self.found[id(x)], tuple(x.shape), part, value)
        self.joins.filled.add(id(value))
        return self.make.load(buffer.number, layout, value.dtype)

    def place(self, x: Value, ranges: Any, shape: Shape, around: float = 0) -> Expression:
        return self.placed(self.found[id(x)], tuple(x.shape), ranges, tuple(shape), around)

    def filling(self, inputs: Any, pieces: Any, value: Value) -> float | None:
        """The number around the one piece that is put into a constant tensor."""
        if len(pieces) != 2 or pieces[1].adds or any(r[2] != 1 for r in pieces[1].ranges):
            return None
        base, part = inputs[pieces[0].input], inputs[pieces[1].input]
        if base.__class__ is not Value or part.__class__ is not Value:
            return None
        x = self.found[id(base)]
        if tuple(base.shape) != tuple(value.shape) or x.kind != COMPUTE or len(x.inputs) != 1:
            return None
        known = x.what[0].kind == "source" and x.inputs[0].kind == CONSTANT
        inside = tuple(part.shape) == tuple(len(range(*r)) for r in pieces[1].ranges)
        return x.inputs[0].what if known and inside else None

    def piece(
        self, buffer: Buffer, x: Expression, ranges: Any, value: Value, *, adds: bool, ordered: bool
    ) -> None:
        strides = contiguous(buffer.shape).strides
        offset = sum(r[0] * s for r, s in zip(ranges, strides, strict=True))
        layout = Layout(tuple(r[2] * s for r, s in zip(ranges, strides, strict=True)), offset)
        space, squeeze = without_ones(tuple(len(range(*r)) for r in ranges))
        root = Root(buffer, space, self.make.relaid(x, squeeze), squeeze(layout), value=value)
        root.adds = adds
        root.after = (buffer,) if ordered else ()
        self.steps.steps.append(root)

    def sliced(self, x: Expression, ranges: Any) -> Expression:
        """A part of `x`: (start, stop, step) for each dimension."""

        def change(layout: Layout) -> Layout:
            offset = sum(r[0] * s for r, s in zip(ranges, layout.strides, strict=True))
            strides = tuple(r[2] * s for r, s in zip(ranges, layout.strides, strict=True))
            return Layout(strides, layout.offset + offset)

        return self.make.relaid(x, change)

    def placed(
        self, x: Expression, sizes: Shape, ranges: Any, shape: Shape, around: float = 0
    ) -> Expression:
        """`x`, of these sizes, inside a larger space, and one number around it."""
        starts = tuple(r[0] for r in ranges)

        def shift(layout: Layout) -> Layout:
            moved_by = sum(a * s for a, s in zip(starts, layout.strides, strict=True))
            return Layout(layout.strides, layout.offset - moved_by)

        rank = len(starts)
        units = [tuple(int(i == d) for i in range(rank)) for d in range(rank)]
        guards = tuple(
            Guard(Layout(units[d], -start), 0, n)
            for d, (start, n, whole) in enumerate(zip(starts, sizes, shape, strict=True))
            if n != whole
        )
        inner = self.make.relaid(x, shift)
        if not guards:
            return inner
        return self.make.make(GUARDED, (guards, around), (inner,), x.dtype)

    # Reductions -----------------------------------------------------------------------------------

    def reduction(self, value: Value, op: Op) -> Expression | None:
        (x,) = value.inputs
        dims = frozenset(value.attrs[0])
        shape, expression = tuple(x.shape), self.found[id(x)]
        if not dims or all(shape[d] == 1 for d in dims):
            kept = reshaped(shape, tuple(value.shape))
            if x.dtype is not value.dtype:
                return None
            return self.make.relaid(expression, kept)
        kept_size = prod(n for d, n in enumerate(shape) if d not in dims)
        if kept_size <= _FEW and prod(shape) // kept_size >= _LONG:
            found = self.in_two_steps(value, op, expression, dims)
            if found is not None:
                return found
        buffer = self.reduce(op, expression, shape, dims, value.shape, value.dtype, value)
        return self.whole(buffer)

    def reduce(
        self,
        op: Op,
        x: Expression,
        shape: Shape,
        dims: frozenset[int],
        result: Shape,
        d: dtype,
        value: Value,
    ) -> Buffer:
        buffer = self.buffer(result, d)
        space, squeeze = without_ones(shape)
        left = [i for i, n in enumerate(shape) if n != 1]
        reduced = frozenset(i for i, d in enumerate(left) if d in dims)
        kept = tuple(i for i in range(len(space)) if i not in reduced)
        sizes = tuple(space[i] for i in kept)
        store = lifted(kept, len(space))(contiguous(sizes))
        root = Root(buffer, space, self.make.relaid(x, squeeze), store, reduced, op, value=value)
        self.steps.steps.append(root)
        return buffer

    def in_two_steps(
        self, value: Value, op: Op, x: Expression, dims: frozenset[int]
    ) -> Expression | None:
        """Partial results of chunks of one reduced dimension, then those of the others."""
        shape = tuple(value.inputs[0].shape)
        cut = next(d for d in sorted(dims) if shape[d] != 1)
        if shape[cut] < _FEW_PARTS:
            cut = max(dims, key=lambda d: shape[d])
        parts = _parts(shape[cut], prod(shape) // shape[cut])
        if parts == 1:
            return None
        finer = (*shape[:cut], parts, shape[cut] // parts, *shape[cut + 1 :])
        try:
            x = self.make.relaid(x, reshaped(shape, finer))
        except UnviewableError:
            return None
        inner = frozenset(d + (d >= cut) for d in dims)
        inner = (inner - {cut}) | {cut + 1}
        partial = tuple(1 if i in inner else n for i, n in enumerate(finer))
        wide = dtypes.float32 if value.dtype.is_half else value.dtype
        buffer = self.reduce(op, x, finer, inner, partial, wide, value)
        whole = self.reduce(
            op, self.whole(buffer), partial, frozenset({cut}), value.shape, value.dtype, value
        )
        return self.whole(whole)

    def product(self, value: Value, op: Op) -> Expression | None:
        return lower_product(self, value)

    def cast(self, x: Expression, d: dtype) -> Expression:
        return self.compute(registry["cast"], (d,), (x,), d)

    def correlation(self, value: Value, op: Op) -> Expression:
        return convolve.lower_correlation(self, value, op)

    # Indices --------------------------------------------------------------------------------------

    def indexing(self, value: Value, op: Op) -> Expression | None:
        inputs, shapes = value.inputs, _shapes(value)
        access = _access(value, op)
        if access is None:
            return None
        data = inputs[0]
        rank = len(access.space)
        places, indices = [], []
        layout = contiguous(data.shape)
        strides = [0] * rank
        for d, (size, stride) in enumerate(zip(data.shape, layout.strides, strict=True)):
            along = access.along[d]
            if isinstance(along, int):
                strides[along] += stride
            else:
                number, dims = along
                place = self.found[id(inputs[number])]
                where = dims[len(dims) - len(shapes[number]) :]
                aligned = tuple(access.space[i] for i in where)
                place = self.make.relaid(place, broadcast_to(shapes[number], aligned))
                places.append(self.make.relaid(place, lifted(where, rank)))
                indices.append(Index(stride, size, access.wraps))
        if access.value is None:
            buffer = self.stored(data)
            what = (buffer.number, Layout(tuple(strides), 0), tuple(indices))
            return self.make.make(LOAD, what, tuple(places), data.dtype)
        return self.scattered(value, access, Layout(tuple(strides), 0), indices, places)

    def scattered(
        self, value: Value, access: Any, layout: Layout, indices: Any, places: Any
    ) -> Expression:
        """A copy of the input, and then elements of a space written or added where indices say."""
        data, source = value.inputs[0], value.inputs[access.value]
        kept, d = self.found[id(data)], value.dtype
        if access.adds and d.is_half:  # many may be added to one place: halves would stand still
            d = dtypes.float32
            kept = self.cast(kept, d)
        buffer = self.root(kept, value.shape, d, value)
        if source.__class__ is not Value:
            x = self.number(source, value.dtype)
        else:
            x = self.found[id(source)]
            extra = tuple(access.space)
            if tuple(source.shape) != extra and not access.crops:
                x = self.make.relaid(x, broadcast_to(tuple(source.shape), extra))
        space, squeeze = without_ones(tuple(access.space))
        left = [i for i, n in enumerate(access.space) if n != 1]
        sequential = frozenset(i for i, d in enumerate(left) if access.meets(d))
        root = Root(buffer, space, self.make.relaid(x, squeeze), contiguous(space), value=value)
        root.adds = access.adds
        root.scatter = Scatter(
            squeeze(layout),
            tuple(indices),
            tuple(self.make.relaid(place, squeeze) for place in places),
            sequential,
        )
        root.after = (buffer,)
        self.steps.steps.append(root)
        whole = self.whole(buffer)
        return whole if d is value.dtype else self.cast(whole, value.dtype)

    # The rest -------------------------------------------------------------------------------------

    def host(self, value: Value, op: Op) -> Any:
        inputs: list[Any] = []
        for x in value.inputs:
            if x.__class__ is Value and has_several(x):
                inputs.append(
                    tuple(Stored(b, b.shape) for b in map(self.buffer_of, self.found[id(x)]))
                )
            else:
                inputs.append(Stored(self.stored(x), tuple(x.shape)) if x.__class__ is Value else x)
        results = tuple(self.buffer(shape, d) for shape, d in results_of(value))
        self.steps.steps.append(HostCall(value, tuple(inputs), results))
        made = tuple(self.whole(buffer) for buffer in results)
        return made if has_several(value) else made[0]


def _shapes(value: Value) -> tuple[Shape, ...]:
    return tuple(tuple(x.shape) if x.__class__ is Value else () for x in value.inputs)


def _access(value: Value, op: Op) -> Any:
    """The access by index that an operation is, if it is one with strides."""
    return None if op.indexed is None else op.indexed(_shapes(value), *value.attrs)


def _is_empty(value: Value) -> bool:
    return 0 in value.shape or any(x.__class__ is Value and 0 in x.shape for x in value.inputs)


def _is_whole(layout: Layout, shape: Shape) -> bool:
    """Whether elements lie in row-major order from the first on."""
    space, squeeze = without_ones(tuple(shape))
    return squeeze(layout) == contiguous(space)


def _parts(size: int, others: int) -> int:
    """Into how many equal parts a long dimension is cut: chunks of about `_CHUNK` elements."""
    best = 1
    for parts in range(2, min(size, 4096) + 1):
        if size % parts == 0 and size // parts * others >= _CHUNK // 2:
            best = parts
            if size // parts * others <= _CHUNK * 2:
                break
    return best
