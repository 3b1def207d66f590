"""What is done to the parameters and gradients of networks, and to sequences; as in
torch.nn.utils.
"""

from __future__ import annotations

from tidu.nn.utils import rnn
from tidu.nn.utils.clip_grad import (
    clip_grad_norm,
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)
from tidu.nn.utils.convert_parameters import parameters_to_vector, vector_to_parameters
