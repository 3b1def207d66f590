"""Scaled dot-product attention, one operation on the tape."""

from __future__ import annotations

import math
from typing import Any

from tidu.base import dtypes
from tidu.base.random.generator import default_generator
from tidu.base.shapes import Shape, broadcast
from tidu.base.strides import Operands, Strides, strides_like
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ir.precision import in_lower_precision
from tidu.ir.value import leaf
from tidu.ops.activations.dropout import dropout_
from tidu.ops.cast import cast
from tidu.ops.elementwise import eq, exp, ge, where
from tidu.ops.linear_algebra.contract import matmul
from tidu.ops.moving.movement import expand, reshape, swap
from tidu.ops.reductions.reduce import amax, sum_
from tidu.ops.rules import ends_at, laid_as
from tidu.ops.sources import arange_

_NAMES = {
    "float32": "float", "float64": "double", "float16": "c10::Half", "bfloat16": "c10::BFloat16",
    "int64": "long int", "int32": "int", "bool": "bool",
}  # fmt: skip


def _infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    query, key, value, mask = inputs[:4]
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise RuntimeError(
            f"scaled_dot_product_attention: the query {list(query.shape)} and the key "
            f"{list(key.shape)} must agree in their last dimension, the key and the value "
            f"{list(value.shape)} in the one before it"
        )
    leading = broadcast(
        "scaled_dot_product_attention", *(x.shape[:-2] for x in (query, key, value))
    )
    scores = (*leading, query.shape[-2], key.shape[-2])
    if mask is not None and broadcast("scaled_dot_product_attention", mask.shape, scores) != scores:
        raise RuntimeError(
            f"scaled_dot_product_attention: attn_mask of shape {list(mask.shape)} does not "
            f"broadcast to the scores {list(scores)} (…, query length, key length)"
        )
    shapes = ((*leading, query.shape[-2], value.shape[-1]), scores)
    return inputs, shapes, (query.dtype, query.dtype)  # type: ignore[return-value]


def _attention(
    query: Any,
    key: Any,
    value: Any,
    mask: Any,
    kept: Any,
    keep_scale: Any,
    scale: float,
    is_causal: bool,
) -> tuple[Any, Any]:
    scores = matmul(query * scale, swap(key, -2, -1))  # (…, L, S)
    if mask is not None:
        scores = where(mask, scores, -math.inf) if mask.dtype is dtypes.bool_ else scores + mask
    if is_causal:
        rows, columns = scores.shape[-2:]
        positions = arange_(0, 1, columns, dtypes.int64)
        seen = ge(reshape(arange_(0, 1, rows, dtypes.int64), (rows, 1)), positions)
        scores = where(seen, scores, -math.inf)
    weights = _softmax(scores, mask is not None)
    used = weights if kept is None else dropout_(weights, kept, keep_scale)
    return matmul(used, value), weights


def _softmax(scores: Any, may_be_empty: bool) -> Any:
    """Over the last dimension.

    A row of nothing but -inf gives zeros, where a plain softmax gives NaN.
    """
    if 0 in scores.shape:
        return scores
    last = (len(scores.shape) - 1,)
    top = amax(scores, last, True)
    if may_be_empty:
        top = where(eq(top, -math.inf), 0.0, top)
    powers = exp(scores - top)
    total = sum_(powers, last, True)
    return powers / (where(eq(total, 0.0), 1.0, total) if may_be_empty else total)


