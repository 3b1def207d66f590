"""`torch.nn.modules.container`: containers of modules and parameters."""

from __future__ import annotations

from tidu.nn.container import (
    ModuleDict,
    ModuleList,
    Sequential,
)
from tidu.nn.parameter_container import (
    ParameterDict,
    ParameterList,
)

__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]
