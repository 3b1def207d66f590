"""default_collate and default_convert give what PyTorch's give, for every kind of sample."""

from __future__ import annotations

from collections import OrderedDict, UserDict, namedtuple
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from tests.data.plain import plain

import tidu
import tidu.data

torch = pytest.importorskip("torch")
torch_data = pytest.importorskip("torch.utils.data")

LIBRARIES = ((torch, torch_data), (tidu, tidu.data))
Point = namedtuple("Point", "x y")

BATCHES: dict[str, Callable[[Any], Any]] = {
    "floats": lambda L: [1.5, 2.5],
    "integers": lambda L: [1, 2],
    "booleans": lambda L: [True, False],
    "strings": lambda L: ["a", "b"],
    "bytes": lambda L: [b"a", b"b"],
    "tensors": lambda L: [L.ones(2), L.zeros(2)],
    "scalars": lambda L: [L.tensor(1), L.tensor(2)],
    "dtypes differ": lambda L: [L.ones(2), L.ones(2, dtype=L.float64)],
    "shapes differ": lambda L: [L.ones(2), L.ones(3)],
    "ranks differ": lambda L: [L.ones(2), L.ones(2, 1)],
    "float32 arrays": lambda L: [np.ones((2, 2), np.float32), np.zeros((2, 2), np.float32)],
    "transposed arrays": lambda L: [np.arange(6).reshape(2, 3).T, np.arange(6).reshape(3, 2)],
    "0-d arrays": lambda L: [np.array(1.5), np.array(2.5)],
    "uint8 arrays": lambda L: [np.arange(3, dtype=np.uint8)] * 2,
    "bool arrays": lambda L: [np.array([True]), np.array([False])],
    "arrays of shapes": lambda L: [np.ones(2), np.ones(3)],
    "arrays of dtypes": lambda L: [np.ones(2), np.ones(2, np.float32)],
    "string arrays": lambda L: [np.array(["a"]), np.array(["b"])],
    "object arrays": lambda L: [np.array([None]), np.array([None])],
    "numpy floats": lambda L: [np.float32(1), np.float32(2)],
    "numpy doubles": lambda L: [np.float64(1), np.float64(2)],
    "numpy integers": lambda L: [np.int16(1), np.int16(2)],
    "numpy booleans": lambda L: [np.bool_(True), np.bool_(False)],
    "tuples": lambda L: [(1, 2.0), (3, 4.0)],
    "lists": lambda L: [[1, "a"], [3, "b"]],
    "nested": lambda L: [{"a": (1, [2.0])}, {"a": (3, [4.0])}],
    "dicts": lambda L: [{"a": 1, "b": L.ones(2)}, {"b": L.zeros(2), "a": 2}],
    "ordered dicts": lambda L: [OrderedDict(b=1, a=2), OrderedDict(b=3, a=4)],
    "user dicts": lambda L: [UserDict(a=1), UserDict(a=2)],
    "mapping proxies": lambda L: [MappingProxyType({"a": 1}), MappingProxyType({"a": 2})],
    "keys differ": lambda L: [{"a": 1}, {"b": 2}],
    "named tuples": lambda L: [Point(1, 2.0), Point(3, 4.0)],
    "ranges": lambda L: [range(2), range(2)],
    "sizes differ": lambda L: [[1, 2], [3]],
    "None": lambda L: [None, None],
    "sets": lambda L: [{1}, {2}],
    "objects": lambda L: [object(), object()],
    "no samples": lambda L: [],
    "empty lists": lambda L: [[], []],
    "one sample": lambda L: [(L.ones(1), 3)],
}


def outcome(function: Callable[[Any], Any], batch: Any) -> Any:
    try:
        return plain(function(batch))
    except Exception as error:
        return type(error)


@pytest.mark.parametrize("name", BATCHES)
def test_batches_are_those_of_pytorch(name: str) -> None:
    expected, found = (outcome(D.default_collate, BATCHES[name](L)) for L, D in LIBRARIES)
    assert found == expected


@pytest.mark.parametrize("name", BATCHES)
def test_conversions_are_those_of_pytorch(name: str) -> None:
    if name == "objects":
        pytest.skip("the objects themselves come back")
    expected, found = (outcome(D.default_convert, BATCHES[name](L)) for L, D in LIBRARIES)
    assert found == expected


def test_collating_is_part_of_the_tape() -> None:
    x = tidu.ones(2).requires_grad_()
    tidu.data.default_collate([x * 2, x * 3]).sum().backward()
    assert x.grad.tolist() == [5, 5]


def test_which_samples_are_in_a_batch_is_not_part_of_a_program() -> None:
    x = tidu.arange(12.0).reshape(6, 2)
    weight = tidu.ones(2).requires_grad_()
    structures = []
    for rows in ([0, 1], [3, 5], [4, 2]):
        batch = tidu.data.default_collate([x[i] for i in rows])
        tidu.realize()
        structures.append(structure_of(lambda batch=batch: (batch @ weight).sum()))
    assert len(set(structures)) == 1


def structure_of(function: Callable[[], Any]) -> Any:
    result = function()
    key, _, _ = tidu.execute.region_key(tidu.execute.cut(tidu.ir.value.pending.take()))
    return key, result is None


def test_types_of_users_can_be_registered() -> None:
    class Name(str):
        pass

    table = {**tidu.data.collate.default_collate_fn_map}
    table = {Name: lambda batch, *, collate_fn_map: "+".join(batch), **table}
    collated = tidu.data.collate.collate([(Name("a"), 1), (Name("b"), 2)], collate_fn_map=table)
    assert collated[0] == "a+b"
    assert collated[1].tolist() == [1, 2]


def test_messages_say_what_to_do() -> None:
    with pytest.raises(TypeError, match=r"found <class 'NoneType'>\. Pass a collate_fn"):
        tidu.data.default_collate([None])
    with pytest.raises(RuntimeError, match=r"the sizes are \[1, 2\]: pad the samples"):
        tidu.data.default_collate([[1, 2], [1]])
