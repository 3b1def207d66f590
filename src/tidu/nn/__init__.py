"""Layers, losses, initialization and everything else a network is built of, as in torch.nn."""

from __future__ import annotations

from tidu.nn import functional, init, utils
from tidu.nn.attention import MultiheadAttention
from tidu.nn.container import ModuleDict, ModuleList, ParameterDict, ParameterList, Sequential
from tidu.nn.embedding import Embedding, EmbeddingBag
from tidu.nn.linear import Bilinear, Flatten, Identity, LazyLinear, Linear, Unflatten
from tidu.nn.module import Module
from tidu.nn.parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter
from tidu.nn.rnn import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNBase, RNNCell, RNNCellBase
