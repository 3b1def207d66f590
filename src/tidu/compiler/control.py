"""Switches for compiled functions, under PyTorch's names."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from tidu.base.changes import changes

_STANCES = (
    "default",
    "force_eager",
    "eager_on_recompile",
    "fail_on_recompile",
    "eager_then_compile",
)


def is_compiling() -> bool:
    """False: a function that is compiled runs as it always does while its calls are recorded."""
    return False


def is_dynamo_compiling() -> bool:
    """False, as `is_compiling`."""
    return False


def is_exporting() -> bool:
    """False: programs are not exported."""
    return False


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """`fn` itself. What it does is recorded where it can be, and runs as it is where not.

    Used with or without arguments, as a decorator too.
    """
    return (lambda function: function) if fn is None else fn


def reset() -> None:
    """Look anew whether compiled functions still do what was recorded of them."""
    changes.count += 1


def list_backends(exclude_tags: Any = ()) -> list[str]:
    """The one there is."""
    return ["tidu"]


def cudagraph_mark_step_begin() -> None:
    """Nothing: there are no CUDA graphs."""


class set_stance:  # noqa: N801 (the name users know)
    """Whether compiled functions may be replayed: ``set_stance("force_eager")`` runs their code.

    In force from the call on, or for the time of a block or of a function that it decorates. The
    other stances of torch.compiler.set_stance are "default".

    >>> with torch.compiler.set_stance("force_eager"):
    ...     loss = train(x, labels)
    """

    def __init__(self, stance: str = "default", **options: Any) -> None:
        if stance not in _STANCES:
            raise RuntimeError(f"invalid torch.compile stance '{stance}'; one of {_STANCES}")
        self._before = changes.stance
        self._stance = stance
        self._set(stance)

    @staticmethod
    def _set(stance: str) -> None:
        changes.stance = stance
        changes.count += 1

    def __enter__(self) -> None:
        self._set(self._stance)

    def __exit__(self, *exception: object) -> None:
        self._set(self._before)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        self._set(self._before)  # as a decorator it changes nothing outside the function

        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with type(self)(self._stance):
                return function(*args, **kwargs)

        return wrapped
