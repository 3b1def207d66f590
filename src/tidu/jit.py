"""``torch.jit`` for programs that mark what TorchScript may compile.

Nothing has to be marked here: everything runs as Python and is compiled by regions. What is
scripted is therefore the function or module itself; there is no TorchScript to look at or save.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

__all__ = [
    "Final", "annotate", "export", "ignore", "is_scripting", "is_tracing", "script",
    "script_if_tracing", "script_method", "unused",
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
