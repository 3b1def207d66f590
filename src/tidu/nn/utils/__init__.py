"""What is done to the parameters and gradients of networks, and to sequences;
as in torch.nn.utils.
"""

from __future__ import annotations

from tidu.nn.utils import parametrizations, parametrize, prune, rnn, stateless
from tidu.nn.utils.clip_grad import (
    clip_grad_norm,
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)
from tidu.nn.utils.convert_parameters import parameters_to_vector, vector_to_parameters
from tidu.nn.utils.fusion import (
    fuse_conv_bn_eval,
    fuse_conv_bn_weights,
    fuse_linear_bn_eval,
    fuse_linear_bn_weights,
)
from tidu.nn.utils.skip_init import skip_init
from tidu.nn.utils.spectral_norm import remove_spectral_norm, spectral_norm
from tidu.nn.utils.weight_norm import remove_weight_norm, weight_norm
