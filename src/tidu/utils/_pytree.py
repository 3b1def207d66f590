"""Nested containers as a list of their leaves and a description of the rest.

Lists, tuples, named tuples, dicts (also ordered and default ones) and deques are containers;
everything else, None included, is a leaf.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

__all__ = [
    "TreeSpec", "register_pytree_node", "tree_all", "tree_any", "tree_flatten", "tree_iter",
    "tree_leaves", "tree_map", "tree_map_", "tree_map_only", "tree_structure", "tree_unflatten",
]  # fmt: skip

Context = Any
# Takes a container apart: (children, context); puts children together again.
Flatten = Callable[[Any], tuple[list[Any], Context]]
Unflatten = Callable[[Iterable[Any], Context], Any]


def _named_tuple(x: Any) -> bool:
    return isinstance(x, tuple) and hasattr(x, "_fields")


_containers: dict[type, tuple[Flatten, Unflatten]] = {
    list: (lambda x: (list(x), None), lambda xs, _: list(xs)),
    tuple: (lambda x: (list(x), None), lambda xs, _: tuple(xs)),
    dict: (
        lambda x: (list(x.values()), list(x)),
        lambda xs, keys: dict(zip(keys, xs, strict=True)),
    ),
    OrderedDict: (
        lambda x: (list(x.values()), list(x)),
        lambda xs, keys: OrderedDict(zip(keys, xs, strict=True)),
    ),
    defaultdict: (
        lambda x: (list(x.values()), (x.default_factory, list(x))),
        lambda xs, how: defaultdict(how[0], zip(how[1], xs, strict=True)),
    ),
    deque: (lambda x: (list(x), x.maxlen), lambda xs, size: deque(xs, maxlen=size)),
}
_NAMED_TUPLE: tuple[Flatten, Unflatten] = (
    lambda x: (list(x), type(x)),
    lambda xs, kind: kind(*xs),
)


def _container(x: Any) -> tuple[Flatten, Unflatten] | None:
    return _NAMED_TUPLE if _named_tuple(x) else _containers.get(type(x))


def register_pytree_node(
    cls: type, flatten_fn: Flatten, unflatten_fn: Unflatten, **names: Any
) -> None:
    """Have instances of `cls` count as containers."""
    if cls in _containers:
        raise ValueError(f"{cls} is already registered as pytree node.")
    _containers[cls] = flatten_fn, unflatten_fn


@dataclass(frozen=True)
class TreeSpec:
    """The containers around leaves: `type` is None for a leaf itself."""

    type: type | None
    context: Context
    children_specs: tuple[TreeSpec, ...]

    @property
    def num_leaves(self) -> int:
        """How many leaves there are."""
        return 1 if self.type is None else sum(c.num_leaves for c in self.children_specs)

    def is_leaf(self) -> bool:
        """Whether there is no container."""
        return self.type is None

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """`leaves` inside these containers."""
        return tree_unflatten(leaves, self)


_LEAF = TreeSpec(None, None, ())


def tree_flatten(
    tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> tuple[list[Any], TreeSpec]:
    """The leaves of `tree` from left to right, and what is around them.

    >>> leaves, spec = tree_flatten({"a": 1, "b": [2, 3]})
    >>> leaves
    [1, 2, 3]
    """
    leaves: list[Any] = []

    def describe(x: Any) -> TreeSpec:
        container = None if is_leaf is not None and is_leaf(x) else _container(x)
        if container is None:
            leaves.append(x)
            return _LEAF
        children, context = container[0](x)
        return TreeSpec(type(x), context, tuple([describe(child) for child in children]))

    return leaves, describe(tree)


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> Any:
    """The tree that `treespec` describes, of other leaves; ValueError for too many or too few."""
    leaves = list(leaves)
    if len(leaves) != treespec.num_leaves:
        raise ValueError(
            f"tree_unflatten(leaves, treespec): `leaves` has length {len(leaves)} but the spec "
            f"refers to a pytree that holds {treespec.num_leaves} items ({treespec})."
        )
    rest = iter(leaves)

    def build(spec: TreeSpec) -> Any:
        if spec.type is None:
            return next(rest)
        named = issubclass(spec.type, tuple) and spec.type is not tuple
        _, together = _NAMED_TUPLE if named else _containers[spec.type]
        return together([build(child) for child in spec.children_specs], spec.context)

    return build(treespec)


def tree_leaves(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """The leaves of `tree`."""
    return tree_flatten(tree, is_leaf)[0]


tree_iter = tree_leaves


def tree_structure(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> TreeSpec:
    """What is around the leaves of `tree`."""
    return tree_flatten(tree, is_leaf)[1]


def tree_map(
    func: Callable[..., Any],
    tree: Any,
    *rests: Any,
    is_leaf: Callable[[Any], bool] | None = None,
) -> Any:
    """`tree` with ``func(leaf, *leaves of rests at the same place)`` in the place of each leaf."""
    leaves, spec = tree_flatten(tree, is_leaf)
    others = [tree_leaves(rest, is_leaf) for rest in rests]
    return tree_unflatten(map(func, leaves, *others), spec)


def tree_map_(func: Callable[..., Any], tree: Any, *rests: Any) -> Any:
    """Call `func` for the leaves as `tree_map` does, and return `tree`."""
    tree_map(func, tree, *rests)
    return tree


def tree_map_only(
    kind: type | tuple[type, ...] | Callable[[Any], bool], func: Callable[[Any], Any], tree: Any
) -> Any:
    """`tree` with `func` applied to the leaves of a type (or those that `kind` says yes to)."""
    if isinstance(kind, (type, tuple)):
        wanted: Callable[[Any], bool] = lambda x: isinstance(x, kind)  # noqa: E731
    else:
        wanted = kind
    return tree_map(lambda x: func(x) if wanted(x) else x, tree)


def tree_all(pred: Callable[[Any], bool], tree: Any) -> bool:
    """Whether `pred` holds for all leaves."""
    return all(map(pred, tree_leaves(tree)))


def tree_any(pred: Callable[[Any], bool], tree: Any) -> bool:
    """Whether `pred` holds for some leaf."""
    return any(map(pred, tree_leaves(tree)))
