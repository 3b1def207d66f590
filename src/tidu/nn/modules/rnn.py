"""`torch.nn.modules.rnn`: recurrent layers and cells."""

from __future__ import annotations

from tidu.nn.rnn import (
    GRU,
    LSTM,
    RNN,
    RNNBase,
)
from tidu.nn.rnn_cells import (
    GRUCell,
    LSTMCell,
    RNNCell,
    RNNCellBase,
)

__all__ = [
    "GRU", "GRUCell", "LSTM", "LSTMCell", "RNN", "RNNBase", "RNNCell", "RNNCellBase",
]  # fmt: skip
