"""One step of a recurrent network at a time, for loops that are written out."""

from __future__ import annotations

import math
from typing import Any

from tidu.base.dtypes import dtype
from tidu.ir.precision import in_section
from tidu.nn import init
from tidu.nn.module import Module
from tidu.nn.parameter import Parameter
from tidu.ops.cast import all_as_dtype
from tidu.ops.layers.gru import gru_layer
from tidu.ops.layers.lstm import lstm_layer
from tidu.ops.layers.rnn import rnn_layer
from tidu.ops.linear_algebra.linear import linear
from tidu.ops.moving.shaping import unsqueeze
from tidu.ops.sources import full
from tidu.tensor import Tensor, empty


class RNNCellBase(Module):
    """What the cells have in common: weights without a layer number, and checks."""

    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        gates = num_chunks * hidden_size
        self.weight_ih = Parameter(empty((gates, input_size), device=device, dtype=dtype))
        self.weight_hh = Parameter(empty((gates, hidden_size), device=device, dtype=dtype))
        if bias:
            self.bias_ih = Parameter(empty(gates, device=device, dtype=dtype))
            self.bias_hh = Parameter(empty(gates, device=device, dtype=dtype))
        else:
            self.register_parameter("bias_ih", None)
            self.register_parameter("bias_hh", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values, uniform in ±1/√hidden_size."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        nonlinearity = self.__dict__.get("nonlinearity", "tanh")
        return text + (f", nonlinearity={nonlinearity}" if nonlinearity != "tanh" else "")

    def _rows(self, input: Any, states: Any, count: int) -> tuple[Any, tuple[Any, ...]]:
        """Input (B, input_size) and states (B, hidden_size), zeros if there are none; checked."""
        name = self._get_name()
        if input.ndim not in (1, 2):
            raise ValueError(f"{name}: Expected input to be 1D or 2D, got {input.ndim}D instead")
        for i, state in enumerate(states or ()):
            if state.ndim not in (1, 2):
                raise ValueError(
                    f"{name}: Expected hidden{i} to be 1D or 2D, got {state.ndim}D instead"
                )
        if input.ndim == 1:
            input = unsqueeze(input, 0)
            states = None if states is None else tuple(unsqueeze(s, 0) for s in states)
        batch, features = input.shape
        if features != self.input_size:
            raise RuntimeError(
                f"input has inconsistent input_size: got {features} expected {self.input_size}"
            )
        if states is None:
            states = (full(0.0, (batch, self.hidden_size), input.dtype),) * count
        for i, state in enumerate(states):
            if state.shape[0] != batch:
                raise RuntimeError(
                    f"Input batch size {batch} doesn't match hidden{i} batch size {state.shape[0]}"
                )
            if state.shape[1] != self.hidden_size:
                raise RuntimeError(
                    f"hidden{i} has inconsistent hidden_size: got {state.shape[1]}, expected "
                    f"{self.hidden_size}"
                )
        return input, states


def _inputs(d: dtype, *inputs: Any) -> tuple[Any, ...]:
    """What an operation is given: in a section of mixed precision, all of it in one dtype."""
    return all_as_dtype(d, *inputs) if in_section() else inputs


class RNNCell(RNNCellBase):
    """h' = act(W_ih x + b_ih + W_hh h + b_hh), with tanh or relu: (B, input_size) and (B,
    hidden_size) give (B, hidden_size).

    >>> nn.RNNCell(4, 8)(torch.randn(2, 4)).shape
    torch.Size([2, 8])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        x, (h,) = self._rows(input, None if hx is None else (hx,), 1)
        bias = None if self.bias_ih is None else self.bias_ih + self.bias_hh
        projected = linear(bias, x, self.weight_ih)
        inputs = _inputs(projected.dtype, projected, h, self.weight_hh)
        out: Tensor = rnn_layer.named(
            f"{self.nonlinearity.capitalize()}Backward0",
            *inputs,
            (x.shape[0],),
            False,
            self.nonlinearity,
        )
        return out.squeeze(0) if input.ndim == 1 else out


class LSTMCell(RNNCellBase):
    """One step of an `LSTM`: (B, input_size) and a pair of (B, hidden_size) give the next pair.

    >>> h, c = nn.LSTMCell(4, 8)(torch.randn(2, 4))
    >>> h.shape, c.shape
    (torch.Size([2, 8]), torch.Size([2, 8]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        if isinstance(hx, Tensor):
            raise TypeError(
                "LSTMCell takes its state as a tuple of two tensors (h, c), but got one tensor"
            )
        x, (h, c) = self._rows(input, hx, 2)
        bias = None if self.bias_ih is None else self.bias_ih + self.bias_hh
        projected = linear(bias, x, self.weight_ih)
        inputs = _inputs(c.dtype, projected, h, c, self.weight_hh, None)
        h, c, _ = lstm_layer.named("MulBackward0", *inputs, (x.shape[0],), False)
        return (h.squeeze(0), c.squeeze(0)) if input.ndim == 1 else (h, c)


class GRUCell(RNNCellBase):
    """One step of a `GRU`: (B, input_size) and (B, hidden_size) give (B, hidden_size).

    >>> nn.GRUCell(4, 8)(torch.randn(2, 4)).shape
    torch.Size([2, 8])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        x, (h,) = self._rows(input, None if hx is None else (hx,), 1)
        projected = linear(self.bias_ih, x, self.weight_ih)
        inputs = _inputs(h.dtype, projected, h, self.weight_hh, self.bias_hh)
        results = gru_layer.named("AddBackward0", *inputs, (x.shape[0],), False)
        out: Tensor = results[0]
        return out.squeeze(0) if input.ndim == 1 else out
