"""`vmap`, and the models that it maps over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tidu.base.random.generator import default_generator
from tidu.nn import Module
from tidu.tensor import Tensor, namespaces
from tidu.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

stack = namespaces["torch"]["stack"]


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """A function that maps `func` over a dimension of its arguments, and stacks the results.

    in_dims     which dimension of each argument (a number, or nested as the arguments are); None
                for an argument that all calls share
    out_dims    where the new dimension stands in the results
    randomness  "same" lets every call draw the same numbers, "different" its own; in "error" mode
                RuntimeError follows where it draws any
    `func` is called once for each element, in order; `chunk_size` changes nothing.

    >>> vmap(torch.dot)(torch.ones(3, 2), torch.ones(3, 2))
    tensor([2., 2., 2.])
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(
            "Only allowed values for randomness are 'error', 'different', or 'same'. Got "
            f"{randomness}"
        )

    def mapped(*args: Any, **kwargs: Any) -> Any:
        leaves, spec = tree_flatten(args)
        dims = _matched(in_dims, args, len(leaves))
        size = _mapped_size(leaves, dims)
        state = default_generator.get_state()
        rows = []
        for place in range(size):
            if randomness == "same":
                default_generator.set_state(state)
            picked = [
                x if dim is None else x.select(dim, place)
                for x, dim in zip(leaves, dims, strict=True)
            ]
            rows.append(func(*tree_unflatten(picked, spec), **kwargs))
        if randomness == "error" and (default_generator.get_state() != state).any():
            default_generator.set_state(state)
            raise RuntimeError(
                "vmap: called random operation while in randomness error mode. Please either use "
                "the 'same' or 'different' randomness flags on vmap or perform the randomness "
                "operation out of vmap"
            )
        return _stacked(rows, out_dims)

    return mapped


def _matched(dims: Any, args: tuple[Any, ...], count: int) -> list[Any]:
    """The dimension for each leaf of the arguments: `dims` may stop short of their nesting."""
    if dims is None or isinstance(dims, int):
        found = [dims] * count
    else:
        if len(dims) != len(args):
            raise ValueError(
                f"vmap: in_dims {dims} is not compatible with the structure of inputs: there are "
                f"{len(args)} arguments"
            )
        found = _spread(tuple(dims), args)
    return found


def _spread(dims: Any, tree: Any) -> list[Any]:
    if dims is None or isinstance(dims, int):
        return [dims] * len(tree_leaves(tree))
    parts = (
        zip(dims.values(), tree.values(), strict=True)
        if isinstance(dims, dict)
        else zip(dims, tree, strict=True)
    )
    return [dim for part, inner in parts for dim in _spread(part, inner)]


def _mapped_size(leaves: list[Any], dims: list[Any]) -> int:
    for x, dim in zip(leaves, dims, strict=True):
        if dim is not None and not isinstance(x, Tensor):
            raise ValueError(
                f"vmap: got in_dim={dim} for an input that is of type {type(x).__name__} and not a "
                "Tensor; in_dims of None shares it among all calls"
            )
    sizes = [x.shape[dim] for x, dim in zip(leaves, dims, strict=True) if dim is not None]
    if not sizes:
        raise ValueError(
            "vmap: got no mapped dimension: in_dims is None for every argument, so there is "
            "nothing to map over"
        )
    if len(set(sizes)) > 1:
        raise ValueError(
            "vmap: Expected all tensors to have the same size in the mapped dimension, got sizes "
            f"{sizes} for the mapped dimension"
        )
    if sizes[0] == 0:
        raise ValueError("vmap: the mapped dimension is empty, and the results would have no shape")
    return int(sizes[0])


def _stacked(rows: list[Any], out_dims: Any) -> Any:
    _, spec = tree_flatten(rows[0])
    columns = list(zip(*(tree_leaves(row) for row in rows), strict=True))
    dims = _spread(out_dims, rows[0])
    for column in columns:
        if not isinstance(column[0], Tensor):
            raise ValueError(
                f"vmap: the mapped function must only return Tensors, got type {type(column[0])}"
            )
    stacked = (
        column[0] if dim is None else stack(column, dim)
        for column, dim in zip(columns, dims, strict=True)
    )
    return tree_unflatten(stacked, spec)


def stack_module_state(
    models: Sequence[Module],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters and the buffers of models of one class, each stacked along a new first
    dimension, for `vmap` over `functional_call`.
    """
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if len({type(model) for model in models}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    if len({model.training for model in models}) > 1:
        raise RuntimeError(
            "stack_module_state: Expected all models to have the same training/eval mode."
        )
    tables = [dict(model.named_parameters()) for model in models]
    parameters = {
        name: stack([table[name] for table in tables]).detach().requires_grad_(first.requires_grad)
        for name, first in tables[0].items()
    }
    buffers = [dict(model.named_buffers()) for model in models]
    return parameters, {name: stack([table[name] for table in buffers]) for name in buffers[0]}
