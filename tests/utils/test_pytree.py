"""Nested containers taken apart and put together again."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque, namedtuple
from typing import Any

import pytest

from tidu.utils import _pytree

Pair = namedtuple("Pair", "left right")
TREES: list[tuple[Any, list[Any]]] = [
    (3, [3]),
    (None, [None]),
    ([], []),
    ([1, (2, 3), []], [1, 2, 3]),
    ({"b": 1, "a": [2]}, [1, 2]),
    (OrderedDict(z=1, a=2), [1, 2]),
    (Pair(1, Pair(2, (3,))), [1, 2, 3]),
    (deque([1, 2], maxlen=2), [1, 2]),
    (defaultdict(list, {"k": 1}), [1]),
    ("text", ["text"]),
]


@pytest.mark.parametrize(("tree", "leaves"), TREES)
def test_a_tree_is_its_leaves_and_its_structure(tree: Any, leaves: list[Any]) -> None:
    found, spec = _pytree.tree_flatten(tree)
    assert found == leaves == _pytree.tree_leaves(tree) and spec.num_leaves == len(leaves)
    rebuilt = _pytree.tree_unflatten(found, spec)
    assert rebuilt == tree and type(rebuilt) is type(tree)


def test_mapping_goes_leaf_by_leaf() -> None:
    assert _pytree.tree_map(lambda a, b: a + b, [1, {"x": 2}], [3, {"x": 4}]) == [4, {"x": 6}]
    assert _pytree.tree_map_only(int, lambda x: -x, (1, "a", [2.0])) == (-1, "a", [2.0])
    assert _pytree.tree_map(len, [[1, 2], [3]], is_leaf=lambda x: x in ([1, 2], [3])) == [2, 1]
    assert _pytree.tree_any(lambda x: x > 2, [1, (3,)])
    assert not _pytree.tree_all(lambda x: x > 2, [1, (3,)])


def test_the_number_of_leaves_has_to_fit() -> None:
    _, spec = _pytree.tree_flatten([1, 2])
    for leaves in ([1], [1, 2, 3]):
        with pytest.raises(ValueError, match="holds 2 items"):
            _pytree.tree_unflatten(leaves, spec)


def test_other_classes_can_be_containers() -> None:
    class Box:
        def __init__(self, inside: Any) -> None:
            self.inside = inside

    assert _pytree.tree_leaves(Box(1))[0].inside == 1
    _pytree.register_pytree_node(Box, lambda b: ([b.inside], None), lambda xs, _: Box(*xs))
    try:
        assert _pytree.tree_map(lambda x: x + 1, Box(1)).inside == 2
        with pytest.raises(ValueError, match="already registered"):
            _pytree.register_pytree_node(Box, lambda b: ([], None), lambda xs, _: Box(0))
    finally:
        del _pytree._containers[Box]
