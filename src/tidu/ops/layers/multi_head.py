"""Attention of several heads with the projections around it:
the function behind nn.MultiheadAttention.
"""

from __future__ import annotations

import math
from typing import Any

from tidu.base import dtypes
from tidu.base.source import in_one_place, warn
from tidu.ir.op import function
from tidu.ops.activations.dropout import dropout
from tidu.ops.activations.softmax import softmax_
from tidu.ops.cast import cast
from tidu.ops.elementwise import where
from tidu.ops.layers.attention import scaled_dot_product_attention
from tidu.ops.linear_algebra.contract import matmul
from tidu.ops.linear_algebra.linear import linear_function
from tidu.ops.moving.joining import cat_
from tidu.ops.moving.movement import expand, permute, reshape, slice_along, swap
from tidu.ops.reductions.reduce import mean
from tidu.ops.sources import full


def canonical_mask(
    mask: Any, name: str, other: Any, other_name: str, d: Any, check_other: bool = True
) -> Any:
    """A mask as numbers to be added: a bool one, True where not to look, becomes -inf and 0."""
    if mask is None:
        return None
    if mask.dtype is not dtypes.bool_ and not mask.dtype.is_floating_point:
        raise AssertionError(f"only bool and floating types of {name} are supported")
    if check_other and other is not None and mask.dtype is not other.dtype:
        warn(
            f"Support for mismatched {name} and {other_name} is deprecated. Use same type for both "
            "instead."
        )
    if mask.dtype.is_floating_point:
        return mask
    return where(mask, full(-math.inf, (), d), full(0.0, (), d))


def _check_shapes(
    query: Any, key: Any, value: Any, key_padding_mask: Any, attn_mask: Any, num_heads: int
) -> bool:
    """Whether there is a batch dimension; AssertionError where the ranks do not fit together."""
    rank = len(query.shape)
    if rank not in (2, 3):
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor but received {rank}-D query tensor"
        )
    kind = "batched (3-D)" if rank == 3 else "unbatched (2-D)"
    if len(key.shape) != rank or len(value.shape) != rank:
        raise AssertionError(
            f"For {kind} `query`, expected `key` and `value` to be {rank}-D but found "
            f"{len(key.shape)}-D and {len(value.shape)}-D tensors respectively"
        )
    if key_padding_mask is not None and len(key_padding_mask.shape) != rank - 1:
        raise AssertionError(
            f"For {kind} `query`, expected `key_padding_mask` to be `None` or {rank - 1}-D but "
            f"found {len(key_padding_mask.shape)}-D tensor instead"
        )
    if attn_mask is not None and len(attn_mask.shape) not in (2, 3):
        raise AssertionError(
            f"For {kind} `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found "
            f"{len(attn_mask.shape)}-D tensor instead"
        )
    if rank == 2 and attn_mask is not None and len(attn_mask.shape) == 3:
        expected = (num_heads, query.shape[0], key.shape[0])
        if tuple(attn_mask.shape) != expected:
            raise AssertionError(
                f"Expected `attn_mask` shape to be {expected} but got {attn_mask.shape}"
            )
    return rank == 3


def _project(
    query: Any,
    key: Any,
    value: Any,
    weights: Any,
    separate: tuple[Any, Any, Any] | None,
    biases: Any,
    embed_dim: int,
) -> list[Any]:
    """Query, key and value through their input projections;
    in one product where they are the same tensor.
    """
    if separate is None and query is key and key is value:
        projected = linear_function(query, weights, biases)
        return [_part(projected, i, embed_dim, -1) for i in range(3)]
    if separate is None:
        separate = tuple(_part(weights, i, embed_dim, 0) for i in range(3))
    assert separate is not None
    parts = [None] * 3 if biases is None else [_part(biases, i, embed_dim, 0) for i in range(3)]
    return [
        linear_function(x, w, b)
        for x, w, b in zip((query, key, value), separate, parts, strict=True)
    ]


def _part(x: Any, number: int, size: int, dim: int) -> Any:
    return slice_along(x, dim, number * size, (number + 1) * size)


def _heads(x: Any, batch: int, num_heads: int) -> Any:
    """(L, N, E) as (N, h, L, E/h)."""
    length = x.shape[0]
    return permute(reshape(x, (length, batch, num_heads, -1)), (1, 2, 0, 3))


def _one_more(mask: Any) -> Any:
    """A mask for one more position at the end of the keys, which everybody sees."""
    if mask is None:
        return None
    return cat_((mask, full(0.0, (*mask.shape[:-1], 1), mask.dtype)), len(mask.shape) - 1)


def _checked_attn_mask(mask: Any, batch: int, num_heads: int, length: int, source: int) -> Any:
    """A mask (L, S) or (N · h, L, S) in a shape that broadcasts to (N, h, L, S)."""
    if mask is None:
        return None
    rank = len(mask.shape)
    if rank not in (2, 3):
        raise RuntimeError(f"attn_mask's dimension {rank} is not supported")
    expected = (length, source) if rank == 2 else (batch * num_heads, length, source)
    if tuple(mask.shape) != expected:
        raise RuntimeError(
            f"The shape of the {rank}D attn_mask is {mask.shape}, but should be {expected}."
        )
    return reshape(
        mask, (1, 1, length, source) if rank == 2 else (batch, num_heads, length, source)
    )


