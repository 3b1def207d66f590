"""The half-Cauchy distribution."""

from __future__ import annotations

import math
from typing import Any

from tidu.distributions.cauchy import Cauchy
from tidu.distributions.half import Half
from tidu.distributions.transforms import AbsTransform
from tidu.tensor import full

__all__ = ["HalfCauchy"]


class HalfCauchy(Half):
    """Of |x|, where x is Cauchy about 0 with `scale`."""

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        base = Cauchy(0, scale, validate_args=False)
        super().__init__(base, AbsTransform(), validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return full(self._extended_shape(), math.inf, dtype=self.scale.dtype)

    @property
    def variance(self) -> Any:
        return self.base_dist.variance
