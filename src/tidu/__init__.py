"""tidu (梯度): deep learning on one machine, with PyTorch's interface and gradients that explain
themselves.
"""

from __future__ import annotations

from math import e, inf, nan, pi

import tidu.tensor as _tensor
from tidu import (
    _dynamo,
    autograd,
    compiler,
    cuda,
    interop,
    linalg,
    masked,
    nn,
    optim,
    return_types,
    serialization,
    signal,
    special,
    utils,
)
from tidu.autograd import is_anomaly_check_nan_enabled, is_anomaly_enabled
from tidu.backends import cuda as _cuda
from tidu.backends import cudnn as _cudnn
from tidu.backends import mps as _mps
from tidu.backends.threads import get_num_threads, set_num_threads
from tidu.base import collector as _collector
from tidu.base import dtypes as _dtypes
from tidu.base.determinism import (
    are_deterministic_algorithms_enabled,
    get_deterministic_debug_mode,
    is_deterministic_algorithms_warn_only_enabled,
    set_deterministic_debug_mode,
    use_deterministic_algorithms,
)
from tidu.base.devices import (
    channels_last,
    contiguous_format,
    device,
    layout,
    memory_format,
    preserve_format,
    strided,
)
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
from tidu.base.shapes import Size
from tidu.explain import explain_compile
from tidu.interop.checkpoint import load, save
from tidu.replay import compile

__version__ = "0.1.0"

from tidu.tensor.printing import set_printoptions

_collector.relax()
globals().update({name: x for name, x in vars(_tensor).items() if not name.startswith("_")})
globals().update(_tensor.namespaces["torch"])
globals().update(_tensor.typed)
globals().update(_dtypes.ALIASES)
