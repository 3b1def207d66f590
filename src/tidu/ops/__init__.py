"""The operations, one file a family, each declared whole; importing this package fills the
registry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tidu.ir.op import PLAIN, Op
from tidu.ir.value import Value
from tidu.ops import (
    activation,
    adaptive,
    arranging,
    attention,
    binary_loss,
    blending,
    calculus,
    cast,
    class_margin,
    classification,
    contract,
    convolution,
    convolving,
    ctc,
    distance,
    dropout,
    einsum,
    elementary,
    elementwise,
    embedding,
    embedding_bag,
    extremes,
    factorization,
    gamma_functions,
    indexing,
    interpolation,
    least_squares,
    linear_algebra,
    loss,
    margin,
    matrices,
    matrix_factors,
    movement,
    multi_head,
    native,
    normalization,
    norms,
    padding,
    pointwise,
    pooling,
    pools,
    products,
    rectifier,
    recurrent,
    reduce,
    reduction,
    resampling,
    sampling,
    scan,
    scattering,
    selection,
    shaping,
    shuffling,
    softmax,
    solvers,
    sorting,
    sources,
    special,
    special_functions,
    standardize,
    statistics,
    strided,
    total_norm,
    triangular,
    updates,
    wide,
    windows,
)

__all__ = [
    "activation",
    "adaptive",
    "arranging",
    "attention",
    "binary_loss",
    "blending",
    "calculus",
    "cast",
    "class_margin",
    "classification",
    "contract",
    "convolution",
    "convolving",
    "ctc",
    "distance",
    "dropout",
    "einsum",
    "elementary",
    "elementwise",
    "embedding",
    "embedding_bag",
    "extremes",
    "factorization",
    "gamma_functions",
    "indexing",
    "interpolation",
    "least_squares",
    "linear_algebra",
    "loss",
    "margin",
    "matrices",
    "matrix_factors",
    "movement",
    "multi_head",
    "native",
    "normalization",
    "norms",
    "padding",
    "pointwise",
    "pooling",
    "pools",
    "products",
    "rectifier",
    "recurrent",
    "reduce",
    "reduction",
    "resampling",
    "sampling",
    "scan",
    "scattering",
    "selection",
    "shaping",
    "shuffling",
    "softmax",
    "solvers",
    "sorting",
    "sources",
    "special",
    "special_functions",
    "standardize",
    "statistics",
    "strided",
    "total_norm",
    "triangular",
    "updates",
    "wide",
    "windows",
]


def _operator(op: Op) -> Callable[[Value, Any], Any]:
    def forward(x: Value, y: Any) -> Any:
        # Beside a Tensor, its own reflected operator takes over.
        return op.value((x, y)) if y.__class__ in PLAIN else NotImplemented

    return forward


def _bind_operators() -> None:
    """Give Value the operators with which derivatives and decompositions are written."""
    e = elementwise
    binary = {
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
    for name, op in binary.items():
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
