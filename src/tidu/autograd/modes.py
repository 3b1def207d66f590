"""Switching the tape off and on, for a block or for a function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from tidu.base.state import state

F = TypeVar("F", bound=Callable[..., Any])


def is_grad_enabled() -> bool:
    """Whether operations on tensors that require a gradient are put on the tape now.

    >>> torch.is_grad_enabled()
    True
    """
    return state.own.grad_enabled


def is_inference_mode_enabled() -> bool:
    """Whether `inference_mode` is on for this thread."""
    return state.own.inference


class _Mode:
    """A context manager that is a decorator too, of functions and of generators."""

    def __enter__(self) -> None:
        raise NotImplementedError

    def __exit__(self, *exception: object) -> None:
        raise NotImplementedError

    def clone(self) -> _Mode:
        return type(self)()

    def __call__(self, function: F) -> F:
        if isinstance(function, type):
            return function
        if inspect.isgeneratorfunction(function):
            return _generator(self, function)  # type: ignore[return-value]

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self.clone():
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


def _generator(mode: _Mode, function: Callable[..., Any]) -> Callable[..., Any]:
    """A generator that is in the mode whenever it runs, and leaves it to whoever it yields to."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        generator = function(*args, **kwargs)
        resume: Callable[[], Any] = functools.partial(next, generator)
        while True:
            try:
                with mode.clone():
                    made = resume()
            except StopIteration as stop:
                return stop.value
            try:
                sent = yield made
                resume = functools.partial(generator.send, sent)
            except GeneratorExit:
                with mode.clone():
                    generator.close()
                raise
            except BaseException as error:
                resume = functools.partial(generator.throw, error)

    return wrapped


class _GradMode(_Mode):
    mode: bool

    def __enter__(self) -> None:
        own = state.own
        self.before = own.grad_enabled
        own.grad_enabled = self.mode

    def __exit__(self, *exception: object) -> None:
        state.own.grad_enabled = self.before


class no_grad(_GradMode):  # noqa: N801
    """Inside, nothing is put on the tape: results do not require a gradient.

    >>> with no_grad():
    ...     y = x * 2
    """

    mode = False

    def __new__(cls, function: Any = None) -> Any:
        made = super().__new__(cls)
        return made if function is None else made(function)  # used as @no_grad without parentheses


class enable_grad(_GradMode):  # noqa: N801
    """Inside, the tape is on, also within `no_grad`.

    >>> w = torch.ones(2, requires_grad=True)
    >>> with torch.no_grad(), torch.enable_grad():
    ...     y = 2 * w
    ...
    >>> y.requires_grad
    True
    """

    mode = True

    def __new__(cls, function: Any = None) -> Any:
        made = super().__new__(cls)
        return made if function is None else made(function)


class set_grad_enabled(_GradMode):  # noqa: N801
    """Sets the mode at once; as a context manager it is set back at the end of the block.

    >>> with torch.set_grad_enabled(False):
    ...     y = model(x)
    ...
    >>> y.requires_grad
    False
    """

    def __init__(self, mode: bool) -> None:
        self.before = state.own.grad_enabled
        self.mode = bool(mode)
        state.own.grad_enabled = self.mode

    def __enter__(self) -> None:
        state.own.grad_enabled = self.mode

    def __call__(self, function: F) -> F:
        # As a decorator it changes nothing outside the function.
        state.own.grad_enabled = self.before
        return super().__call__(function)

    def clone(self) -> set_grad_enabled:
        return set_grad_enabled(self.mode)


class inference_mode(_Mode):  # noqa: N801
    """As `no_grad`, and what is made inside can never enter a tape later.

    Raises, later, RuntimeError where such a tensor would have to be saved for backward.

    >>> with torch.inference_mode():
    ...     y = model(x)
    ...
    >>> y.is_inference()
    True
    """

    def __new__(cls, mode: Any = True) -> Any:
        made = super().__new__(cls)
        if callable(mode):
            made.mode = True
            return made(mode)
        return made

    def __init__(self, mode: bool = True) -> None:
        self.mode = bool(mode)

    def __enter__(self) -> None:
        self.before = (state.own.grad_enabled, state.own.inference)
        if self.mode:
            state.own.grad_enabled, state.own.inference = False, True
        else:
            state.own.grad_enabled, state.own.inference = True, False

    def __exit__(self, *exception: object) -> None:
        state.own.grad_enabled, state.own.inference = self.before

    def clone(self) -> inference_mode:
        made: inference_mode = inference_mode(self.mode)
        return made
