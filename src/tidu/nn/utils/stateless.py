"""Calling a module with other parameters than its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tidu.nn.module import Module
from tidu.tensor import Tensor


def _tables(module: Module) -> dict[str, tuple[dict[str, Any], str]]:
    """For each dotted name of a parameter or buffer the table that holds it, and its name there."""
    found = {}
    for prefix, part in module.named_modules(remove_duplicate=False):
        for table in (part._parameters, part._buffers):
            for name, tensor in table.items():
                if tensor is not None:
                    found[f"{prefix}.{name}" if prefix else name] = (table, name)
    return found


@contextmanager
def _reparametrize_module(
    module: Module,
    parameters_and_buffers: Mapping[str, Tensor],
    *,
    tie_weights: bool = False,
    strict: bool = False,
) -> Iterator[None]:
    """A block in which the named parameters and buffers of `module` are the given tensors."""
    tables = _tables(module)
    given = dict(parameters_and_buffers)
    if tie_weights:
        names: dict[int, list[str]] = {}
        for name, (table, own_name) in tables.items():
            names.setdefault(id(table[own_name]), []).append(name)
        for tied in names.values():
            chosen = [name for name in tied if name in given]
            if len({id(given[name]) for name in chosen}) > 1:
                raise ValueError(
                    f"functional_call got multiple values for keys {sorted(chosen)}, which are "
                    "tied. Consider using tie_weights=False"
                )
            for name in tied if chosen else ():
                given[name] = given[chosen[0]]
    if strict:
        _check_names(module, set(given), set(tables))
    replaced = []
    try:
        for name, tensor in given.items():
            if name in tables:
                table, own_name = tables[name]
                replaced.append((table, own_name, table[own_name]))
                table[own_name] = tensor
        yield
    finally:
        for table, own_name, tensor in reversed(replaced):
            table[own_name] = tensor


def _check_names(module: Module, given: set[str], known: set[str]) -> None:
    errors = []
    for kind, names in (("Unexpected", given - known), ("Missing", known - given)):
        if names:
            errors.append(f"{kind} key(s): {', '.join(map(repr, sorted(names)))}.")
    if errors:
        listed = "\n\t".join(errors)
        raise RuntimeError(f"Error(s) in reparametrizing for {type(module).__name__}:\n\t{listed}")


def functional_call(
    module: Module,
    parameters_and_buffers: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call `module` with the named parameters and buffers in the place of its own.

    Names that are tied in the module are replaced together unless `tie_weights` is False. Raises
    RuntimeError with `strict` for names that are missing or not expected.

    >>> layer = torch.nn.Linear(2, 2, bias=False)
    >>> functional_call(layer, {"weight": torch.eye(2)}, torch.ones(1, 2))
    tensor([[1., 1.]])
    """
    if not isinstance(parameters_and_buffers, Mapping):
        merged: dict[str, Tensor] = {}
        for part in parameters_and_buffers:
            for name in part:
                if name in merged:
                    raise ValueError(f"{name} appears in several of the dictionaries")
            merged.update(part)
        parameters_and_buffers = merged
    arguments = () if args is None else args if isinstance(args, tuple) else (args,)
    with _reparametrize_module(
        module, parameters_and_buffers, tie_weights=tie_weights, strict=strict
    ):
        return module(*arguments, **(kwargs or {}))
