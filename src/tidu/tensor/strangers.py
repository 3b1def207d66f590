"""Arguments that are no tensors, where tensors are meant.

Nobody looks for them before they are used. Once something has failed, the arguments of the calls
that it happened in tell whether one of those was the reason.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable
from types import CodeType, FrameType
from typing import Any

import numpy as np

from tidu.base.source import at, here
from tidu.ir.op import class_of, functions
from tidu.tensor.tensor import Tensor

_REMEDIES = {
    "list": "; torch.tensor(...) makes a tensor of it",
    "tuple": "; torch.tensor(...) makes a tensor of it",
    "numpy.ndarray": "; torch.from_numpy(...) makes a tensor of it",
}
_PHRASE = "must be Tensor, not"
_ABSENT = object()


def not_a_tensor(error: Exception) -> TypeError | None:
    """The answer to an argument of one of our functions that is no tensor, if `error`, which was
    raised inside, comes from that.
    """
    trace = error.__traceback__
    while trace is not None:
        found = _in_frame(error, trace.tb_frame)
        if found is not None:
            return found
        trace = trace.tb_next
    op, inputs = getattr(error, "call", (None, ()))  # what `Op.value` was given
    return None if op is None else stranger(error, op.name, op.input_names, inputs)


def stranger(
    error: Exception, name: str, parameters: Iterable[str], arguments: Iterable[Any]
) -> TypeError | None:
    """The same for the arguments of one call."""
    if _PHRASE in str(error):
        return None
    for position, (parameter, x) in enumerate(zip(parameters, arguments, strict=False), 1):
        if _is_reason(error, x):
            kind = class_of(x)
            return TypeError(
                f"{name}(): argument '{parameter}' (position {position}) {_PHRASE} "
                f"{kind}{_REMEDIES.get(kind, '')}{at(here())}"
            )
    return None


def _is_reason(error: Exception, x: Any) -> bool:
    """Whether `error` says that `x` lacks something. Arrays of NumPy lack little, and are never
    meant.
    """
    if isinstance(x, np.ndarray):
        return True
    if not isinstance(error, AttributeError) or isinstance(x, Tensor):
        return False
    if error.obj is None:  # it was None, or compiled code, which does not say what it was
        return str(error).startswith(f"'{type(x).__name__}' object has no attribute")
    return x is error.obj


def _in_frame(error: Exception, frame: FrameType) -> TypeError | None:
    code = frame.f_code
    variables = frame.f_locals
    known = _known_functions().get(code)
    if known is None:
        return None
    name, optional = known
    names = code.co_varnames[: code.co_argcount]
    given = [variables.get(x, _ABSENT) for x in names]
    given = [
        _ABSENT if x is None and n in optional else x for n, x in zip(names, given, strict=True)
    ]
    return stranger(error, name, names, given)


@functools.cache
def _known_functions() -> dict[CodeType, tuple[str, frozenset[str]]]:
    """The functions that users call: by their code the name, and which arguments may be None."""
    known: dict[CodeType, tuple[str, frozenset[str]]] = {}
    for declared in functions:
        call = inspect.unwrap(declared.call)
        optional = {
            p.name for p in inspect.signature(call).parameters.values() if p.default is None
        }
        name = declared.paths[0].rpartition(".")[2]
        known.setdefault(call.__code__, (name, frozenset(optional)))
    return known
