"""The operations, one file a family, each declared whole;
importing this package fills the registry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tidu.ir.op import PLAIN, Op
from tidu.ir.value import Value
from tidu.ops import cast, elementwise, sources, updates
from tidu.ops.activations import dropout, rectifiers, slope, smooth, softmax
from tidu.ops.elementwise import blending, one_operand, two_operands
from tidu.ops.images import channels, grid_sample, interpolation, resampling
from tidu.ops.indexing import (
    along,
    arrays,
    bounds,
    order_statistics,
    scattering,
    searching,
    selection,
    sorting,
)
from tidu.ops.layers import (
    attention,
    channel_norm,
    embedding,
    embedding_bag,
    group_statistics,
    gru,
    local_response,
    lstm,
    multi_head,
    native,
    normalization,
    packed,
    recurrent,
    recurrent_samples,
    rnn,
    root_mean_square,
    standardize,
)
from tidu.ops.linear_algebra import (
    chains,
    contract,
    einsum,
    factorization,
    factors,
    inverses,
    kernels,
    least_squares,
    linear,
    matrices,
    products,
    solvers,
)
from tidu.ops.losses import (
    binary,
    class_margin,
    classification,
    ctc,
    distance,
    margin,
    negative_log_likelihood,
    reduction,
    regression,
)
from tidu.ops.moving import (
    arranging,
    copies,
    grids,
    joining,
    movement,
    padding,
    sections,
    shaping,
    strided,
    triangles,
)
from tidu.ops.reductions import (
    calculus,
    extremes,
    norms,
    places,
    product,
    reduce,
    scan,
    statistics,
    total_norm,
    variance,
)
from tidu.ops.special import error_function, gamma, higher, wide
from tidu.ops.windows import (
    adaptive,
    average_pools,
    blocks,
    columns,
    convolution,
    convolution_gradients,
    convolving,
    max_pooling,
    max_pools,
    max_positions,
    mean_pooling,
    pool_windows,
    sliding,
)


def _operator(op: Op) -> Callable[[Value, Any], Any]:
    def forward(x: Value, y: Any) -> Any:
        # Beside a Tensor, its own reflected operator takes over.
        return op.value((x, y)) if y.__class__ in PLAIN else NotImplemented

    return forward


def _bind_operators() -> None:
    """Give Value the operators with which derivatives and decompositions are written."""
    e = elementwise
    operators = {
        "add": e.add,
        "sub": e.sub,
        "mul": e.mul,
        "truediv": e.div,
        "pow": e.pow_,
        "floordiv": e.floor_divide,
        "mod": e.remainder,
        "and": e.bitwise_and,
        "or": e.bitwise_or,
        "xor": e.bitwise_xor,
        "matmul": contract.matmul,
    }
    for name, op in operators.items():
        setattr(Value, f"__{name}__", _operator(op))
        setattr(Value, f"__r{name}__", lambda x, y, op=op: op.value((y, x)))
    for name, op in {
        "eq": e.eq,
        "ne": e.ne,
        "lt": e.lt,
        "le": e.le,
        "gt": e.gt,
        "ge": e.ge,
    }.items():
        setattr(Value, f"__{name}__", _operator(op))
    Value.__neg__ = lambda x: e.neg(x)  # type: ignore[method-assign]
    setattr(Value, "__invert__", lambda x: e.bitwise_not(x))  # noqa: B010 (mypy reads ~type)
    Value.__hash__ = object.__hash__  # type: ignore[method-assign]
    Value.to = lambda x, d: cast.cast(x, d)  # type: ignore[attr-defined]


_bind_operators()
