"""Objects whose calls change Python values: generators, optimizers and schedules.

While a call is recorded, they tell the recorder what they are asked to do.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tidu.base.random.generator import Generator
from tidu.optim.optimizer import Optimizer
from tidu.optim.scalars import HostScalars, rounded
from tidu.tensor import Tensor

DRAWS = (
    *("uniform", "normal", "log_normal", "exponential", "cauchy", "geometric", "bernoulli"),
    *("integers", "random", "permutation"),
)
SEEDS = ("manual_seed", "seed", "set_state")
READS = ("bernoulli_tensor", "multinomial")


class ListeningGenerator(Generator):
    """What a generator becomes while a call is recorded."""

    __slots__ = ()

    recorder: Any = None


def _draw(name: str) -> Callable[..., Any]:
    draw = getattr(Generator, name)

    @functools.wraps(draw)
    def method(self: ListeningGenerator, *args: Any, **kwargs: Any) -> Any:
        recorder = ListeningGenerator.recorder
        with recorder.inside() as outermost:
            array = draw(self, *args, **kwargs)
        if outermost:
            recorder.draw(self, name, args, kwargs, array)
        return array

    return method


def _refused(name: str, why: str) -> Callable[..., Any]:
    original = getattr(Generator, name)

    @functools.wraps(original)
    def method(self: ListeningGenerator, *args: Any, **kwargs: Any) -> Any:
        ListeningGenerator.recorder.refuse(why)
        return original(self, *args, **kwargs)

    return method


for _name in DRAWS:
    setattr(ListeningGenerator, _name, _draw(_name))
for _name in SEEDS:
    setattr(ListeningGenerator, _name, _refused(_name, "it sets the state of a random generator"))
for _name in READS:
    setattr(ListeningGenerator, _name, _refused(_name, "it reads a tensor to draw from it"))


class Options(dict[str, Any]):
    """A parameter group whose numbers are traced."""

    def __init__(self, recorder: Any, group: dict[str, Any]) -> None:
        super().__init__(group)
        self._recorder = recorder
        self._group = group

    def __getitem__(self, name: str) -> Any:
        return self._recorder.option(self._group, name)

    def get(self, name: str, default: Any = None) -> Any:
        """The option, or the default where the group has none."""
        if name in self._group:
            return self[name]
        self._recorder.require_absence(self._group, name)
        return default


class ListeningScalars:
    """Stands in for the host scalars of an optimizer: what it gives are traced numbers."""

    def __init__(self, recorder: Any, scalars: HostScalars) -> None:
        self._recorder = recorder
        self._scalars = scalars

    def read(self, tensor: Tensor) -> Any:
        if not self._recorder.is_here():
            return self._scalars.read(tensor)
        return self._recorder.tallies.read(self._scalars, tensor)

    def write(self, tensor: Tensor, number: Any) -> Any:
        if not self._recorder.is_here():
            return self._scalars.write(tensor, number)
        return self._recorder.tallies.write(self._scalars, tensor, number)

    def increase(self, tensors: list[Tensor]) -> list[Any]:
        numbers = []
        for tensor in tensors:
            number = self.read(tensor) + 1.0
            self.write(tensor, number)
            numbers.append(number)
        return numbers

    def multiply(self, tensor: Tensor, factor: Any) -> Any:
        # The product of two numbers of the dtype, rounded once: exact in double precision before.
        return self.write(tensor, self.read(tensor) * rounded(factor, tensor.dtype))

    def tensors(self) -> list[Tensor]:
        return self._scalars.tensors()

    def forget(self) -> None:
        self._recorder.refuse("it loads the state of an optimizer")
        self._scalars.forget()


class Listening:
    """A context in which the generators, optimizers and schedules there are tell a recorder."""

    def __init__(self, recorder: Any, found: Any) -> None:
        self._recorder = recorder
        self._generators = found.generators
        self._optimizers: list[Optimizer] = found.optimizers
        self._schedules = found.schedules

    def __enter__(self) -> None:
        ListeningGenerator.recorder = self._recorder
        for generator in self._generators:
            generator.__class__ = ListeningGenerator
        for optimizer in self._optimizers:
            scalars = ListeningScalars(self._recorder, optimizer._scalars)
            vars(optimizer).update(
                _update=functools.partial(self._update, optimizer), _scalars=scalars
            )
        for schedule in self._schedules:
            vars(schedule)["step"] = functools.partial(self._step, schedule)

    def __exit__(self, *exception: object) -> None:
        for generator in self._generators:
            generator.__class__ = Generator
        for optimizer in self._optimizers:
            state = vars(optimizer)
            state["_scalars"] = state["_scalars"]._scalars
            del state["_update"]
        for schedule in self._schedules:
            del vars(schedule)["step"]
        ListeningGenerator.recorder = None

    def _update(self, optimizer: Optimizer, group: dict[str, Any], advance: Any) -> None:
        if self._recorder.is_here():
            self._recorder.optimizer(optimizer)
            group = Options(self._recorder, group)
        type(optimizer)._update(optimizer, group, advance)

    def _step(self, schedule: Any, *args: Any, **kwargs: Any) -> None:
        with self._recorder.inside() as outermost:
            type(schedule).step(schedule, *args, **kwargs)
        if outermost:
            self._recorder.step_schedule(schedule, args, kwargs)
