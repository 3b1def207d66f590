"""Recurrent networks over whole sequences: RNN, LSTM and GRU. `rnn_cells` has those of one step."""

from __future__ import annotations

import math
import warnings
from functools import lru_cache
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.source import in_one_place
from tidu.ir.precision import in_section
from tidu.ir.value import Value, leaf
from tidu.nn import functional as F
from tidu.nn import init
from tidu.nn.module import Module
from tidu.nn.parameter import Parameter
from tidu.nn.utils.rnn import PackedSequence
from tidu.ops.cast import all_as_dtype
from tidu.ops.indexing.arrays import index
from tidu.ops.layers.gru import gru_layer
from tidu.ops.layers.lstm import lstm_layer
from tidu.ops.layers.packed import Sizes, rows
from tidu.ops.layers.rnn import rnn_layer
from tidu.ops.linear_algebra.linear import linear
from tidu.ops.moving.joining import cat_, stack
from tidu.ops.moving.movement import permute, reshape
from tidu.ops.moving.sections import select
from tidu.ops.moving.shaping import squeeze, transpose, unsqueeze
from tidu.ops.sources import full
from tidu.tensor import Tensor, empty

GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


@lru_cache(maxsize=64)
def _last_rows(batch_sizes: Sizes) -> Value:
    """For each sequence its last row among the packed ones."""
    starts = np.cumsum((0, *batch_sizes))
    lengths = np.count_nonzero(np.asarray(batch_sizes)[:, None] > np.arange(batch_sizes[0]), axis=0)
    return leaf(starts[lengths - 1] + np.arange(batch_sizes[0]), dtypes.int64)


def _at_end(states: Any, batch_sizes: Sizes, reverse: bool) -> Any:
    """The last state of each sequence: (N, H) gives (B, H)."""
    n, total = batch_sizes[0], states.shape[0]
    if reverse:
        return rows(states, 0, n)
    if batch_sizes[-1] == n:
        return rows(states, total - n, total)
    return index((states, _last_rows(batch_sizes)), (0,))


