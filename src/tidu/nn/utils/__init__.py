"""What is done to the parameters and gradients of networks, and to sequences;
as in torch.nn.utils.
"""

from __future__ import annotations

from tidu.base.deferred import on_demand
from tidu.nn.utils import rnn
from tidu.nn.utils.clip_grad import (
    clip_grad_norm,
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)
from tidu.nn.utils.skip_init import skip_init
from tidu.nn.utils.spectral_norm import remove_spectral_norm, spectral_norm
from tidu.nn.utils.weight_norm import remove_weight_norm, weight_norm

__getattr__, __dir__ = on_demand(
    __name__,
    "parametrizations",
    "parametrize",
    "prune",
    "stateless",
    fuse_conv_bn_eval="fusion",
    fuse_conv_bn_weights="fusion",
    fuse_linear_bn_eval="fusion",
    fuse_linear_bn_weights="fusion",
    parameters_to_vector="convert_parameters",
    vector_to_parameters="convert_parameters",
)
