"""The functions behind the layers, as `F`:
whatever the operations declare under torch.nn.functional.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidu.nn import grad as grad
from tidu.tensor.binding import namespaces

globals().update(namespaces["torch.nn.functional"])

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...
