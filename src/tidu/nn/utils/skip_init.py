"""Making a module without drawing its initial values."""

from __future__ import annotations

import inspect
from typing import Any, TypeVar

from tidu.base.random.generator import default_generator
from tidu.nn.module import Module

M = TypeVar("M", bound=Module)


def skip_init(module_cls: type[M], *args: Any, **kwargs: Any) -> M:
    """An instance of `module_cls` whose parameters are not specified; the random generator stays
    where it is.

    Raises RuntimeError for what is no module class, or takes no `device`.
    """
    if not issubclass(module_cls, Module):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    state = default_generator.get_state()
    made = module_cls(*args, **kwargs)
    default_generator.set_state(state)
    return made
