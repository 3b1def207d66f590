"""Exponential families."""

from __future__ import annotations

from tidu.distributions.distribution import Distribution

__all__ = ["ExponentialFamily"]


class ExponentialFamily(Distribution):
    """A distribution whose density is exp(t(x) · θ - F(θ) + k(x))."""
