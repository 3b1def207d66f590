"""Schedules made of schedules: one after the other, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from tidu.optim.lr_scheduler.base import LRScheduler, set_group_value
from tidu.optim.lr_scheduler.plateau import ReduceLROnPlateau
from tidu.optim.optimizer import Optimizer


class _ComposedLR(LRScheduler):
    """Several schedules of one optimizer, saved and loaded together."""

    _schedulers: Sequence[LRScheduler]

    def _check_parts(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer) -> None:
        name = type(self).__name__
        for index, scheduler in enumerate(schedulers):
            if not isinstance(getattr(scheduler, "optimizer", None), Optimizer):
                raise TypeError(
                    f"{name} at index {index} should have `optimizer` as its attribute."
                )
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(
                    f"{name} does not support `ReduceLROnPlateau` scheduler as it requires "
                    "additional kwargs to be specified when calling `step`, but got one at index "
                    f"{index} in the given schedulers sequence."
                )
            if scheduler.optimizer is not optimizer:
                raise ValueError(
                    f"{name} expects all schedulers to belong to the same optimizer, but got "
                    f"scheduler {type(scheduler).__name__} at index {index}, which has another one."
                )

    def state_dict(self) -> dict[str, Any]:
        """The state of the whole, with those of its parts under "_schedulers"."""
        state = super().state_dict()
        state["_schedulers"] = [scheduler.state_dict() for scheduler in self._schedulers]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict()` of the same composition gave."""
        rest = dict(state_dict)
        for scheduler, state in zip(self._schedulers, rest.pop("_schedulers"), strict=True):
            scheduler.load_state_dict(state)
        self.__dict__.update(rest)


class SequentialLR(_ComposedLR):
    """One schedule after the other: `milestones` are the epochs at which the next one starts.

    Raises ValueError unless there is one milestone less than schedules, all of the same optimizer.
    Follows torch.optim.lr_scheduler.SequentialLR.

    >>> parts = [LinearLR(optimizer, 0.01, total_iters=5), CosineAnnealingLR(optimizer, T_max=95)]
    >>> scheduler = SequentialLR(optimizer, parts, milestones=[5])
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[LRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        if len(schedulers) < 1:
            raise ValueError(
                f"{type(self).__name__} expects at least one scheduler, but got no scheduler."
            )
        self._check_parts(schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                "Sequential Schedulers expects number of schedulers provided to be one more than "
                f"the number of milestone points, but got number of schedulers {len(schedulers)} "
                f"and the number of milestones to be equal to {len(milestones)}"
            )
        self._schedulers = schedulers
        self._milestones = milestones
        self.last_epoch = last_epoch + 1
        self.optimizer = optimizer
        # Each part has set its own first rate when it was made: back to the start, then the first
        # part.
        for group in optimizer.param_groups:
            set_group_value(group, "lr", group["initial_lr"])
        self.recursive_undo()
        first = schedulers[bisect_right(milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def recursive_undo(self, sched: LRScheduler | None = None) -> None:
        """Take back the step that every part made when it was created."""
        scheduler = self if sched is None else sched
        if isinstance(scheduler, _ComposedLR):
            for part in scheduler._schedulers:
                self.recursive_undo(part)
        else:
            scheduler.last_epoch -= 1

    def step(self, epoch: int | None = None) -> None:
        """Go on by one epoch with the schedule whose turn it is."""
        if epoch is not None:
            raise TypeError("SequentialLR.step() takes no epoch: its parts count their own")
        self.last_epoch += 1
        turn = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[turn]
        if turn > 0 and self._milestones[turn - 1] == self.last_epoch:
            scheduler._update_lr(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


class ChainedScheduler(_ComposedLR):
    """Several schedules at once: each `step()` steps all of them, so that their factors multiply.

    Raises ValueError unless all belong to the same optimizer. Follows
    torch.optim.lr_scheduler.ChainedScheduler.

    >>> scheduler = ChainedScheduler([LinearLR(optimizer, 0.1), ExponentialLR(optimizer, 0.99)])
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        if len(schedulers) < 1:
            raise ValueError(
                f"{type(self).__name__} expects at least one scheduler to be chained, "
                "but got no scheduler."
            )
        if optimizer is None:
            optimizer = schedulers[0].optimizer
        self._check_parts(schedulers, optimizer)
        self._schedulers = schedulers
        self.optimizer = optimizer
        self._last_lr = self._present_rates()

    def step(self, epoch: int | None = None) -> None:
        """Step every schedule once, in their order."""
        if epoch is not None:
            raise TypeError("ChainedScheduler.step() takes no epoch: its parts count their own")
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = self._present_rates()