def _vjp(
    g: Any,
    out: Any,
    query: Any,
    key: Any,
    value: Any,
    mask: Any,
    kept: Any,
    keep_scale: Any,
    scale: float,
    is_causal: bool,
) -> tuple[Any, ...]:
    (g_out, g_weights), (result, weights) = g, out
    last = (len(weights.shape) - 1,)
    if g_out is None:
        g_out = result * 0.0
    g_scores = matmul(g_out, swap(value, -2, -1))
    used = weights
    if kept is not None:
        g_scores, used = dropout_(g_scores, kept, keep_scale), dropout_(weights, kept, keep_scale)
    # Σ over a row of weights · their cotangents, by way of the shorter rows of the result.
    mean = sum_(g_out * result, last, True)
    if g_weights is not None:
        g_scores, mean = g_scores + g_weights, mean + sum_(g_weights * weights, last, True)
    g_scores = weights * (g_scores - mean)
    scaled = g_scores * scale
    return (
        matmul(scaled, key),
        matmul(swap(scaled, -2, -1), query),
        matmul(swap(used, -2, -1), g_out),
        g_scores,
        None,
        None,
    )


def _samples() -> list[Sample]:
    plain = (Array((2, 3, 4, 6)), Array((2, 3, 5, 6)), Array((2, 3, 5, 2)))
    return [
        Sample((*plain, None, None, 1.0, 0.4, False)),
        Sample((*plain, None, None, 1.0, 0.4, True)),
        Sample((*plain, Array((4, 5), dtype="bool"), None, 1.0, 0.4, False)),
        Sample((*plain, Array((2, 1, 4, 5)), None, 1.0, 0.4, False)),
        Sample((*(Array((3, 2)),) * 3, None, Array((3, 3), dtype="bool"), 2.0, 1.0, False)),
        Sample(
            (Array((2, 1, 2, 3)), Array((3, 4, 3)), Array((3, 4, 2)), None, None, 1.0, 0.5, False)
        ),
    ]


def _reference(
    torch: Any,
    query: Any,
    key: Any,
    value: Any,
    mask: Any,
    kept: Any,
    keep_scale: float,
    scale: float,
    is_causal: bool,
) -> Any:
    scores = (query * scale) @ key.mT
    if mask is not None:
        scores = (
            scores.masked_fill(~mask, -torch.inf) if mask.dtype is torch.bool else scores + mask
        )
    if is_causal:
        scores = scores.masked_fill(
            torch.ones(scores.shape[-2:], dtype=torch.bool).tril().logical_not(), -torch.inf
        )
    blind = (scores == -torch.inf).all(-1, keepdim=True)
    weights = torch.softmax(scores.masked_fill(blind, 0.0), -1).masked_fill(blind, 0.0)
    return (weights if kept is None else weights * kept * keep_scale) @ value, weights


def _strides(shape: Shape, operands: Operands, attrs: tuple[Any, ...]) -> Strides | None:
    """The result lies as the query does, where the features of each position lie side by side."""
    own, strides = operands[0]
    by_features = all(strides[-1] == 1 for _, strides in operands[:3])
    return strides_like(shape, strides) if own == shape and by_features else None


# softmax(scale · query · keyᵀ + mask) · value, and the softmax itself, which the derivative reads.
attention = in_lower_precision(
    define(
        "scaled_dot_product_attention",
        inputs="query key value attn_mask kept keep_scale",
        attrs="scale is_causal",
        kind="composite",
        strides=_strides,
        infer=_infer,
        decompose=_attention,
        vjp=_vjp,
        outputs=2,
        grad_name="ScaledDotProductFlashAttentionForCpuBackward0",
        ends=ends_at(0, 1, 2),
        samples=_samples,
        dtypes="float",
        reference=_reference,
        tolerance=4.0,
    )
)


