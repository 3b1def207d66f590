"""What the layers and losses answer to the mistakes that people make:
the numbers, the line, the way out.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tidu
import tidu.nn.functional as F
from tidu import nn


def _message(error: type[Exception], call: Any) -> str:
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


def test_a_target_that_is_no_class_is_refused_at_the_call() -> None:
    target = tidu.tensor([0, 1, 7, 2])
    message = _message(IndexError, lambda: F.cross_entropy(tidu.ones(4, 5), target))
    for part in (
        "Target 7 is out of bounds",
        "element [2]",
        "5 classes",
        "[0, 4]",
        "test_mistakes.py",
        "F.cross_entropy",
    ):
        assert part in message


def test_a_target_that_is_not_known_yet_is_refused_when_the_loss_is_run() -> None:
    # A product of matrices is not run ahead to look at its numbers.
    target = (tidu.ones(4, 7) @ tidu.ones(7)).long()
    loss = F.cross_entropy(tidu.ones(4, 5), target)
    message = _message(IndexError, loss.item)
    assert "Target 7 is out of bounds" in message
    assert "loss = F.cross_entropy(tidu.ones(4, 5), target)" in message


def test_targets_below_zero_are_pointed_to_ignore_index() -> None:
    target = tidu.tensor([0, -1])
    assert "ignore_index=-1" in _message(IndexError, lambda: F.nll_loss(tidu.ones(2, 3), target))
    assert F.nll_loss(tidu.ones(2, 3), target, ignore_index=-1).item() == -1.0


def test_targets_of_the_wrong_dtype_or_shape() -> None:
    logits = tidu.ones(4, 5)
    message = _message(RuntimeError, lambda: F.cross_entropy(logits, tidu.ones(4)))
    assert "expected scalar type Long but found Float" in message
    assert "target.long()" in message
    column = tidu.ones(4, 1).long()
    assert "squeeze(1)" in _message(RuntimeError, lambda: F.cross_entropy(logits, column))


@pytest.mark.parametrize("loss", [F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss])
def test_a_prediction_that_broadcasts_is_warned_about(loss: Any) -> None:
    with pytest.warns(UserWarning, match="Using a target size") as caught:
        loss(tidu.ones(64, 1), tidu.ones(64))
    assert caught[0].filename == __file__
    message = str(caught[0].message)
    for part in (
        "torch.Size([64])",
        "torch.Size([64, 1])",
        "64 targets",
        "[64, 64]",
        "target.reshape(64, 1)",
    ):
        assert part in message
    with pytest.warns(UserWarning) as caught:
        loss(tidu.ones(64, 3), tidu.ones(3))
    assert "gradient" not in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss(tidu.ones(64, 1), tidu.ones(64, 1))


def test_what_is_no_probability_is_refused_when_the_loss_is_run() -> None:
    loss = F.binary_cross_entropy(tidu.tensor([0.5, 2.5]), tidu.tensor([1.0, 0.0]))
    message = _message(RuntimeError, loss.item)
    for part in (
        "all elements of input should be between 0 and 1",
        "2.5",
        "with_logits",
        "loss = F.binary",
    ):
        assert part in message


def test_sizes_that_differ_say_how_to_reshape() -> None:
    column, flat, longer = tidu.ones(4, 1), tidu.ones(4), tidu.ones(5)
    for loss in (F.binary_cross_entropy, F.binary_cross_entropy_with_logits):
        message = _message(ValueError, lambda: loss(column, flat))
        assert "Write target.reshape(4, 1)." in message
        message = _message(ValueError, lambda: loss(column, longer))
        assert "Write" not in message


def test_a_batch_of_one_names_the_ways_out() -> None:
    message = _message(ValueError, lambda: tidu.nn.BatchNorm1d(3)(tidu.ones(1, 3)))
    assert "drop_last=True" in message
    assert "eval()" in message


def test_channels_that_do_not_fit_name_the_dimension() -> None:
    message = _message(RuntimeError, lambda: tidu.nn.BatchNorm2d(4)(tidu.ones(2, 3, 5, 5)))
    assert "dimension 1 holds the channels" in message


def test_a_negative_variance_is_refused_when_the_loss_is_run() -> None:
    loss = F.gaussian_nll_loss(tidu.ones(3), tidu.ones(3), tidu.tensor([1.0, -1.0, 1.0]))
    assert "negative" in _message(ValueError, loss.item)


def test_softmax_without_a_dimension_warns_at_the_line_of_the_user() -> None:
    for call in (lambda: F.softmax(tidu.ones(2, 3)), lambda: tidu.nn.Softmax()(tidu.ones(2, 3))):
        with pytest.warns(UserWarning, match="Implicit dimension choice for softmax") as caught:
            call()
        assert caught[0].filename == __file__


_PLAIN = [1.0, 2.0, 3.0]
_SQUARE = tidu.ones(3, 3)
_WITHOUT_TENSORS: dict[str, Callable[[Any], Any]] = {
    "linear": nn.Linear(3, 1),
    "linear in a chain": nn.Sequential(nn.Linear(3, 1), nn.ReLU()),
    "conv1d": nn.Conv1d(1, 1, 1),
    "conv2d": nn.Conv2d(1, 1, 1),
    "layer_norm": nn.LayerNorm(3),
    "group_norm": nn.GroupNorm(1, 3),
    "relu": nn.ReLU(),
    "gelu": nn.GELU(),
    "softmax": nn.Softmax(0),
    "prelu": nn.PReLU(),
    "dropout": nn.Dropout(),
    "max_pool": nn.MaxPool2d(2),
    "avg_pool": nn.AvgPool2d(2),
    "zero_pad": nn.ZeroPad2d(1),
    "cross_entropy": lambda x: nn.CrossEntropyLoss()(x, tidu.tensor([0, 1, 2])),
    "target of cross_entropy": lambda x: nn.CrossEntropyLoss()(_SQUARE, x),
    "nll_loss": lambda x: nn.NLLLoss()(x, tidu.tensor([0, 1, 2])),
    "cosine_similarity": lambda x: nn.CosineSimilarity()(x, x),
    "normalize": F.normalize,
    "interpolate": lambda x: F.interpolate(x, 2),
}


@pytest.mark.parametrize("call", _WITHOUT_TENSORS)
@pytest.mark.parametrize("kind", ["list", "numpy.ndarray", "NoneType"])
def test_what_is_no_tensor_is_named_with_the_argument_and_the_line(call: str, kind: str) -> None:
    x = {"list": _PLAIN, "numpy.ndarray": np.array(_PLAIN), "NoneType": None}[kind]
    with pytest.raises(TypeError) as caught:
        _WITHOUT_TENSORS[call](x)
    message = str(caught.value)
    assert re.search(r"\w+\(\): argument '\w+' (\(position \d\) )?must be Tensor, not ", message)
    assert f"not {kind}" in message
    assert re.search(r"test_mistakes.py:\d+: ", message)


def test_mistakes_of_the_users_own_code_stay_what_they_are() -> None:
    class Wrong(nn.Module):
        def forward(self, x: Any) -> Any:
            return F.relu(tidu.ones(3)) + x.no_such_thing

    with pytest.raises(AttributeError, match=r"^'list' object has no attribute 'no_such_thing'$"):
        Wrong()(_PLAIN)
