"""Functions that let classes of the user's take them over, as ours do: `__torch_function__`.

>>> def double(x):
...     if has_torch_function((x,)):
...         return handle_torch_function(double, (x,), x)
...     return 2 * x
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tidu.tensor import Tensor
from tidu.tensor.overriding import asked, takers

__all__ = [
    "handle_torch_function",
    "has_torch_function",
    "has_torch_function_unary",
    "has_torch_function_variadic",
    "is_tensor_like",
]


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Whether the class of one of the arguments takes calls over."""
    return bool(takers(tuple(relevant_args)))


def has_torch_function_unary(x: Any) -> bool:
    """`has_torch_function` of one argument."""
    return bool(takers((x,)))


def has_torch_function_variadic(*arguments: Any) -> bool:
    """`has_torch_function` of several arguments."""
    return bool(takers(arguments))


def handle_torch_function(
    public_api: Callable[..., Any], relevant_args: Iterable[Any], *args: Any, **kwargs: Any
) -> Any:
    """What the class of one of `relevant_args` makes of ``public_api(*args, **kwargs)``.

    Raises TypeError if none of them is willing.
    """
    return asked(public_api, takers(tuple(relevant_args)), args, kwargs)


def is_tensor_like(inp: Any) -> bool:
    """Whether this is a tensor, or of a class that takes functions of tensors over."""
    return isinstance(inp, Tensor) or hasattr(inp, "__torch_function__")