def _check(query: Any, key: Any, value: Any, mask: Any, dropout_p: float) -> None:
    if min(len(query.shape), len(key.shape), len(value.shape)) < 2:
        raise RuntimeError(
            "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: "
            f"{len(query.shape)} key.dim: {len(key.shape)} and value.dim: {len(value.shape)} "
            f"instead."
        )
    if query.dtype is not key.dtype or query.dtype is not value.dtype:
        names = [_NAMES.get(x.dtype.name, x.dtype.name) for x in (query, key, value)]
        raise RuntimeError(
            "Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{names[0]} key.dtype: {names[1]} and value.dtype: {names[2]} instead."
        )
    if not query.dtype.is_floating_point:
        raise RuntimeError(
            f"scaled_dot_product_attention: expected scalar type Float but found {query.dtype}"
        )
    if mask is not None and mask.dtype not in (dtypes.bool_, dtypes.float32, query.dtype):
        raise RuntimeError(
            "Expected attn_mask dtype to be bool or float or to match query dtype, but got "
            "attn_mask.dtype: "
            f"{_NAMES.get(mask.dtype.name, mask.dtype.name)} and  query.dtype: "
            f"{_NAMES.get(query.dtype.name, query.dtype.name)} instead."
        )
    if not 0.0 <= dropout_p <= 1.0:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {dropout_p:g}")


def _repeat_heads(x: Any, heads: int) -> Any:
    """Each head of (…, h, S, D) as often as it takes to have `heads` of them,
    neighbors together.
    """
    h, rows, columns = x.shape[-3:]
    if heads % h:
        raise RuntimeError(
            f"Number of heads in key and value must divide the number of heads in query, but got "
            f"{h} and {heads}"
        )
    leading = tuple(x.shape[:-3])
    repeated = expand(
        reshape(x, (*leading, h, 1, rows, columns)), (*leading, h, heads // h, rows, columns)
    )
    return reshape(repeated, (*leading, heads, rows, columns))


def _grad_name(rank: int, kept: Any) -> str:
    """The last node that PyTorch records: of one function, or of the products."""
    if rank == 4 and kept is None:
        return "ScaledDotProductFlashAttentionForCpuBackward0"
    return "MmBackward0" if rank == 2 else "UnsafeViewBackward0"


@function("torch.nn.functional.scaled_dot_product_attention")
def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """softmax(scale · query · keyᵀ + mask) · value:
    (…, L, E), (…, S, E) and (…, S, V) give (…, L, V).

    `attn_mask` broadcasts to (…, L, S): a bool one lets through where it is True, a float one is
    added. `is_causal` lets position i see positions up to i. `scale` is 1/√E if None. `dropout_p`
    drops attention weights, whatever the mode. With `enable_gqa` heads of key and value serve
    several of the query. A row that sees nothing gives zeros. Raises RuntimeError for dtypes or
    shapes that do not fit (Vaswani et al., 2017).

    >>> q = torch.zeros(1, 2, 3)
    >>> torch.nn.functional.scaled_dot_product_attention(q, q, torch.ones(1, 2, 4)).shape
    torch.Size([1, 2, 4])
    """
    _check(query, key, value, attn_mask, dropout_p)
    if is_causal and attn_mask is not None:
        raise RuntimeError(
            "_scaled_dot_product_attention: Explicit attn_mask should not be set when "
            "is_causal=True; put both into the mask"
        )
    if enable_gqa:
        heads = query.shape[-3]
        key, value = _repeat_heads(key, heads), _repeat_heads(value, heads)
    if (
        attn_mask is not None
        and attn_mask.dtype is not dtypes.bool_
        and attn_mask.dtype is not query.dtype
    ):
        attn_mask = cast(attn_mask, query.dtype)
    kept, keep_scale = None, 1.0
    if dropout_p > 0.0:
        leading = broadcast("attention", *(tuple(x.shape[:-2]) for x in (query, key, value)))
        shape = (*leading, query.shape[-2], key.shape[-2])
        kept = leaf(default_generator.bernoulli(shape, 1.0 - dropout_p), dtypes.bool_)
        keep_scale = 1.0 / (1.0 - dropout_p) if dropout_p < 1.0 else 0.0
    if scale is None:
        scale = 1.0 / math.sqrt(query.shape[-1]) if query.shape[-1] else 1.0
    arguments = (query, key, value, attn_mask, kept, keep_scale, float(scale), bool(is_causal))
    result = attention.named(_grad_name(len(query.shape), kept), *arguments)[0]
    return result if kept is None else laid_as(result, None)