def _check_sizes(
    embed_dim: int, expected: int, num_heads: int, key: Any, value: Any, separate: bool
) -> None:
    """AssertionError unless the embedding fits the heads, and the values the keys."""
    if embed_dim != expected:
        raise AssertionError(
            f"was expecting embedding dimension of {expected}, but got {embed_dim}"
        )
    if embed_dim % num_heads:
        raise AssertionError(f"embed_dim {embed_dim} not divisible by num_heads {num_heads}")
    if separate and tuple(key.shape[:2]) != tuple(value.shape[:2]):
        raise AssertionError(
            f"key's sequence and batch dims {key.shape[:2]} do not match value's {value.shape[:2]}"
        )
    if not separate and tuple(key.shape) != tuple(value.shape):
        raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}")


def _with_padding(mask: Any, padding: Any, batch: int, keys: int) -> Any:
    """A mask of scores (N, h, L, S), or None, with the mask of keys (N, S) added."""
    for dim, expected in enumerate((batch, keys)):
        if padding.shape[dim] != expected:
            raise AssertionError(
                f"Expected key_padded_mask.shape[{dim}] to be {expected}, but got "
                f"{padding.shape[dim]}"
            )
    padding = reshape(padding, (batch, 1, 1, keys))
    return padding if mask is None else mask + padding


def _attention_with_weights(q: Any, k: Any, v: Any, mask: Any, drop: float) -> tuple[Any, Any]:
    """As `scaled_dot_product_attention`, also giving the weights (N, h, L, S)."""
    scores = matmul(q * math.sqrt(1.0 / q.shape[-1]), swap(k, -2, -1))
    weights = softmax_(scores if mask is None else scores + mask, (3,))
    weights = dropout(weights, drop) if drop > 0.0 else weights
    return matmul(weights, v), weights


def _batch_of_one(query: Any, key: Any, value: Any) -> tuple[Any, Any, Any]:
    """(L, E) as (L, 1, E); what is the same tensor stays so, for one product to project."""
    made = {id(x): reshape(x, (x.shape[0], 1, x.shape[1])) for x in (query, key, value)}
    return made[id(query)], made[id(key)], made[id(value)]


@function("torch.nn.functional.multi_head_attention_forward")
@in_one_place
def multi_head_attention_forward(
    query: Any,
    key: Any,
    value: Any,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Any,
    in_proj_bias: Any,
    bias_k: Any,
    bias_v: Any,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Any,
    out_proj_bias: Any,
    training: bool = True,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Any = None,
    k_proj_weight: Any = None,
    v_proj_weight: Any = None,
    static_k: Any = None,
    static_v: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Any, Any]:
    """The attention of `num_heads` heads:
    query (L, N, E), key and value (S, N, …), or each without N.

    Returns the output (L, N, E) and, if `need_weights`, the weights (N, L, S), averaged over the
    heads unless `average_attn_weights` is False. In a bool mask True means not to look; a float
    mask is added. Raises AssertionError or RuntimeError for shapes and dtypes that do not fit
    (Vaswani et al., 2017).
    """
    batched = _check_shapes(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        query, key, value = _batch_of_one(query, key, value)
        if key_padding_mask is not None:
            key_padding_mask = reshape(key_padding_mask, (1, -1))
    length, batch, embed_dim = query.shape
    if is_causal and attn_mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. You may use the Transformer module "
            "method `generate_square_subsequent_mask` to create this mask."
        )
    _check_sizes(embed_dim, embed_dim_to_check, num_heads, key, value, use_separate_proj_weight)

    key_padding_mask = canonical_mask(
        key_padding_mask, "key_padding_mask", attn_mask, "attn_mask", query.dtype
    )
    hint = is_causal and key_padding_mask is None and not need_weights
    mask = (
        None
        if hint
        else canonical_mask(attn_mask, "attn_mask", None, "", query.dtype, check_other=False)
    )
    mask = _checked_attn_mask(mask, batch, num_heads, length, key.shape[0])

    separate = (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else None
    q, k, v = _project(query, key, value, in_proj_weight, separate, in_proj_bias, embed_dim)
    if bias_k is not None and bias_v is not None:
        k, v = (
            cat_((x, expand(b, (1, batch, embed_dim))), 0) for x, b in ((k, bias_k), (v, bias_v))
        )
        mask, key_padding_mask = _one_more(mask), _one_more(key_padding_mask)
    q, k, v = (
        _heads(x, batch, num_heads)
        if static is None
        else reshape(static, (batch, num_heads, -1, static.shape[-1]))
        for x, static in ((q, None), (k, static_k), (v, static_v))
    )
    if add_zero_attn:
        k, v = (cat_((x, full(0.0, (*x.shape[:2], 1, x.shape[3]), x.dtype)), 2) for x in (k, v))
        mask, key_padding_mask = _one_more(mask), _one_more(key_padding_mask)
    if key_padding_mask is not None:
        mask = _with_padding(mask, key_padding_mask, batch, k.shape[2])
    if mask is not None and mask.dtype is not q.dtype:
        mask = cast(mask, q.dtype)

    drop = dropout_p if training else 0.0
    if need_weights:
        attended, weights = _attention_with_weights(q, k, v, mask, drop)
    else:
        attended, weights = scaled_dot_product_attention(q, k, v, mask, drop, hint), None
    attended = reshape(permute(attended, (2, 0, 1, 3)), (length * batch, embed_dim))
    output = linear_function(attended, out_proj_weight, out_proj_bias)
    output = reshape(
        output, (length, batch, output.shape[1]) if batched else (length, output.shape[1])
    )
    if weights is not None:
        weights = mean(weights, 1) if average_attn_weights else weights
        weights = weights if batched else reshape(weights, tuple(weights.shape[1:]))
    return output, weights
