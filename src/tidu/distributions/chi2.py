"""The χ² distribution."""

from __future__ import annotations

from typing import Any

from tidu.distributions import constraints
from tidu.distributions.gamma import Gamma

__all__ = ["Chi2"]


class Chi2(Gamma):
    """Of the sum of `df` squared standard normal numbers."""

    arg_constraints = {"df": constraints.positive}

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        super().__init__(0.5 * df, 0.5, validate_args=validate_args)

    @property
    def df(self) -> Any:
        """The degrees of freedom."""
        return self.concentration * 2
