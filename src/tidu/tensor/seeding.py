"""The default generator of random numbers: its seed and its state."""

from __future__ import annotations

from tidu.base.random.generator import Generator, default_generator
from tidu.tensor.tensor import Tensor, from_array

__all__ = [
    "default_generator",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "seed",
    "set_rng_state",
]


def manual_seed(seed: int) -> Generator:
    """Seed the default generator: the same seed gives PyTorch's numbers.

    >>> _ = torch.manual_seed(0)
    >>> torch.rand(2)
    tensor([0.4963, 0.7682])
    """
    default_generator.manual_seed(int(seed))
    return default_generator


def seed() -> int:
    """Seed the default generator from the system, and return that seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed that the default generator was last given."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The state of the default generator, as a uint8 tensor."""
    return from_array(default_generator.get_state())


def set_rng_state(new_state: Tensor) -> None:
    """Put the default generator back into a state from `get_rng_state`."""
    default_generator.set_state(new_state.numpy())
