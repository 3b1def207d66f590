"""Under `tidu run`, classes go by PyTorch's names: <class 'torch.nn.modules.linear.Linear'>."""

from __future__ import annotations

from types import ModuleType

# PyTorch's files of layers and losses, and where they are kept here if the file has another name.
_LAYERS = {
    **{
        name: name
        for name in (
            "activation", "adaptive", "container", "distance", "dropout", "linear", "loss",
            "module", "normalization", "padding", "pooling", "rnn", "transformer",
        )
    },
    "attention": "activation",
    "channel_norms": "batchnorm",
    "convolution": "conv",
    "embedding": "sparse",
    "margin_loss": "loss",
    "parameter_container": "container",
    "resampling": "upsampling",
    "rnn_cells": "rnn",
    "sync_batch_norm": "batchnorm",
}  # fmt: skip
# Layers that PyTorch keeps apart from those beside them here.
_APART = {
    "ChannelShuffle": "channelshuffle",
    "Flatten": "flatten",
    "Fold": "fold",
    "PixelShuffle": "pixelshuffle",
    "PixelUnshuffle": "pixelshuffle",
    "Unflatten": "flatten",
    "Unfold": "fold",
    **{f"{lazy}InstanceNorm{n}d": "instancenorm" for lazy in ("", "Lazy") for n in (1, 2, 3)},
}


def rename_classes(module: ModuleType) -> None:
    """Give the classes that a module of tidu defines the names that they have in PyTorch.

    Tensors, layers, losses, optimizers and schedules have one. Each can be imported from there, so
    what is pickled by this name is found again.
    """
    own = module.__name__
    for name, kind in list(vars(module).items()):
        if isinstance(kind, type) and kind.__module__ == own and name == kind.__name__:
            renamed = _module_of(own, name)
            if renamed is not None and not name.startswith("_"):
                kind.__module__ = renamed


def _module_of(own: str, name: str) -> str | None:
    """Where PyTorch keeps the class that `own` defines; None for what it does not have."""
    package, _, file = own.rpartition(".")
    if package == "tidu.nn" and file in _LAYERS:
        return f"torch.nn.modules.{_APART.get(name, _LAYERS[file])}"
    if own == "tidu.nn.parameter" or package in ("tidu.nn.parallel", "tidu.optim"):
        return f"torch.{own.removeprefix('tidu.')}"
    if package == "tidu.optim.lr_scheduler":
        return "torch.optim.lr_scheduler"
    return None
