"""`torch.nn.grad`: the gradients of convolutions, as functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidu.tensor.binding import namespaces

globals().update(namespaces["torch.nn.grad"])

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...
