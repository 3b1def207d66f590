"""`torch.nn.modules`: where PyTorch's layers live, for scripts that import them from there.

Each file has the names that PyTorch's file of that name has; they are made in the files of `nn`.
"""

from __future__ import annotations

from tidu.nn.modules import module, utils
from tidu.nn.modules.activation import *
from tidu.nn.modules.adaptive import *
from tidu.nn.modules.batchnorm import *
from tidu.nn.modules.channelshuffle import *
from tidu.nn.modules.container import *
from tidu.nn.modules.conv import *
from tidu.nn.modules.distance import *
from tidu.nn.modules.dropout import *
from tidu.nn.modules.flatten import *
from tidu.nn.modules.fold import *
from tidu.nn.modules.instancenorm import *
from tidu.nn.modules.linear import *
from tidu.nn.modules.loss import *
from tidu.nn.modules.module import Module
from tidu.nn.modules.normalization import *
from tidu.nn.modules.padding import *
from tidu.nn.modules.pixelshuffle import *
from tidu.nn.modules.pooling import *
from tidu.nn.modules.rnn import *
from tidu.nn.modules.sparse import *
from tidu.nn.modules.transformer import *
from tidu.nn.modules.upsampling import *
