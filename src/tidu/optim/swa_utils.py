"""``torch.optim.swa_utils``: averages of a model's weights over the course of training.

This module stands above both `nn` and `optim`, which shows it when it is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from itertools import chain
from typing import Any

from tidu.base.dtypes import int64
from tidu.nn.channel_norms import _BatchNorm
from tidu.nn.module import Module
from tidu.optim.lr_scheduler.base import LRScheduler, Rate, for_each_group
from tidu.optim.optimizer import Optimizer
from tidu.tensor import Tensor, namespaces, no_grad, tensor

__all__ = [
    "SWALR", "AveragedModel", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn",
    "get_swa_multi_avg_fn", "update_bn",
]  # fmt: skip

Average = Callable[[Tensor, Tensor, Any], Any]
MultiAverage = Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]

_lerp_each = namespaces["torch"]["_foreach_lerp_"]


class AveragedModel(Module):
    """A copy of `model` whose parameters are averages of what `update_parameters` was given.

    After n updates with the default, the equally weighted mean: w̄ ← w̄ + (w - w̄) / (n + 1). The
    first update copies. `avg_fn(averaged, current, n)` returns another average of one parameter,
    `multi_avg_fn(averaged, current, n)` writes those of lists of parameters of one dtype.
    `use_buffers` averages buffers, too; otherwise they are copied. `n_averaged` counts the updates
    and is saved with the state dict. AssertionError if both functions are given. Follows
    torch.optim.swa_utils.AveragedModel; Izmailov et al., 2018, https://arxiv.org/abs/1803.05407.

    >>> averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.99))
    >>> loss = train(x, labels); averaged.update_parameters(model)
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: MultiAverage | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", tensor(0, dtype=int64, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the averaged module makes of the arguments."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the present parameters of `model` into the average."""
        averaged = [x.detach() for x in self._averaged_tensors(self.module)]
        current = [x.detach() for x in self._averaged_tensors(model)]
        count = int(self.n_averaged)
        if count == 0:
            for target, source in zip(averaged, current, strict=True):
                target.copy_(source)
        elif self.avg_fn is not None:
            _write_each(self.avg_fn, averaged, current, self.n_averaged)
        elif self.multi_avg_fn is not None:
            for targets, sources in _by_dtype(averaged, current):
                self.multi_avg_fn(targets, sources, self.n_averaged)
        else:
            _write_each(get_swa_avg_fn(), averaged, current, self.n_averaged)
        if not self.use_buffers:
            for target, source in zip(self.module.buffers(), model.buffers(), strict=True):
                target.detach().copy_(source.detach())
        # Written as a number that is known, the count does not wait for anything to be computed.
        self.n_averaged._write(tensor(count + 1)._value)

    def _averaged_tensors(self, module: Module) -> Iterable[Tensor]:
        if self.use_buffers:
            return chain(module.parameters(), module.buffers())
        return module.parameters()


def _write_each(
    average: Average, averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor
) -> None:
    with no_grad():
        for target, source in zip(averaged, current, strict=True):
            target.copy_(average(target, source, count))


def _by_dtype(
    averaged: Sequence[Tensor], current: Sequence[Tensor]
) -> Iterable[tuple[list[Tensor], list[Tensor]]]:
    """Both lists in parts whose pairs have the same dtypes."""
    parts: dict[Any, tuple[list[Tensor], list[Tensor]]] = {}
    for target, source in zip(averaged, current, strict=True):
        targets, sources = parts.setdefault((target.dtype, source.dtype), ([], []))
        targets.append(target)
        sources.append(source)
    return parts.values()


def _check_decay(decay: float) -> None:
    if decay < 0.0 or decay > 1.0:
        raise ValueError(
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] range."
        )


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAverage:
    """The exponential moving average w̄ ← decay · w̄ + (1 - decay) · w, as a `multi_avg_fn`.

    ValueError for a decay outside [0, 1].

    >>> average = [torch.zeros(2)]
    >>> get_ema_multi_avg_fn(0.9)(average, [torch.ones(2)], 1); average
    [tensor([0.1000, 0.1000])]
    """
    _check_decay(decay)

    def ema_update(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Any) -> None:
        if averaged[0].is_floating_point():
            with no_grad():
                _lerp_each(averaged, current, 1 - decay)
        else:
            _write_each(get_ema_avg_fn(decay), averaged, current, count)

    return ema_update


def get_swa_multi_avg_fn() -> MultiAverage:
    """The equally weighted mean w̄ ← w̄ + (w - w̄) / (n + 1), as a `multi_avg_fn`."""

    def swa_update(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Any) -> None:
        if averaged[0].is_floating_point():
            with no_grad():
                _lerp_each(averaged, current, 1 / (int(count) + 1))
        else:
            _write_each(get_swa_avg_fn(), averaged, current, count)

    return swa_update


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """The exponential moving average decay · w̄ + (1 - decay) · w, as an `avg_fn`."""
    _check_decay(decay)

    def ema_update(averaged: Tensor, current: Tensor, count: Any) -> Any:
        with no_grad():
            return decay * averaged + (1 - decay) * current

    return ema_update


def get_swa_avg_fn() -> Average:
    """The equally weighted mean w̄ + (w - w̄) / (n + 1), as an `avg_fn`."""

    def swa_update(averaged: Tensor, current: Tensor, count: Any) -> Any:
        with no_grad():
            return averaged + (current - averaged) / (count + 1)

    return swa_update


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Work out the running statistics of all batch norms of `model` anew, from one pass over
    `loader`: the mean over its batches.

    A batch is a tensor, or a list or tuple of which the first entry is given to `model`. Averaged
    weights need this, as the statistics were those of other weights.

    >>> averaged = AveragedModel(model)
    >>> update_bn(loader, averaged)
    """
    momenta = {m: m.momentum for m in model.modules() if isinstance(m, _BatchNorm)}
    if not momenta:
        return
    was_training = model.training
    model.train()
    for norm in momenta:
        norm.reset_running_stats()
        norm.momentum = None
    with no_grad():
        for batch in loader:
            x = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(x if device is None else x.to(device))
    for norm, momentum in momenta.items():
        norm.momentum = momentum
    model.train(was_training)


