"""Every layer: text, names of the state, initial weights from a seed, copies and pickles,
beside PyTorch's.
"""

from __future__ import annotations

import copy
import inspect
import pickle
import warnings
from typing import Any

import numpy as np
import pytest

import tidu
from tests.nn.oracle import numbers, torch

# Arguments for the layers that cannot be made without; several forms of those with many options.
ARGUMENTS: dict[str, list[str]] = {
    "AdaptiveAvgPool1d": ["2"],
    "AdaptiveAvgPool2d": ["2", "(None, 3)"],
    "AdaptiveAvgPool3d": ["(1, 2, 3)"],
    "AdaptiveMaxPool1d": ["2"],
    "AdaptiveMaxPool2d": ["(2, 3)", "2, return_indices=True"],
    "AdaptiveMaxPool3d": ["2"],
    "AdaptiveLogSoftmaxWithLoss": ["16, 20, [5, 10]", "16, 20, [3], div_value=2.0, head_bias=True"],
    "AvgPool1d": ["2", "3, 2, 1, ceil_mode=True"],
    "AvgPool2d": ["2", "(3, 2), stride=1, padding=1, count_include_pad=False, divisor_override=2"],
    "AvgPool3d": ["2"],
    "BatchNorm1d": ["3", "3, eps=0.1, momentum=None, affine=False, track_running_stats=False"],
    "BatchNorm2d": ["3"],
    "BatchNorm3d": ["3"],
    "Bilinear": ["2, 3, 4", "2, 3, 4, bias=False"],
    "CELU": ["", "0.5, inplace=True"],
    "ChannelShuffle": ["2"],
    "CircularPad1d": ["2"],
    "CircularPad2d": ["2"],
    "CircularPad3d": ["2"],
    "ConstantPad1d": ["2, 3.5"],
    "ConstantPad2d": ["2, 3.5"],
    "ConstantPad3d": ["2, 3.5"],
    "Conv1d": ["4, 6, 3", "4, 6, 3, 2, 1, 2, 2, False, 'reflect'"],
    "Conv2d": ["4, 6, 3", "4, 6, (3, 2), padding='same', dilation=(1, 2)"],
    "Conv3d": ["2, 3, 2"],
    "ConvTranspose1d": ["4, 6, 3, 2, output_padding=1"],
    "ConvTranspose2d": ["4, 6, 3", "4, 6, (3, 2), groups=2, bias=False"],
    "ConvTranspose3d": ["2, 3, 2"],
    "CrossEntropyLoss": ["", "label_smoothing=0.1, reduction='sum', ignore_index=3"],
    "Dropout": ["", "0.3, True"],
    "ELU": ["", "0.5, True"],
    "Embedding": ["5, 3", "5, 3, padding_idx=1, max_norm=1.0"],
    "EmbeddingBag": ["5, 3", "5, 3, mode='sum', padding_idx=2"],
    "Flatten": ["", "0, 1"],
    "Fold": ["(4, 5), 2"],
    "GELU": ["", "'tanh'"],
    "GLU": ["", "1"],
    "GRU": ["3, 4, 2, bidirectional=True"],
    "GRUCell": ["3, 4"],
    "GaussianNLLLoss": ["full=True"],
    "GroupNorm": ["2, 4", "2, 4, affine=False"],
    "Hardtanh": ["", "-2, 2, True"],
    "HuberLoss": ["delta=2.0"],
    "Identity": ["1, a=2"],
    "InstanceNorm1d": ["3", "3, affine=True, track_running_stats=True"],
    "InstanceNorm2d": ["3"],
    "InstanceNorm3d": ["3"],
    "LPPool1d": ["2, 3"],
    "LPPool2d": ["2, 3, ceil_mode=True"],
    "LPPool3d": ["2, 3"],
    "LSTM": ["3, 4", "3, 4, 2, batch_first=True, proj_size=2"],
    "LSTMCell": ["3, 4, False"],
    "LayerNorm": ["4", "(2, 3), elementwise_affine=False", "3, bias=False"],
    "LazyBatchNorm1d": [""],
    "LazyConv1d": ["3, 2"],
    "LazyConv2d": ["3, 2, bias=False"],
    "LazyConv3d": ["3, 2"],
    "LazyConvTranspose1d": ["3, 2"],
    "LazyConvTranspose2d": ["3, 2"],
    "LazyConvTranspose3d": ["3, 2"],
    "LazyLinear": ["3", "3, bias=False"],
    "LeakyReLU": ["", "0.2, True"],
    "Linear": ["5, 3", "5, 3, bias=False"],
    "LocalResponseNorm": ["2"],
    "LogSoftmax": ["", "1"],
    "MaxPool1d": ["2", "3, 2, 1, 2, True, True"],
    "MaxPool2d": ["2", "(3, 2), stride=2"],
    "MaxPool3d": ["2"],
    "MaxUnpool1d": ["2"],
    "MaxUnpool2d": ["2"],
    "MaxUnpool3d": ["2"],
    "ModuleDict": ["{'a': nn.Linear(1, 2)}"],
    "ModuleList": ["[nn.Linear(1, 2), nn.Linear(1, 2)]"],
    "MultiheadAttention": ["8, 2", "8, 2, kdim=4, vdim=6, add_bias_kv=True"],
    "PReLU": ["", "3, 0.5"],
    "PixelShuffle": ["2"],
    "PixelUnshuffle": ["2"],
    "RMSNorm": ["4", "(2, 3), eps=0.1"],
    "RNN": ["3, 4, 2, 'relu'"],
    "RNNCell": ["3, 4"],
    "RReLU": ["", "0.1, 0.2"],
    "ReLU": ["", "True"],
    "ReflectionPad1d": ["2"],
    "ReflectionPad2d": ["(1, 2, 3, 4)"],
    "ReflectionPad3d": ["2"],
    "ReplicationPad1d": ["2"],
    "ReplicationPad2d": ["2"],
    "ReplicationPad3d": ["2"],
    "Sequential": ["nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)"],
    "SyncBatchNorm": ["3", "3, momentum=None, affine=False, bias=False"],
    "Softmax": ["", "1"],
    "Softmin": ["1"],
    "Softplus": ["", "2, 10"],
    "Threshold": ["0.1, 20", "0.1, 20, True"],
    "Transformer": ["8, 2, 1, 2, 16"],
    "TransformerDecoder": ["nn.TransformerDecoderLayer(8, 2, 16), 2"],
    "TransformerDecoderLayer": ["8, 2, 16"],
    "TransformerEncoder": ["nn.TransformerEncoderLayer(8, 2, 16), 2, nn.LayerNorm(8)"],
    "TransformerEncoderLayer": ["8, 2, 16, activation='gelu', norm_first=True, bias=False"],
    "Unflatten": ["1, (2, 3)"],
    "Unfold": ["2, padding=1"],
    "Upsample": ["scale_factor=2", "(3, 4), mode='bilinear', align_corners=True"],
    "UpsamplingBilinear2d": ["scale_factor=2"],
    "UpsamplingNearest2d": ["(3, 4)"],
    "ZeroPad1d": ["2"],
    "ZeroPad2d": ["(1, 2, 3, 4)"],
    "ZeroPad3d": ["2"],
}
# Bases, and a wrapper that takes a module.
NOT_LAYERS = {"DataParallel", "Module", "RNNBase", "RNNCellBase"}
LAYERS = sorted(
    name
    for name, found in inspect.getmembers(tidu.nn, inspect.isclass)
    if issubclass(found, tidu.nn.Module) and name not in NOT_LAYERS
)
FORMS = [f"nn.{name}({form})" for name in LAYERS for form in ARGUMENTS.get(name, [""])]


