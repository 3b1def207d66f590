"""Dropout as layers: active in training, the identity in evaluation."""

from __future__ import annotations

from typing import Any

from tidu.nn.module import Module
from tidu.ops.activations import dropout
from tidu.tensor import Tensor


class _Dropout(Module):
    """What all kinds share: a probability, checked at once."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        dropout.check_probability(p)
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Each element is 0 with probability `p`, and divided by 1 - `p` otherwise.

    >>> torch.nn.Dropout(0.5).eval()(torch.ones(2))
    tensor([1., 1.])
    """

    def forward(self, input: Tensor) -> Any:
        return dropout.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_Dropout):
    """Dropout of whole channels of (batch, channels, length).

    >>> nn.Dropout1d(0.5)(torch.randn(1, 4, 3)).shape
    torch.Size([1, 4, 3])
    """

    def forward(self, input: Tensor) -> Any:
        return dropout.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """Dropout of whole channels of (batch, channels, height, width).

    >>> nn.Dropout2d(0.5)(torch.ones(1, 4, 2, 2)).shape
    torch.Size([1, 4, 2, 2])
    """

    def forward(self, input: Tensor) -> Any:
        return dropout.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_Dropout):
    """Dropout of whole channels of (batch, channels, depth, height, width).

    >>> nn.Dropout3d(0.5)(torch.randn(1, 4, 2, 2, 2)).shape
    torch.Size([1, 4, 2, 2, 2])
    """

    def forward(self, input: Tensor) -> Any:
        return dropout.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_Dropout):
    """Dropout beside SELU: keeps mean and variance.

    >>> nn.AlphaDropout(0.5)(torch.randn(2, 3)).shape
    torch.Size([2, 3])
    """

    def forward(self, input: Tensor) -> Any:
        return dropout.alpha_dropout(input, self.p, self.training, self.inplace)


class FeatureAlphaDropout(_Dropout):
    """AlphaDropout of whole channels.

    >>> nn.FeatureAlphaDropout(0.5)(torch.randn(1, 4, 2, 2)).shape
    torch.Size([1, 4, 2, 2])
    """

    def forward(self, input: Tensor) -> Any:
        return dropout.feature_alpha_dropout(input, self.p, self.training, self.inplace)
