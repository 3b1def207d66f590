"""What the compiler made of a piece of code: `explain_compile`, and TIDU_LOG=kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tidu.base.deferred import DeferredModule
from tidu.base.environment import setting
from tidu.programs import natively, programs

if TYPE_CHECKING:
    from tidu import explanation
    from tidu.explanation import Explanation
else:
    explanation = DeferredModule("tidu.explanation")


def explain_compile(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Explanation:
    """Run `function(*args, **kwargs)` once, and say what it was compiled to.

    For each program: its kernels, matrix products and calls of NumPy with the lines of your code
    that they were made for, what each reads and writes, and how long it takes alone. `in0` and so
    on are what the program is given (parameters, data, and numbers that an earlier program made),
    `out0` what it leaves behind, `t0` what lives within it. For a whole training step, pass a
    function that makes one: it is one program if no number is asked for on the way.

    The function runs as it would otherwise: parameters that it updates are updated. The object
    that is returned prints; its `result` is what the function has returned.

    >>> print(tidu.explain_compile(lambda x: tidu.softmax(x, 1), tidu.randn(64, 10)))
    program 1 of 1, ...
    """
    return explanation.explain(lambda: function(*args, **kwargs))


if setting("TIDU_LOG") == "kernels" and programs.make is natively:
    programs.make = lambda graph: explanation.logged(graph)
    programs.keeps = False  # there are no expressions on disk to tell of
