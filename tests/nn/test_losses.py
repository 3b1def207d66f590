"""Losses, as functions and as layers, beside PyTorch's."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import tidu
from tests.nn.numeric import compare
from tests.nn.oracle import assert_same_answer

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")

# x, y: (4, 5); p, q: probabilities of that shape; s: signs; c: class indices; w: weights (5).
STATEMENTS = """
F.mse_loss(x, y, reduction=R)
F.mse_loss(x, y, reduction=R, weight=p)
F.mse_loss(x, y[:1], reduction=R)
F.l1_loss(x, y, reduction=R)
F.l1_loss(x, y, reduction=R, weight=p)
F.smooth_l1_loss(x, y, reduction=R)
F.smooth_l1_loss(x, y, reduction=R, beta=0.3)
F.smooth_l1_loss(x, y, reduction=R, beta=0)
F.huber_loss(x, y, reduction=R)
F.huber_loss(x, y, reduction=R, delta=0.3)
F.huber_loss(x, y, reduction=R, weight=p)
F.binary_cross_entropy(p, q, reduction=R)
F.binary_cross_entropy(p, q, W, reduction=R)
F.binary_cross_entropy_with_logits(x, q, reduction=R)
F.binary_cross_entropy_with_logits(x, q, W, reduction=R)
F.binary_cross_entropy_with_logits(x, q, reduction=R, pos_weight=W)
F.binary_cross_entropy_with_logits(x, q, W, pos_weight=W * 3, reduction=R)
F.nll_loss(x, c, reduction=R)
F.nll_loss(x, c, W, reduction=R)
F.nll_loss(x, c, W, ignore_index=2, reduction=R)
F.nll_loss(x[0], c[0], reduction=R)
F.nll_loss(x, c.to(T.uint8), reduction=R)
F.cross_entropy(x, c, reduction=R)
F.cross_entropy(x, c, W, reduction=R)
F.cross_entropy(x, c, ignore_index=2, reduction=R)
F.cross_entropy(x, c, W, ignore_index=4, reduction=R, label_smoothing=0.2)
F.cross_entropy(x, c, reduction=R, label_smoothing=0.2)
F.cross_entropy(x, q, reduction=R)
F.cross_entropy(x, q, W, reduction=R, label_smoothing=0.2)
F.cross_entropy(x[0], c[0], reduction=R)
F.cross_entropy(x[0], c[0], reduction=R, label_smoothing=0.1)
F.cross_entropy(x[0], q[0], reduction=R)
F.cross_entropy(z, d, reduction=R)
F.cross_entropy(z, d, W[:3], reduction=R, ignore_index=1)
F.cross_entropy(z, d, W[:3], reduction=R, ignore_index=1, label_smoothing=0.3)
F.cross_entropy(z, z.softmax(1), reduction=R, label_smoothing=0.3)
F.cross_entropy(z[..., 0], d[..., 0], reduction=R)
F.cross_entropy(z[..., None], d[..., None], reduction=R)
F.nll_loss(z, d, reduction=R)
F.kl_div(x, q, reduction=R)
F.kl_div(x, y, reduction=R, log_target=True)
F.poisson_nll_loss(x, p * 3, reduction=R)
F.poisson_nll_loss(p, q * 3, log_input=False, reduction=R)
F.poisson_nll_loss(x, p * 3, full=True, reduction=R)
F.gaussian_nll_loss(x, y, p, reduction=R)
F.gaussian_nll_loss(x, y, p, full=True, eps=0.4, reduction=R)
F.gaussian_nll_loss(x, y, p[:, :1], reduction=R)
F.gaussian_nll_loss(x, y, p[:, 0], reduction=R)
F.gaussian_nll_loss(x, y, 0.7, reduction=R)
F.hinge_embedding_loss(x, s, reduction=R)
F.hinge_embedding_loss(x, s, 0.3, reduction=R)
F.margin_ranking_loss(x, y, s, reduction=R)
F.margin_ranking_loss(x, y, s, 0.5, reduction=R)
F.soft_margin_loss(x, s.to(x.dtype), reduction=R)
F.multilabel_soft_margin_loss(x, q, reduction=R)
F.multilabel_soft_margin_loss(x, q, W, reduction=R)
F.multi_margin_loss(x, c, reduction=R)
F.multi_margin_loss(x, c, 2, 0.5, W, reduction=R)
F.multi_margin_loss(x[0], c[0], reduction=R)
F.multilabel_margin_loss(x, l, reduction=R)
F.multilabel_margin_loss(x[0], l[0], reduction=R)
F.cosine_embedding_loss(x, y, s[:, 0], reduction=R)
F.cosine_embedding_loss(x, y, s[:, 0], 0.4, reduction=R)
F.cosine_embedding_loss(x[0], y[0], s[0, 0], reduction=R)
F.triplet_margin_loss(x, y, p, reduction=R)
F.triplet_margin_loss(x, y, p, 0.5, p=1, swap=True, reduction=R)
F.triplet_margin_loss(x, y, p, 3.0, p=3, reduction=R)
F.triplet_margin_with_distance_loss(x, y, p, reduction=R)
F.triplet_margin_with_distance_loss(x, y, p, swap=True, distance_function=F.cosine_similarity)
F.ctc_loss(t.log_softmax(2), u, [6, 5], [3, 2], reduction=R)
F.ctc_loss(t.log_softmax(2), u[:, :2].reshape(-1), T.tensor([6, 6]), T.tensor([1, 3]), reduction=R)
F.ctc_loss(t.log_softmax(2), u, [2, 6], [3, 2], reduction=R, zero_infinity=True)
F.ctc_loss(t[:, 0].log_softmax(1), u[1], [6], [3], blank=2, reduction=R)
F.ctc_loss(t.log_softmax(2), u, [2, 6], [3, 2], reduction=R)
""".strip().splitlines()

PLAIN = """
F.kl_div(x, q, reduction='batchmean')
F.kl_div(x, y, reduction='batchmean', log_target=True)
F.cosine_similarity(x, y)
F.cosine_similarity(x, y, dim=0)
F.cosine_similarity(x[:, None], y, dim=-1)
F.pairwise_distance(x, y)
F.pairwise_distance(x, y, p=1, keepdim=True)
F.pairwise_distance(x, y, p=3)
F.pairwise_distance(x, y, p=float('inf'))
F.pairwise_distance(x[0], y[0])
F.pdist(x)
F.pdist(x, 1)
T.cosine_similarity(x, y)
T.pairwise_distance(x, y, 2.0)
F.cross_entropy(x, c, size_average=False)
F.mse_loss(x, y, reduce=False)
F.mse_loss(x, y, None, None, 'sum')
nn.MSELoss()(x, y)
nn.L1Loss(reduction='sum')(x, y)
nn.SmoothL1Loss(beta=0.5)(x, y)
nn.HuberLoss(delta=0.5)(x, y)
nn.BCELoss(W)(p, q)
nn.BCEWithLogitsLoss(pos_weight=W)(x, q)
nn.NLLLoss(W, ignore_index=2)(x, c)
nn.CrossEntropyLoss(W, label_smoothing=0.1)(x, c)
nn.CrossEntropyLoss(reduction='none')(z, d)
nn.CrossEntropyLoss(size_average=False)(x, c)
nn.KLDivLoss(reduction='batchmean')(x, q)
nn.KLDivLoss(log_target=True)(x, y)
nn.PoissonNLLLoss(full=True)(x, p)
nn.GaussianNLLLoss()(x, y, p)
nn.HingeEmbeddingLoss(0.5)(x, s)
nn.MarginRankingLoss(0.5)(x, y, s)
nn.SoftMarginLoss()(x, s.to(x.dtype))
nn.MultiLabelSoftMarginLoss()(x, q)
nn.MultiMarginLoss(weight=W)(x, c)
nn.MultiLabelMarginLoss()(x, l)
nn.CosineEmbeddingLoss(0.1)(x, y, s[:, 0])
nn.TripletMarginLoss(swap=True)(x, y, p)
nn.TripletMarginWithDistanceLoss()(x, y, p)
nn.CTCLoss()(t.log_softmax(2), u, [6, 5], [3, 2])
nn.CosineSimilarity()(x, y)
nn.PairwiseDistance(1)(x, y)
""".strip().splitlines()


def _arrays(statement: str) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {
        "x": rng.standard_normal((4, 5)),
        "y": rng.standard_normal((4, 5)),
        "p": rng.random((4, 5)) * 0.8 + 0.1,
        "q": rng.random((4, 5)) * 0.8 + 0.1,
        "s": rng.choice([-1, 1], (4, 5)),
        "c": np.array([1, 2, 0, 4]),
        "z": rng.standard_normal((2, 3, 4, 2)),
        "d": rng.integers(0, 3, (2, 4, 2)),
        "l": np.array([[1, 2, -1, 0, 0], [3, -1, 1, 1, 1], [-1, 0, 0, 0, 0], [4, 3, 2, 1, 0]]),
        "t": rng.standard_normal((6, 2, 4)),
        "u": np.array([[1, 2, 3], [1, 1, 3]]),
    }
    words = set(re.findall(r"\w+", statement))
    return {name: array for name, array in arrays.items() if name in words}


WEIGHT = "T.arange(1, 6).to({like}.dtype)"


def _filled(statement: str, reduction: str = "") -> str:
    """The statement with its weights and its reduction written out."""
    like = next((name for name in ("x", "z", "p") if name in _arrays(statement)), "")
    statement = re.sub(r"\bW\b", WEIGHT.format(like=like), statement)
    return statement.replace("=R", f"='{reduction}'")


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("statement", STATEMENTS)
def test_values_and_derivatives(statement: str, reduction: str) -> None:
    compare(_filled(statement, reduction), _arrays(statement), names="gaussian" not in statement)


@pytest.mark.parametrize("statement", PLAIN)
def test_layers_and_other_forms(statement: str) -> None:
    compare(_filled(statement), _arrays(statement))


@pytest.mark.parametrize(
    "statement", [s for s in STATEMENTS if not re.search("ctc|multi_margin|multilabel_margin", s)]
)
def test_halves(statement: str) -> None:
    compare(_filled(statement, "mean"), _arrays(statement), dtype="bfloat16", order=1, names=False)


@pytest.mark.parametrize("statement", [s for s in STATEMENTS if "ctc" not in s])
def test_single_precision(statement: str) -> None:
    compare(_filled(statement, "mean"), _arrays(statement), dtype="float32", order=1)


LOGITS = np.array([-np.inf, np.inf, -1e4, 1e4, -200.0, 200.0, -30, 30, 0.0, np.nan])
EXTREME = [
    ("F.binary_cross_entropy_with_logits(x, y, "
     "reduction='none')", LOGITS, np.array([1, 1, 1, 1, 0, 0, 0.5, 0.5, 1, 0.0])),
    ("F.binary_cross_entropy(x, y, "
     "reduction='none')", np.array([0.0, 1, 0, 1, 1e-30, 0.5]), np.array([0.0, 1, 1, 0, 1, 0.5])),
    ("F.mse_loss(x, y)", LOGITS, LOGITS[::-1].copy()),
    ("F.l1_loss(x, y, reduction='none')", LOGITS, LOGITS[::-1].copy()),
    ("F.smooth_l1_loss(x, y, reduction='none')", LOGITS, LOGITS[::-1].copy()),
    ("F.huber_loss(x, y, reduction='none')", LOGITS, LOGITS[::-1].copy()),
    ("F.kl_div(x, y.detach(), reduction='none')", np.zeros(4), np.array([0.0, 1, -1, np.nan])),
    ("F.cross_entropy(x.reshape(5, 2), T.tensor([0, 1, 0, 1, 0]), "
     "reduction='none')", LOGITS, LOGITS),
    ("F.cross_entropy(x.reshape(2, 5), T.tensor([0, 1]), reduction='none')", LOGITS, LOGITS),
    ("F.cosine_similarity(x, y, 0)", np.zeros(3), np.array([1.0, 2, 3])),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "x", "y"), EXTREME)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_extreme_numbers(statement: str, x: Any, y: Any, dtype: str) -> None:
    compare(statement, {"x": x.astype(float), "y": y.astype(float)}, dtype=dtype, order=1)


def test_nothing_counts_where_all_is_ignored() -> None:
    for reduction in ("mean", "sum", "none"):
        statement = f"F.cross_entropy(x, c, ignore_index=3, reduction='{reduction}')"
        compare(statement, {"x": np.ones((4, 5)), "c": np.full(4, 3)}, order=1)
    assert_same_answer("F.cross_entropy(o(0, 5), T.zeros(0).long())")
    assert_same_answer("F.cross_entropy(o(0, 5), T.zeros(0).long(), reduction='sum')")
    assert_same_answer("F.mse_loss(o(0), o(0))")


ANSWERS = """
F.cross_entropy(o(4, 5), o(4))
F.cross_entropy(o(4, 5), o(4, 6))
F.cross_entropy(o(4, 5), o(4, 5).long())
F.cross_entropy(o(4, 5), o(4).int())
F.cross_entropy(o(4, 5), o(4).bool())
F.cross_entropy(o(4, 5), o(4).long() * 5)
F.cross_entropy(o(4, 5), -o(4).long())
F.cross_entropy(o(4, 5), o(3).long())
F.cross_entropy(o(5), o(4).long())
F.cross_entropy(T.tensor(1.), T.tensor(0))
F.cross_entropy(o(2, 3, 4), o(2, 5).long())
F.cross_entropy(o(2, 3, 4), o(2).long())
F.cross_entropy(o(2, 3, 4, 5), o(2, 4, 6).long())
F.cross_entropy(o(2, 3, 4, 5, 6), o(2, 4, 6, 6).long())
F.cross_entropy(o(4, 5), o(4).long(), weight=o(3))
F.cross_entropy(o(4, 5), o(4).long(), weight=o(5).double())
F.cross_entropy(o(4, 5), o(4).long(), weight=o(5).long())
F.cross_entropy(o(4, 5), o(4).long(), weight=o(5).requires_grad_())
F.cross_entropy(o(4, 5), o(4, 5), weight=o(3))
F.cross_entropy(o(4, 5), o(4, 5), ignore_index=3)
F.cross_entropy(o(4, 5), o(4, 5).double()).dtype
F.cross_entropy(o(4, 5), o(4).long(), label_smoothing=1.5)
F.cross_entropy(o(4, 5), o(4).long(), label_smoothing=-0.5)
F.cross_entropy(o(4, 5), o(4).long(), reduction='foo')
F.cross_entropy(o(4, 5).long(), o(4).long())
F.nll_loss(o(4, 5), o(4))
F.nll_loss(o(4, 5), o(4).long() * 7)
F.nll_loss(o(4, 5), o(4).long() * 7, ignore_index=7)
F.nll_loss(o(4, 5), o(3).long())
F.nll_loss(T.tensor(1.), T.tensor(0))
F.nll_loss(o(4, 5), o(4, 1).long())
F.nll_loss(o(5), T.tensor([2]))
F.nll_loss(o(5), T.tensor(-100))
F.nll_loss(o(5), T.tensor(-100), reduction='sum')
F.nll_loss(o(2, 3, 4, 5), T.full((2, 4, 5), 7))
F.mse_loss(o(4, 5), o(6))
F.mse_loss(o(4), o(4).double())
F.mse_loss(o(4), o(4).long())
F.mse_loss(o(4).long(), o(4).long())
F.mse_loss(o(4), o(4), reduction='foo')
F.mse_loss(o(4), o(4), weight=o(3))
F.l1_loss(o(4), o(4), weight=o(3))
F.l1_loss(o(4), o(4).long())
F.huber_loss(o(4), o(4), weight=o(3))
F.huber_loss(o(4), o(4).double()).dtype
F.huber_loss(o(4), o(4).long())
F.huber_loss(o(4).long(), o(4).long())
F.huber_loss(o(4), o(4), delta=0)
F.smooth_l1_loss(o(4), o(4), beta=-1)
F.smooth_l1_loss(o(4).long(), o(4).long())
F.smooth_l1_loss(o(4), o(4).double()).dtype
F.binary_cross_entropy(o(4, 1), o(4))
F.binary_cross_entropy(o(4) * 2, o(4))
F.binary_cross_entropy(o(4), o(4) * 2)
F.binary_cross_entropy(o(1) * float('nan'), o(1))
F.binary_cross_entropy(o(4), o(4).double())
F.binary_cross_entropy(o(4), o(4).long())
F.binary_cross_entropy(o(4).long(), o(4))
F.binary_cross_entropy(o(4), o(4), weight=o(4).requires_grad_())
F.binary_cross_entropy(T.tensor([0., 1., 0., 1.]), T.tensor([0., 1., 1., 0.]), reduction='none')
F.binary_cross_entropy_with_logits(o(4, 1), o(4))
F.binary_cross_entropy_with_logits(o(4), o(4).double()).dtype
F.binary_cross_entropy_with_logits(o(4), o(4).long())
F.binary_cross_entropy_with_logits(o(4).long(), o(4))
F.binary_cross_entropy_with_logits(o(4), o(4), pos_weight=o(4).requires_grad_())
F.kl_div(o(4, 5), o(4, 5).long())
F.kl_div(o(4, 5), o(4, 5), reduction='foo')
F.gaussian_nll_loss(o(4, 5), o(4, 5), -o(4, 5))
F.gaussian_nll_loss(o(4, 5), o(4, 5), -2.0)
F.gaussian_nll_loss(o(4, 5), o(4, 5), o(3))
F.gaussian_nll_loss(o(4, 5), o(4, 5), o(4, 5), reduction='foo')
F.poisson_nll_loss(o(4), o(4), reduction='foo')
F.margin_ranking_loss(o(4, 5), o(4, 5), o(4))
F.cosine_embedding_loss(o(4, 5), o(4, 5), o(4, 5))
F.cosine_embedding_loss(o(2, 3, 4), o(2, 3, 4), o(2))
F.triplet_margin_loss(o(4, 5), o(4, 5), o(4, 5), margin=-1)
F.triplet_margin_with_distance_loss(o(4, 5), o(4, 5), o(5))
F.triplet_margin_with_distance_loss(o(4, 5), o(4, 5), o(4, 5), margin=-1)
F.multi_margin_loss(o(4, 5), o(4).long(), p=3)
F.multi_margin_loss(o(4, 5), o(4).long(), weight=o(3))
F.multi_margin_loss(o(4, 5), o(4).long() * 7)
F.multi_margin_loss(o(4, 5), o(4))
F.multi_margin_loss(o(4, 5), o(3).long())
F.multilabel_margin_loss(o(4, 5), o(4, 5).long() * 7)
F.multilabel_margin_loss(o(4, 5), o(4, 5))
F.multilabel_margin_loss(o(4, 5), o(4, 3).long())
F.soft_margin_loss(o(4, 5), o(3))
F.soft_margin_loss(o(4), -o(4).long())
F.cosine_similarity(o(4, 5), o(4, 5), dim=3)
F.cosine_similarity(o(4, 5).long(), o(4, 5).long())
F.pairwise_distance(o(3, 4), o(2, 4))
F.normalize(o(3).long(), dim=0)
F.pdist(o(3))
F.ctc_loss(o(5, 2, 4), o(2, 3).long(), (5, 5), (3, 2), blank=9)
F.ctc_loss(o(5, 2, 4), o(2, 3).long(), (5,), (3, 2))
F.ctc_loss(o(5, 2, 4), o(2, 3).long(), (5, 5), (3,))
F.ctc_loss(o(5, 2, 4), o(2, 3).long(), T.tensor([5., 5.]), T.tensor([3., 2.]))
F.ctc_loss(o(5, 2, 4).log_softmax(2), o(2, 3).long(), (0, 5), (0, 2), reduction='none')
nn.MultiMarginLoss(p=3)
nn.MultiMarginLoss(weight=o(2, 2))
nn.TripletMarginLoss(margin=-1)
nn.TripletMarginWithDistanceLoss(margin=-1)
nn.TripletMarginWithDistanceLoss()
nn.CrossEntropyLoss(weight=o(3))
nn.CrossEntropyLoss(weight=o(3)).state_dict()
nn.BCEWithLogitsLoss(pos_weight=o(3)).state_dict()
nn.CrossEntropyLoss().weight
nn.CrossEntropyLoss(reduction='foo')
nn.NLLLoss2d()
nn.CTCLoss(zero_infinity=True)
nn.PairwiseDistance().norm
""".strip().splitlines()


@pytest.mark.parametrize("statement", ANSWERS)
def test_answers(statement: str) -> None:
    assert_same_answer(statement)


def test_lengths_that_do_not_fit_are_named() -> None:
    log_probs, targets = tidu.zeros(5, 2, 4), tidu.ones(2, 3).long()
    with pytest.raises(
        RuntimeError, match="input_lengths to have value at most 5, but got value 6"
    ):
        tidu.nn.functional.ctc_loss(log_probs, targets, (6, 5), (3, 2))
    with pytest.raises(
        RuntimeError, match="target_lengths to have value at least 0, but got value -1"
    ):
        tidu.nn.functional.ctc_loss(log_probs, targets, (5, 5), (-1, 2))
