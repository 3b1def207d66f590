"""The tape, the engine that runs it backwards, and what users call `torch.autograd`.

This package stands below the one that defines tensors: all it knows of them is `tape.Tape`, which
that one fills in. So everything about gradients is in one place, from the nodes of the tape to
`functional.jacobian`, and `tidu.autograd` is the public module as well.
"""

from __future__ import annotations

from tidu.autograd.anomaly import (
    detect_anomaly,
    is_anomaly_check_nan_enabled,
    is_anomaly_enabled,
    set_detect_anomaly,
)
from tidu.autograd.gradcheck import GradcheckError, gradcheck, gradgradcheck
from tidu.autograd.gradients import backward, grad
from tidu.autograd.modes import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from tidu.base.deferred import on_demand

__all__ = [
    "Function",
    "GradcheckError",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "function",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "inference_mode",
    "is_anomaly_check_nan_enabled",
    "is_anomaly_enabled",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
]

# What few programs need; `anomaly_mode`, `grad_mode` and `profiler` are PyTorch's names for what
# stands elsewhere.
__getattr__, __dir__ = on_demand(
    __name__,
    "anomaly_mode",
    "function",
    "functional",
    "grad_mode",
    "graph",
    "profiler",
    Function="function",
    Variable="variable",
)