def _linear_anneal(t: float) -> float:
    return t


def _cosine_anneal(t: float) -> float:
    return (1 - math.cos(math.pi * t)) / 2


_ANNEALING = {"cos": _cosine_anneal, "linear": _linear_anneal}


class SWALR(LRScheduler):
    """From the rate at the start to `swa_lr` in `anneal_epochs` steps, along half a cosine or a
    line, and then constant: γₜ = α·swa_lr + (1 - α)·γ₀, with α from 0 to 1.

    ValueError for an unknown `anneal_strategy` or a negative `anneal_epochs`. Follows
    torch.optim.swa_utils.SWALR.

    >>> scheduler = SWALR(optimizer, swa_lr=0.05, anneal_epochs=5)
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        rates = for_each_group("swa_lr", optimizer, swa_lr)
        for rate, group in zip(rates, optimizer.param_groups, strict=True):
            group["swa_lr"] = rate
        if anneal_strategy not in _ANNEALING:
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self._anneal_strategy = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    @property
    def anneal_func(self) -> Callable[[float], float]:
        """α as a function of the part of the epochs that has passed."""
        return _ANNEALING[self._anneal_strategy]

    def _alpha(self, step: int) -> float:
        return self.anneal_func(max(0, min(1, step / max(1, self.anneal_epochs))))

    def get_lr(self) -> list[Rate]:
        self._warn_outside_step()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, alpha = self._alpha(step - 1), self._alpha(step)
        rates = []
        for group in self.optimizer.param_groups:
            goal = group["swa_lr"]
            start = goal if before == 1 else (group["lr"] - before * goal) / (1 - before)
            rates.append(goal * alpha + start * (1 - alpha))
        return rates
