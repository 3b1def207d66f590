"""``torch.jit`` for programs that mark what TorchScript may compile.

Nothing has to be marked here: everything runs as Python and is compiled by regions. What is
scripted or traced is therefore the function or module itself; there is no TorchScript to look at or
save.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from tidu.nn import Module
from tidu.tensor import Tensor, no_grad

__all__ = [
    "Final", "ScriptModule", "annotate", "export", "freeze", "ignore", "is_scripting", "is_tracing",
    "optimize_for_inference", "script", "script_if_tracing", "script_method", "trace",
    "trace_module", "unused",
]  # fmt: skip

Marked = TypeVar("Marked", bound=Callable[..., Any])


def script(
    obj: Any,
    optimize: Any = None,
    _frames_up: int = 0,
    _rcb: Any = None,
    example_inputs: Any = None,
) -> Any:
    """The function, class or module `obj` itself.

    >>> @script
    ... def gelu(x: torch.Tensor) -> torch.Tensor:
    ...     return 0.5 * x * (1.0 + torch.erf(x / 1.41421))
    """
    return obj


class ScriptModule(Module):
    """A module; ``script_method`` marks the methods that PyTorch compiles."""


def trace(
    func: Callable[..., Any] | None = None,
    example_inputs: Any = None,
    optimize: Any = None,
    check_trace: bool = True,
    check_inputs: Any = None,
    check_tolerance: float = 1e-5,
    strict: bool = True,
    *,
    example_kwarg_inputs: Mapping[str, Any] | None = None,
    **options: Any,
) -> Any:
    """The function or module `func` itself, once it has run with the examples.

    Nothing is frozen: branches and loops go by each call's own values, where PyTorch repeats those
    of the example. TypeError without examples.

    >>> traced = torch.jit.trace(model, torch.zeros(1, 4))
    >>> traced(torch.ones(2, 4)).shape
    torch.Size([2, 3])
    """
    if func is None:
        return lambda function: trace(
            function, example_inputs, example_kwarg_inputs=example_kwarg_inputs
        )
    if example_inputs is None and example_kwarg_inputs is None:
        raise TypeError("torch.jit.trace() needs example_inputs or example_kwarg_inputs to run")
    with no_grad():
        func(*_as_arguments(example_inputs), **(example_kwarg_inputs or {}))
    return func


def _as_arguments(examples: Any) -> tuple[Any, ...]:
    if examples is None:
        return ()
    return (examples,) if isinstance(examples, (Tensor, dict)) else tuple(examples)


def trace_module(mod: Module, inputs: Mapping[str, Any], **options: Any) -> Module:
    """The module itself, once the methods that `inputs` names have run with their examples."""
    for method, examples in inputs.items():
        trace(getattr(mod, method), examples)
    return mod


def freeze(mod: Module, preserved_attrs: Any = None, optimize_numerics: bool = True) -> Module:
    """The module itself. RuntimeError for one in training mode, as in PyTorch."""
    if mod.training:
        raise RuntimeError(
            "Freezing is currently only implemented for modules in eval mode. Please call .eval() "
            "on your module before freezing."
        )
    return mod


def optimize_for_inference(mod: Module, other_methods: Any = None) -> Module:
    """The module itself: what it runs is compiled anyway."""
    return mod


def script_if_tracing(fn: Marked) -> Marked:
    """`fn` itself."""
    return fn


def script_method(fn: Marked) -> Marked:
    """`fn` itself."""
    return fn


def export(fn: Marked) -> Marked:
    """`fn` itself."""
    return fn


def unused(fn: Marked) -> Marked:
    """`fn` itself."""
    return fn


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """The function itself: ``@ignore`` or ``@ignore(drop=True)``."""
    return drop if callable(drop) else lambda fn: fn


def annotate(the_type: Any, the_value: Any) -> Any:
    """`the_value`: types are for the reader."""
    return the_value


def is_scripting() -> bool:
    """False: Python runs."""
    return False


def is_tracing() -> bool:
    """False: nothing is traced."""
    return False
