"""Attention and transformers: values and gradients with every kind of mask, and errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tidu
from tests.nn.oracle import (
    assert_close,
    assert_same_answer,
    assert_same_results_and_gradients,
    both,
    pair,
    torch,
)

MASKS: dict[str, dict[str, Any]] = {
    "none": {},
    "bool": {"attn_mask": np.array([[1, 0, 1, 1, 0], [1, 1, 1, 1, 1], [0, 0, 1, 0, 1]], bool)},
    "float": {"attn_mask": np.random.default_rng(3).standard_normal((2, 1, 3, 5))},
    "blind": {"attn_mask": np.array([[0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0, 0, 1, 0, 1]], bool)},
    "causal": {"is_causal": True},
    "scaled": {"scale": 0.3},
}


def _tensors(library: Any, options: dict[str, Any]) -> dict[str, Any]:
    return {k: library.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}


@pytest.mark.parametrize("mask", MASKS)
def test_scaled_dot_product_attention(mask: str) -> None:
    rng = np.random.default_rng(0)
    leaves = [pair(rng, 2, 4, n, d) for n, d in ((3, 6), (5, 6), (5, 2))]
    results = [
        library.nn.functional.scaled_dot_product_attention(
            *(x[i] for x in leaves), **_tensors(library, MASKS[mask])
        )
        for i, library in enumerate((torch, tidu))
    ]
    nothing = (torch.nn.Identity(), tidu.nn.Identity())
    assert_same_results_and_gradients((results[0], results[1]), leaves, nothing, mask)


def test_heads_that_share_keys_and_dropout_that_draws_as_pytorch_does() -> None:
    rng = np.random.default_rng(0)
    leaves = [pair(rng, 2, heads, 3, 5) for heads in (4, 2, 2)]
    results = []
    for i, library in enumerate((torch, tidu)):
        library.manual_seed(1)
        results.append(
            library.nn.functional.scaled_dot_product_attention(
                *(x[i] for x in leaves), dropout_p=0.4, enable_gqa=True
            )
        )
    nothing = (torch.nn.Identity(), tidu.nn.Identity())
    assert_same_results_and_gradients((results[0], results[1]), leaves, nothing, "grouped")


def test_gradients_of_gradients_of_attention() -> None:
    leaves = [pair(np.random.default_rng(0), 2, 3, 4) for _ in range(3)]
    seconds = []
    for i, library in enumerate((torch, tidu)):
        inputs = [x[i] for x in leaves]
        scores = inputs[0] @ inputs[1].transpose(-2, -1) / 2.0
        if library is torch:  # its fused attention has no second derivative
            out = torch.softmax(scores, -1) @ inputs[2]
        else:
            out = tidu.nn.functional.scaled_dot_product_attention(*inputs, scale=0.5)
        first = library.autograd.grad((out**2).sum(), inputs, create_graph=True)
        seconds.append(library.autograd.grad(sum((g**2).sum() for g in first), inputs))
    for want, got in zip(*seconds, strict=True):
        assert_close(got, want)


FORMS = [
    "",
    ", batch_first=True",
    ", bias=False",
    ", kdim=4, vdim=6, add_bias_kv=True, add_zero_attn=True",
    ", dropout=0.3",
]
HEAD_MASKS: dict[str, dict[str, Any]] = {
    "none": {},
    "attn": {"attn_mask": np.array([[1, 0, 1, 0, 0], [0, 0, 0, 0, 0], [0, 0, 1, 0, 1]], bool)},
    "padding": {"key_padding_mask": np.array([[0, 0, 0, 1, 1], [0, 0, 0, 0, 1]], bool)},
    "both": {
        "attn_mask": np.random.default_rng(4).standard_normal((4, 3, 5)),
        "key_padding_mask": np.random.default_rng(5).standard_normal((2, 5)),
    },
}


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("masks", HEAD_MASKS)
@pytest.mark.parametrize("form", FORMS)
def test_multihead_attention(form: str, masks: str, need_weights: bool) -> None:
    rng = np.random.default_rng(0)
    modules = both(f"nn.MultiheadAttention(8, 2{form})")
    sizes = ((3, 8), (5, modules[0].kdim), (5, modules[0].vdim))
    leaves = [pair(rng, *((2, n, e) if modules[0].batch_first else (n, 2, e))) for n, e in sizes]
    results = []
    for i, library in enumerate((torch, tidu)):
        library.manual_seed(1)
        options = _tensors(library, HEAD_MASKS[masks])
        results.append(modules[i](*(x[i] for x in leaves), need_weights=need_weights, **options))
    assert_same_results_and_gradients((results[0], results[1]), leaves, modules, form + masks)


def test_self_attention_in_one_product() -> None:
    modules = both("nn.MultiheadAttention(8, 2, batch_first=True)")
    xs = pair(np.random.default_rng(0), 2, 3, 8)
    results = tuple(
        module(x, x, x, average_attn_weights=False) for module, x in zip(modules, xs, strict=True)
    )
    assert_same_results_and_gradients((results[0], results[1]), [xs], modules, "self")


@pytest.mark.parametrize(
    "form",
    ["", ", batch_first=True, norm_first=True, activation='gelu'", ", bias=False", ", dropout=0.2"],
)
@pytest.mark.parametrize("causal", [False, True])
def test_transformer(form: str, causal: bool) -> None:
    rng = np.random.default_rng(0)
    dropout = "" if "dropout" in form else ", dropout=0.0"
    modules = both(f"nn.Transformer(8, 2, 2, 2, 16{form}{dropout})")
    leaves = [pair(rng, 2, n, 8) if "batch_first" in form else pair(rng, n, 2, 8) for n in (3, 4)]
    results = []
    for i, library in enumerate((torch, tidu)):
        library.manual_seed(1)
        mask = (
            library.nn.Transformer.generate_square_subsequent_mask(4).double() if causal else None
        )
        options = {"tgt_mask": mask, "tgt_is_causal": True} if causal else {}
        results.append(modules[i](*(x[i] for x in leaves), **options))
    assert_same_results_and_gradients((results[0], results[1]), leaves, modules, form)


ANSWERS = """
nn.MultiheadAttention(8, 2)
nn.MultiheadAttention(8, 3)
nn.MultiheadAttention(8, 0)
nn.MultiheadAttention(8, 2)(o(3, 2, 7), o(4, 2, 8), o(4, 2, 8))
nn.MultiheadAttention(8, 2)(o(3, 2, 8), o(4, 2, 8), o(5, 2, 8))
nn.MultiheadAttention(8, 2)(o(8), o(8), o(8))
nn.MultiheadAttention(8, 2)(o(3, 2, 8), o(4, 8), o(4, 8))
[x.shape for x in nn.MultiheadAttention(8, 2)(o(3, 8), o(4, 8), o(4, 8))]
(lambda x: nn.MultiheadAttention(8, 2)(x, x, x, attn_mask=o(2, 2)))(o(3, 2, 8))
(lambda x: nn.MultiheadAttention(8, 2)(x, x, x, attn_mask=o(3, 3, 3)))(o(3, 2, 8))
(lambda x: nn.MultiheadAttention(8, 2)(x, x, x, attn_mask=o(3)))(o(3, 2, 8))
(lambda x: nn.MultiheadAttention(8, 2)(x, x, x, key_padding_mask=o(2, 2)))(o(3, 2, 8))
(lambda x: nn.MultiheadAttention(8, 2)(x, x, x, key_padding_mask=o(3)))(o(3, 2, 8))
(lambda x: nn.MultiheadAttention(8, 2)(x, x, x, key_padding_mask=o(2, 3).long()))(o(3, 2, 8))
(lambda x: nn.MultiheadAttention(8, 2)(x, x, x, is_causal=True))(o(3, 2, 8))
(lambda x: nn.MultiheadAttention(8, 2)(x, x, x, attn_mask=T.zeros(3, 3, 3).bool()))(o(3, 8))
nn.TransformerEncoderLayer(8, 2, activation='foo')
nn.TransformerEncoderLayer(8, 2)(o(8))
nn.TransformerEncoderLayer(8, 2)(o(3, 2, 8), src_mask=o(3, 3).long())
nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2), 2, nn.LayerNorm(8))
nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2), 1)
nn.Transformer(8, 2, 1, 1, 16)(o(3, 2, 8), o(4, 3, 8))
nn.Transformer(8, 2, 1, 1, 16)(o(3, 2, 8), o(4, 2, 7))
nn.Transformer(8, 2, 1, 1, 16)(o(3, 8), o(4, 8)).shape
nn.Transformer.generate_square_subsequent_mask(3)
F.scaled_dot_product_attention(o(2, 3), o(2, 3).double(), o(2, 3))
F.scaled_dot_product_attention(o(5), o(5), o(5))
F.scaled_dot_product_attention(o(2, 3), o(2, 3), o(2, 3), attn_mask=o(2, 2).long())
F.scaled_dot_product_attention(o(2, 3), o(2, 3), o(2, 3), dropout_p=2.0)
F.scaled_dot_product_attention(o(2, 4, 3, 5), o(2, 1, 6, 5), o(2, 1, 6, 7)).shape
""".strip().split("\n")


@pytest.mark.parametrize("statement", ANSWERS)
def test_answers_are_those_of_pytorch(statement: str) -> None:
    assert_same_answer(statement)


def test_a_row_that_sees_nothing_gives_zeros_and_no_gradient() -> None:
    x = tidu.ones(1, 2, 3, requires_grad=True)
    mask = tidu.tensor([[True, True], [False, False]])
    out = tidu.nn.functional.scaled_dot_product_attention(x, x, x, attn_mask=mask)
    assert out[0, 1].tolist() == [0.0, 0.0, 0.0]
    out.sum().backward()
    assert x.grad is not None and not any(map(math.isnan, x.grad.reshape(-1).tolist()))
