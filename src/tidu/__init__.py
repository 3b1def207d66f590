"""tidu (梯度): deep learning on one machine,
with PyTorch's interface and gradients that explain themselves.
"""

from __future__ import annotations

from math import e, inf, nan, pi
from types import ModuleType as _ModuleType

import tidu.base as _base  # first: it has compiled modules loaded where there are some
import tidu.tensor as _tensor
from tidu import autograd, backends, compiler, cuda, linalg, nn, optim, special, utils
from tidu.autograd import is_anomaly_check_nan_enabled, is_anomaly_enabled
from tidu.backends.threads import get_num_threads, set_num_threads
from tidu.base import dtypes as _dtypes
from tidu.base.deferred import on_demand as _on_demand
from tidu.base.determinism import (
    are_deterministic_algorithms_enabled,
    get_deterministic_debug_mode,
    is_deterministic_algorithms_warn_only_enabled,
    set_deterministic_debug_mode,
    use_deterministic_algorithms,
)
from tidu.base.devices import device, layout, strided
from tidu.base.dtypes import (
    bfloat16,
    dtype,
    float16,
    float32,
    float64,
    get_default_dtype,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    set_default_dtype,
    uint8,
)
from tidu.base.memory_formats import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    memory_format,
    preserve_format,
)
from tidu.base.shapes import Size
from tidu.base.source import is_warn_always_enabled, set_warn_always
from tidu.explain import explain_compile
from tidu.tensor.printing import set_printoptions
from tidu.version import __version__

globals().update(
    {
        name: x
        for name, x in vars(_tensor).items()
        if not name.startswith("_") and not isinstance(x, _ModuleType)
    }
)
globals().update(_tensor.namespaces["torch"])
globals().update(_tensor.typed)
globals().update(_dtypes.ALIASES)

OutOfMemoryError = cuda.OutOfMemoryError
newaxis = None

# What few programs need is imported when it is first asked for: modules, and what stands in them.
_elsewhere = {
    "GradScaler": "amp.grad_scaler",
    "_check": "checks",
    "_check_index": "checks",
    "_check_not_implemented": "checks",
    "_check_type": "checks",
    "_check_value": "checks",
    "_check_with": "checks",
    "_standard_gamma": "distributions.gamma",
    "autocast": "amp.autocast_mode",
    "compile": "replay",
    "get_autocast_dtype": "amp.autocast_mode",
    "is_autocast_enabled": "amp.autocast_mode",
    "load": "interop.loading",
    "save": "interop.checkpoint",
    "vmap": "func",
}
__getattr__, __dir__ = _on_demand(
    __name__,
    "_dynamo",
    "accelerator",
    "amp",
    "cpu",
    "distributed",
    "distributions",
    "func",
    "functional",
    "hub",
    "interop",
    "jit",
    "masked",
    "mps",
    "multiprocessing",
    "overrides",
    "profiler",
    "random",
    "replay",
    "return_types",
    "serialization",
    "signal",
    "storage",
    "testing",
    "types",
    "xpu",
    **_elsewhere,
)

# As in PyTorch, `from torch import *` gives no modules.
__all__ = [
    *_elsewhere,
    *(name for name, x in globals().items() if name[0] != "_" and not isinstance(x, _ModuleType)),
]