class RNNBase(Module):
    """What RNN, LSTM and GRU have in common: weights, checks, layers and directions.

    Weights are named ``weight_ih_l0``, ``weight_hh_l0``, ``bias_ih_l0``, ``bias_hh_l0``, with
    ``_reverse`` for the second direction, and start uniform in ±1/√hidden_size.
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        _check_options(mode, input_size, hidden_size, num_layers, dropout, proj_size)
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero "
                f"dropout expects num_layers greater than 1, but got dropout={dropout} and "
                f"num_layers={num_layers}",
                stacklevel=3,
            )
        directions = 2 if bidirectional else 1
        state_size = proj_size or hidden_size
        gates = GATES[mode] * hidden_size
        self._all_weights: list[list[str]] = []
        for layer in range(num_layers):
            layer_input = input_size if layer == 0 else state_size * directions
            for direction in range(directions):
                shapes: dict[str, tuple[int, ...]] = {
                    "weight_ih": (gates, layer_input),
                    "weight_hh": (gates, state_size),
                }
                if bias:
                    shapes |= {"bias_ih": (gates,), "bias_hh": (gates,)}
                if proj_size > 0:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                suffix = f"_l{layer}" + ("_reverse" if direction else "")
                for name, shape in shapes.items():
                    setattr(
                        self, name + suffix, Parameter(empty(shape, device=device, dtype=dtype))
                    )
                self._all_weights.append([name + suffix for name in shapes])
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def flatten_parameters(self) -> None:
        """Nothing to do: weights need not lie together."""

    @property
    def _flat_weights_names(self) -> list[str]:
        return [name for names in self._all_weights for name in names]

    @property
    def _flat_weights(self) -> list[Any]:
        return [getattr(self, name) for name in self._flat_weights_names]

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The weights of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if self.proj_size != 0:
            text += f", proj_size={self.proj_size}"
        if self.num_layers != 1:
            text += f", num_layers={self.num_layers}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        if self.batch_first is not False:
            text += f", batch_first={self.batch_first}"
        if self.dropout != 0:
            text += f", dropout={self.dropout}"
        if self.bidirectional is not False:
            text += f", bidirectional={self.bidirectional}"
        return text

    def forward(self, input: Any, hx: Any = None) -> Any:
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        if input.ndim not in (2, 3):
            tensor = " tensor" if self.mode.startswith("RNN") else ""
            raise ValueError(
                f"{self._get_name()}: Expected input to be 2D or 3D, got {input.ndim}D{tensor} "
                f"instead"
            )
        batched = input.ndim == 3
        self._check_input(input)
        if hx is not None:
            self._check_rank(hx, batched)
        if not batched:
            input = unsqueeze(input, 1)
            hx = None if hx is None else self._map_state(lambda s: unsqueeze(s, 1), hx)
        elif self.batch_first:
            input = transpose(input, 0, 1)
        length, batch = input.shape[0], input.shape[1]
        if length == 0:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        self._check_hidden(hx, batch)
        data = reshape(input, (length * batch, self.input_size))
        output, state = self._run(data, hx, (batch,) * length)
        name = self._result_name(output)
        output = reshape.named(name, output, (length, batch, output.shape[-1]))
        if not batched:
            return squeeze(output, 1), self._map_state(lambda s: squeeze(s, 1), state)
        if self.batch_first:
            name = "TransposeBackward0" if self.mode == "LSTM" else "TransposeBackward1"
            output = permute.named(name, output, (1, 0, 2))
        return output, state

    def _result_name(self, output: Tensor) -> str:
        """What makes the output in PyTorch: for an LSTM of float32 one call of a library."""
        if self.bidirectional:
            return "CatBackward0"
        whole = self.mode == "LSTM" and output.dtype is dtypes.float32 and not self.proj_size
        return "MkldnnRnnLayerBackward0" if whole else "StackBackward0"

    def _forward_packed(self, input: PackedSequence, hx: Any) -> Any:
        data, batch_sizes, sorted_indices, unsorted_indices = input
        if data.ndim != 2:
            raise RuntimeError(f"input must have 2 dimensions, got {data.ndim}")
        self._check_input(data)
        sizes = tuple(batch_sizes.tolist())
        if hx is not None and sorted_indices is not None:
            hx = self._map_state(lambda s: index((s, sorted_indices), (1,)), hx)
        self._check_hidden(hx, sizes[0])
        output, state = self._run(data, hx, sizes)
        if unsorted_indices is not None:
            state = self._map_state(lambda s: index((s, unsorted_indices), (1,)), state)
        return PackedSequence(output, batch_sizes, sorted_indices, unsorted_indices), state

    def _run(self, data: Any, hx: Any, batch_sizes: Sizes) -> tuple[Any, Any]:
        """All layers in all directions over packed rows:
        the last layer's states, and where each ended.
        """
        directions = 2 if self.bidirectional else 1
        ends: list[tuple[Any, ...]] = []
        for layer in range(self.num_layers):
            outputs = []
            for direction in range(directions):
                names = self._all_weights[len(ends)]
                start = self._start(hx, len(ends), batch_sizes[0], data.dtype)
                results = self._layer(
                    data,
                    start,
                    {name.split("_l")[0]: getattr(self, name) for name in names},
                    batch_sizes,
                    bool(direction),
                )
                outputs.append(results[0])
                ends.append(tuple(_at_end(x, batch_sizes, bool(direction)) for x in results))
            data = outputs[0] if directions == 1 else cat_(tuple(outputs), 1)
            if self.dropout > 0 and self.training and layer < self.num_layers - 1:
                data = F.dropout(data, self.dropout, True)
        states = tuple(stack(parts, 0) for parts in zip(*ends, strict=True))
        return data, states if self.mode == "LSTM" else states[0]

    @in_one_place
    def _layer(
        self,
        data: Any,
        start: tuple[Any, ...],
        weights: dict[str, Any],
        batch_sizes: Sizes,
        reverse: bool,
    ) -> tuple[Any, ...]:
        """One layer in one direction: the states after each step, for LSTM also the cells."""
        bias, recurrent_bias = weights.get("bias_ih"), weights.get("bias_hh")
        if self.mode != "GRU" and bias is not None:
            bias = bias + recurrent_bias
        projected = linear(bias, data, weights["weight_ih"])
        inputs = (projected, *start, weights["weight_hh"])
        if self.mode == "LSTM":
            inputs = (*inputs, weights.get("weight_hr"))
        elif self.mode == "GRU":
            inputs = (*inputs, recurrent_bias)
        if in_section():  # the states of a GRU keep their precision
            d = start[0].dtype if self.mode == "GRU" else projected.dtype
            inputs = all_as_dtype(d, *inputs)
        if self.mode == "LSTM":
            states, cells, _ = lstm_layer(*inputs, batch_sizes, reverse)
            return states, cells
        if self.mode == "GRU":
            return (gru_layer(*inputs, batch_sizes, reverse)[0],)
        nonlinearity = "tanh" if self.mode == "RNN_TANH" else "relu"
        return (rnn_layer(*inputs, batch_sizes, reverse, nonlinearity),)

    def _state_sizes(self) -> tuple[int, ...]:
        state_size = self.proj_size or self.hidden_size
        return (state_size, self.hidden_size) if self.mode == "LSTM" else (state_size,)

    def _start(self, hx: Any, number: int, batch: int, d: Any) -> tuple[Any, ...]:
        if hx is None:
            return tuple(full(0.0, (batch, size), d) for size in self._state_sizes())
        return tuple(select(s, 0, number) for s in (hx if self.mode == "LSTM" else (hx,)))

    def _map_state(self, function: Any, state: Any) -> Any:
        return tuple(map(function, state)) if self.mode == "LSTM" else function(state)

    def _check_input(self, input: Tensor) -> None:
        wanted = getattr(self, self._all_weights[0][0]).dtype
        if input.dtype is not wanted and not in_section():
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({wanted}). Convert "
                f"input: input.to({wanted}), or convert model: model.to({input.dtype})"
            )
        if input.shape[-1] != self.input_size:
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got "
                f"{input.shape[-1]}"
            )

    def _check_rank(self, hx: Any, batched: bool) -> None:
        kind, rank = ("batched 3-D", 3) if batched else ("unbatched 2-D", 2)
        if self.mode == "LSTM":
            ranks = hx[0].ndim, hx[1].ndim
            if ranks != (rank, rank):
                raise RuntimeError(
                    f"For {kind} input, hx and cx should also be {rank}-D but got ({ranks[0]}-D, "
                    f"{ranks[1]}-D) tensors"
                )
        elif hx.ndim != rank:
            raise RuntimeError(
                f"For {kind} input, hx should also be {rank}-D but got {hx.ndim}-D tensor"
            )

    def _check_hidden(self, hx: Any, batch: int) -> None:
        if hx is None:
            return
        states = hx if self.mode == "LSTM" else (hx,)
        names = ("hidden[0]", "hidden[1]") if self.mode == "LSTM" else ("hidden",)
        for state, size, name in zip(states, self._state_sizes(), names, strict=True):
            expected = (self.num_layers * (2 if self.bidirectional else 1), batch, size)
            if tuple(state.shape) != expected:
                raise RuntimeError(f"Expected {name} size {expected}, got {list(state.shape)}")


def _check_options(
    mode: str, input_size: int, hidden_size: Any, num_layers: int, dropout: Any, proj_size: int
) -> None:
    if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout <= 1:
        raise ValueError(
            "dropout should be a number in range [0, 1] representing the probability of an element "
            "being zeroed"
        )
    if not isinstance(hidden_size, int):
        raise TypeError(f"hidden_size should be of type int, got: {type(hidden_size).__name__}")
    if hidden_size <= 0:
        raise ValueError("hidden_size must be greater than zero")
    if input_size <= 0:
        raise ValueError("input_size must be greater than zero")
    if num_layers <= 0:
        raise ValueError("num_layers must be greater than zero")
    if proj_size < 0:
        raise ValueError("proj_size should be a positive integer or zero to disable projections")
    if proj_size and mode != "LSTM":
        raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
    if proj_size >= hidden_size:
        raise ValueError("proj_size has to be smaller than hidden_size")


class RNN(RNNBase):
    """h_t = act(W_ih x_t + b_ih + W_hh h_(t−1) + b_hh), with tanh or relu,
    in `num_layers` layers (Elman, 1990).

    ``rnn(input, h0)`` takes (T, B, input_size), or (B, T, …) with `batch_first`, or (T,
    input_size), or a PackedSequence, and states (layers · directions, B, hidden_size) that start at
    zero if left out. It returns the states of the last layer at all times and those of all layers
    at the end. Raises ValueError or RuntimeError for shapes that do not fit.

    >>> output, h = torch.nn.RNN(3, 4)(torch.ones(5, 2, 3))
    >>> output.shape, h.shape
    (torch.Size([5, 2, 4]), torch.Size([1, 2, 4]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        self.nonlinearity = nonlinearity
        super().__init__(
            f"RNN_{nonlinearity.upper()}",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
        )


class LSTM(RNNBase):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997), gates in the order i, f, g, o.

    i, f, o = σ(W x + b + U h + d), g = tanh(…); c = f c + i g; h = o tanh(c). With `proj_size`, h
    is projected once more. ``lstm(input, (h0, c0))`` takes and returns what `RNN` does, with a pair
    of states.

    >>> output, (h, c) = nn.LSTM(4, 8, batch_first=True)(torch.randn(2, 5, 4))
    >>> output.shape, h.shape
    (torch.Size([2, 5, 8]), torch.Size([1, 2, 8]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)


class GRU(RNNBase):
    """Gated recurrent unit (Cho et al., 2014), gates in the order r, z, n.

    r, z = σ(W x + b + U h + d); n = tanh(W x + b + r (U h + d)); h = (1 − z) n + z h. Arguments and
    results as for `RNN`.

    >>> output, h = nn.GRU(4, 8, batch_first=True)(torch.randn(2, 5, 4))
    >>> output.shape, h.shape
    (torch.Size([2, 5, 8]), torch.Size([1, 2, 8]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("GRU", *args, **kwargs)