def make(library: Any, form: str) -> Any:
    library.manual_seed(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's advice on how to be faster
        return eval(form, {"nn": library.nn})


@pytest.mark.parametrize("form", FORMS)
def test_layers_are_made_as_pytorch_makes_them(form: str) -> None:
    theirs, ours = make(torch, form), make(tidu, form)
    assert repr(ours) == repr(theirs)
    state, want = ours.state_dict(), theirs.state_dict()
    assert list(state) == list(want)
    assert state._metadata == want._metadata
    for name, x in want.items():
        if "Uninitialized" in type(x).__name__:
            assert type(state[name]).__name__ == type(x).__name__
        else:
            np.testing.assert_array_equal(numbers(state[name]), numbers(x), err_msg=name)


@pytest.mark.parametrize("form", FORMS)
def test_layers_can_be_copied_and_pickled(form: str) -> None:
    layer = make(tidu, form)
    for copied in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(copied) == repr(layer)
        assert list(copied.state_dict()) == list(layer.state_dict())


@pytest.mark.parametrize("form", FORMS)
def test_signatures_are_those_of_pytorch(form: str) -> None:
    name = form.partition("(")[0].removeprefix("nn.")
    theirs, ours = (
        list(inspect.signature(getattr(library.nn, name)).parameters) for library in (torch, tidu)
    )
    if "args" not in theirs and "args" not in ours:
        assert ours == theirs
