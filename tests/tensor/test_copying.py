"""Copies by `copy.copy`, `copy.deepcopy` and pickling: what shares memory with what, as in
PyTorch.
"""

from __future__ import annotations

import copy
import pickle

import pytest

import tidu


def test_deep_copies_of_tensors_that_share_memory_share_memory() -> None:
    base = tidu.arange(6.0)
    copied, view = copy.deepcopy([base, base[2:4]])
    view.fill_(9.0)
    assert copied.tolist() == [0.0, 1.0, 9.0, 9.0, 4.0, 5.0]
    assert base.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_the_deep_copy_of_a_view_is_written_without_the_original() -> None:
    base = tidu.arange(6.0).view(2, 3)
    view = copy.deepcopy(base.t()[1:])
    view[0] = -1.0
    assert view.tolist() == [[-1.0, -1.0], [2.0, 5.0]]
    assert base.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]


def test_a_shallow_copy_is_another_leaf_on_the_same_memory() -> None:
    x = tidu.ones(2, requires_grad=True)
    (x * 2).sum().backward()
    copied = copy.copy(x)
    assert copied.requires_grad and copied.grad is None and copied.is_leaf
    copied.data.fill_(3.0)
    assert x.tolist() == [3.0, 3.0]


def test_a_shallow_copy_keeps_the_class_and_the_attributes_of_the_user() -> None:
    parameter = tidu.nn.Parameter(tidu.ones(1))
    parameter.tag = [1]  # type: ignore[attr-defined]
    copied = copy.copy(parameter)
    assert type(copied) is tidu.nn.Parameter
    assert copied.tag is parameter.tag  # type: ignore[attr-defined]


def test_a_pickle_of_a_tensor_with_history_is_a_leaf() -> None:
    x = tidu.ones(2, requires_grad=True)
    loaded = pickle.loads(pickle.dumps(x * 2))
    assert loaded.is_leaf and loaded.requires_grad and loaded.tolist() == [2.0, 2.0]


def test_pickles_name_no_module_of_tensor_classes() -> None:
    pickled = pickle.dumps((tidu.ones(1), tidu.nn.Parameter(tidu.ones(1)), tidu.Size([2])))
    assert b"tidu.nn" not in pickled and b"torch" not in pickled
    tensor, parameter, size = pickle.loads(pickled)
    assert type(tensor) is tidu.Tensor and type(parameter) is tidu.nn.Parameter
    assert type(size) is tidu.Size


def test_a_deep_copy_of_a_parameter_has_no_gradient_and_one_of_another_leaf_has() -> None:
    for library in (tidu, pytest.importorskip("torch")):
        layer = library.nn.Linear(2, 1)
        leaf = library.ones(1, 2, requires_grad=True)
        layer(leaf).sum().backward()
        copied = copy.deepcopy([layer, layer.weight, leaf])
        assert copied[0].weight is copied[1]
        assert copied[1].grad is None
        assert copied[2].grad.tolist() == leaf.grad.tolist()
        with library.no_grad():
            copied[1].zero_()
        assert layer.weight.abs().sum() > 0
