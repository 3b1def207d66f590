"""Public functions that are written in terms of operations, and the list of all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Function(NamedTuple):
    """A function of the public API that is written in terms of ops."""

    call: Callable[..., Any]
    paths: tuple[str, ...]
    inplace: bool
    checked: bool


functions: list[Function] = []


def torch_and_tensor(*names: str) -> str:
    """The paths of what is both a function and a method: "torch.exp Tensor.exp"."""
    return " ".join(f"torch.{name} Tensor.{name}" for name in names)


def function(
    paths: str, *, inplace: bool = False, checked: bool = False, doc: str | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare a public function: ``@function("torch.addmm Tensor.addmm")``.

    It is written in ops and other public functions, so that it works on Values and on Tensors
    alike. Paths are "torch.x", "Tensor.x", "torch.nn.functional.x", "torch.linalg.x", ... `inplace`
    adds Tensor.x_.

    `checked` is for functions that fail on some numbers (the inverse of a singular matrix): users
    call them under `try`, so the result is worked out, and the error raised, in the call.

    `doc` is for functions that differ by a number or two and are made by one function: each is
    given this text, and the name at the end of its path.
    """

    def declare(call: Callable[..., Any]) -> Callable[..., Any]:
        if doc is not None:
            call.__name__ = call.__qualname__ = paths.split()[0].rpartition(".")[2]
            call.__doc__ = doc
        functions.append(Function(call, tuple(paths.split()), inplace, checked))
        return call

    return declare
