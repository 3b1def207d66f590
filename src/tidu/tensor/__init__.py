"""Tensors: what users hold. Importing this package binds every operation to them."""

from __future__ import annotations

import tidu.ops
import tidu.tensor.comparing
import tidu.tensor.distinct
import tidu.tensor.foreach
import tidu.tensor.low_rank
import tidu.tensor.memory
import tidu.tensor.nonzero
import tidu.tensor.oddments
import tidu.tensor.triangles
import tidu.tensor.window_functions
from tidu.autograd.modes import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from tidu.base.random.generator import Generator
from tidu.execute import launch, realize, settle
from tidu.tensor.applying import apply
from tidu.tensor.binding import bind_registry, namespaces
from tidu.tensor.creation import *
from tidu.tensor.dlpack import from_dlpack, to_dlpack
from tidu.tensor.from_data import *
from tidu.tensor.methods import bind_methods
from tidu.tensor.operators import bind_operators
from tidu.tensor.overriding import bind_overriding
from tidu.tensor.queries import *
from tidu.tensor.random import (
    bernoulli,
    binomial,
    multinomial,
    normal,
    poisson,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
)
from tidu.tensor.ranges import *
from tidu.tensor.seeding import *
from tidu.tensor.settings import *
from tidu.tensor.storage import Storage
from tidu.tensor.storages import *
from tidu.tensor.tensor import Tensor, from_array, from_value, write_each
from tidu.tensor.typed import typed

bind_registry()
bind_operators()
bind_methods()
bind_overriding()
