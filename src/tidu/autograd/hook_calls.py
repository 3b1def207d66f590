"""Calls of hooks during a backward pass.

Hooks are code of the user's: what they compute, and what goes wrong there, carries their own lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tidu.autograd.cotangents import as_tensor, as_value, fitted
from tidu.autograd.tape import GradFn, Tape, Watchers
from tidu.base.source import at
from tidu.base.state import state


def run_tensor_hooks(
    node: GradFn, watchers: Watchers, cotangents: list[Any], create_graph: bool
) -> None:
    """Hooks on tensors: each sees the whole gradient of its tensor and may replace it.

    After them it is kept for the tensors that asked for it with retain_grad().
    """
    state.own.position = None
    for output, hooks in watchers.tensors.items():
        if cotangents[output] is None:
            continue
        g = as_tensor(cotangents[output])
        for hook in list(hooks.values()):
            g = _replacement(node, hook, g, hook(g))
        cotangents[output] = as_value(g, create_graph)
    for output, reference in watchers.retained.items():
        tensor = reference()
        if tensor is not None and cotangents[output] is not None:
            g = as_tensor(cotangents[output])
            tensor._grad = g if tensor._grad is None else tensor._grad + g


def _replacement(node: GradFn, hook: Any, g: Any, answer: Any) -> Any:
    """What a hook made of a gradient: another one like it, or the same if it returned None."""
    if answer is None:
        return g
    name = _name_of(hook)
    if not isinstance(answer, Tape.tensor):
        raise TypeError(
            f"expected Variable, but hook returned '{type(answer).__name__}': hook '{name}' must "
            f"return a tensor or None{at(node.position)}"
        )
    if g is None:
        return answer
    if tuple(answer.shape) != tuple(g.shape):
        raise RuntimeError(
            f"hook '{name}' has changed the size of value: the gradient has shape "
            f"{list(g.shape)}, the hook returned {list(answer.shape)}{at(node.position)}"
        )
    if answer.dtype is not g.dtype:
        raise RuntimeError(
            f"hook '{name}' has changed the type of value: the gradient is {g.dtype}, the hook "
            f"returned {answer.dtype}{at(node.position)}"
        )
    return answer


def _name_of(hook: Any) -> str:
    name: str = getattr(hook, "__name__", type(hook).__name__)
    return name


def run_node_pre_hooks(
    node: GradFn, watchers: Watchers, cotangents: list[Any], create_graph: bool
) -> list[Any]:
    """Hooks before a node: each sees the cotangents of its results and may replace them."""
    state.own.position = None
    grads = tuple(map(as_tensor, cotangents))
    for hook in list(watchers.before.values()):
        grads = _replacements(node, hook, grads, hook(grads))
    return [as_value(g, create_graph) for g in grads]


def run_node_hooks(
    node: GradFn,
    watchers: Watchers,
    results: Sequence[Any],
    cotangents: list[Any],
    create_graph: bool,
) -> Sequence[Any]:
    """Hooks after a node: each sees both sides' cotangents and may replace those of the inputs."""
    found = (
        None if g is None or edge is None else fitted(g, *edge)
        for g, edge in zip(results, node.edges, strict=False)
    )
    grad_inputs = tuple(map(as_tensor, found))
    grad_outputs = tuple(map(as_tensor, cotangents))
    state.own.position = None
    for hook in list(watchers.after.values()):
        grad_inputs = _replacements(node, hook, grad_inputs, hook(grad_inputs, grad_outputs))
    return [as_value(g, create_graph) for g in grad_inputs]


def _replacements(node: GradFn, hook: Any, grads: tuple[Any, ...], answer: Any) -> tuple[Any, ...]:
    if answer is None:
        return grads
    answers: tuple[Any, ...] = answer if isinstance(answer, tuple) else (answer,)
    if len(answers) != len(grads):
        raise RuntimeError(
            f"hook '{_name_of(hook)}' has returned an incorrect number of values (got "
            f"{len(answers)}, but expected {len(grads)}): it is a hook of "
            f"{node.name()}{at(node.position)}"
        )
    # Here, and not for hooks of tensors, None takes a gradient away.
    return tuple(
        None if a is None else _replacement(node, hook, g, a)
        for g, a in zip(grads, answers, strict=True)
    )
