"""LRScheduler: what all schedules share, the count of epochs and the writing of learning rates."""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from tidu.base.source import locate_constructor, located
from tidu.optim.optimizer import Optimizer
from tidu.tensor import Tensor

Rate: TypeAlias = Any  # a float, or a 0-d tensor where the optimizer was given one

_EPOCH_WARNING = (
    "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where "
    "possible. Please use `scheduler.step()` to step the scheduler. During the deprecation, if "
    "epoch is different from None, the closed form is used instead of the new chainable form, "
    "where available."
)


class LRScheduler:
    """Base class of schedules: each `step()` sets the learning rate of every parameter group.

    A subclass gives `get_lr()`, the rates of all groups at `self.last_epoch`, from `self.base_lrs`
    (the rates at the start) or from the present ones in `self.optimizer.param_groups`. `last_epoch`
    other than -1 resumes a schedule, and then each group must have its `initial_lr`. Raises
    TypeError for what is not an optimizer. Follows torch.optim.lr_scheduler.LRScheduler.

    >>> scheduler = StepLR(optimizer, step_size=1, gamma=0.5)
    >>> for epoch in range(epochs):
    ...     loss = train(x, labels); scheduler.step()
    """

    _get_lr_called_within_step = False
    _is_initial = False
    # Rates where the schedule has a formula for any epoch, beside the one that follows from the
    # last rate.
    _get_closed_form_lr: Callable[[], list[Rate]] | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        locate_constructor(cls)

    @located
    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        require_optimizer(optimizer)
        self.optimizer = optimizer
        for number, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", _copy(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{number}] when resuming "
                    f"scheduler with last_epoch >= 0 (got {last_epoch}). Load the state of the "
                    "optimizer before the scheduler is made, or leave last_epoch out to start anew"
                )
        self.base_lrs: list[Rate] = group_values(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def get_last_lr(self) -> list[Rate]:
        """The learning rates of all groups, as the last `step()` has set them."""
        return self._last_lr

    def get_lr(self) -> list[Rate]:
        """The learning rates of all groups at `self.last_epoch`; called within `step()`."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_lr()")

    def step(self, epoch: int | None = None) -> None:
        """Go on by one epoch, or by one batch, whichever the schedule counts, and set the rates."""
        if self._step_count == 1 and not (
            self.optimizer._opt_called or "step" in vars(self.optimizer)
        ):
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`. You should call "
                "them in the opposite order: `optimizer.step()` before `lr_scheduler.step()`. "
                "Failure to do this will result in skipping the first value of the learning rate "
                "schedule.",
                UserWarning,
                stacklevel=2,
            )
        self._step_count += 1
        if epoch is not None:
            warn_of_epoch()
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        with self._within_step():
            if epoch is None:
                self.last_epoch += 1
                rates = self.get_lr()
            else:
                self.last_epoch = epoch
                closed_form = self._get_closed_form_lr
                rates = self.get_lr() if closed_form is None else closed_form()
        self._set_rates(rates)

    def _set_rates(self, rates: Sequence[Rate]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            set_group_value(group, "lr", rate)
        self._last_lr = group_values(self.optimizer, "lr")

    def _present_rates(self) -> list[Rate]:
        return group_values(self.optimizer, "lr")

    @contextmanager
    def _within_step(self) -> Iterator[None]:
        self._get_lr_called_within_step = True
        try:
            yield
        finally:
            self._get_lr_called_within_step = False

    def _warn_outside_step(self) -> None:
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use "
                "`get_last_lr()`.",
                UserWarning,
                stacklevel=3,
            )

    def state_dict(self) -> dict[str, Any]:
        """Everything the schedule knows, except the optimizer, which has a state dict itself."""
        return {name: value for name, value in self.__dict__.items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict()` of the same schedule gave."""
        self.__dict__.update(state_dict)


def require_optimizer(optimizer: Any) -> None:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")


def warn_of_epoch() -> None:
    warnings.warn(_EPOCH_WARNING, UserWarning, stacklevel=3)


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def group_values(optimizer: Optimizer, key: str) -> list[Any]:
    """One option of all groups; tensors are copied, because they change in place."""
    return [_copy(group[key]) for group in optimizer.param_groups]


def set_group_value(group: dict[str, Any], key: str, value: Any) -> None:
    """Set an option of a group, in place if it is a tensor."""
    if isinstance(group[key], Tensor):
        group[key].fill_(value.squeeze() if isinstance(value, Tensor) else value)
    else:
        group[key] = value


def for_each_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """An argument that is given once, or as a list for the parameter groups, as such a list."""
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [_copy(value) for _ in range(count)]
    if len(value) != count:
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups. "
            f"{name} has {len(value)} values, param_groups has {count}."
        )
    return [_copy(entry) for entry in value]


def callable_state(function: Any) -> dict[str, Any] | None:
    """What to save of a callable: the attributes of an object, nothing of a plain function."""
    return None if isinstance(function, types.FunctionType) else function.__dict__.copy()
