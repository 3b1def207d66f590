"""Layers, losses, initialization and everything else a network is built of, as in torch.nn."""

from __future__ import annotations

from tidu.nn import functional, init, utils
from tidu.nn.attention import MultiheadAttention
from tidu.nn.container import ModuleDict, ModuleList, ParameterDict, ParameterList, Sequential
from tidu.nn.convolution import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    LazyConv1d,
    LazyConv2d,
    LazyConv3d,
    LazyConvTranspose1d,
    LazyConvTranspose2d,
    LazyConvTranspose3d,
)
from tidu.nn.embedding import Embedding, EmbeddingBag
from tidu.nn.linear import Bilinear, Flatten, Identity, LazyLinear, Linear, Unflatten
from tidu.nn.module import Module
from tidu.nn.padding import (
    CircularPad1d,
    CircularPad2d,
    CircularPad3d,
    ConstantPad1d,
    ConstantPad2d,
    ConstantPad3d,
    ReflectionPad1d,
    ReflectionPad2d,
    ReflectionPad3d,
    ReplicationPad1d,
    ReplicationPad2d,
    ReplicationPad3d,
    ZeroPad1d,
    ZeroPad2d,
    ZeroPad3d,
)
from tidu.nn.parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter
from tidu.nn.pooling import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AdaptiveMaxPool3d,
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    LPPool1d,
    LPPool2d,
    LPPool3d,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
    MaxUnpool1d,
    MaxUnpool2d,
    MaxUnpool3d,
)
from tidu.nn.resampling import (
    ChannelShuffle,
    Fold,
    PixelShuffle,
    PixelUnshuffle,
    Unfold,
    Upsample,
    UpsamplingBilinear2d,
    UpsamplingNearest2d,
)
from tidu.nn.rnn import GRU, LSTM, RNN, RNNBase
from tidu.nn.rnn_cells import GRUCell, LSTMCell, RNNCell, RNNCellBase
