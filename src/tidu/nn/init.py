"""Initial values for parameters. They are drawn as PyTorch draws them: same seed, same weights.

Every function writes to the tensor it is given, beside the tape, and returns it.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tidu.autograd.modes import no_grad
from tidu.base.random.generator import Generator
from tidu.base.source import at, here, located
from tidu.tensor import Tensor, from_array
from tidu.tensor.seeding import default_generator

LINEAR_LIKE = (
    "linear",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "sigmoid",
)


@located
def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which a nonlinearity shrinks the standard deviation,
    to be multiplied onto the weights.

    1 for linear layers and sigmoid, 5/3 for tanh, √2 for relu, √(2 / (1 + slope²)) for leaky_relu
    with slope `param` (0.01 if None), 3/4 for selu. Raises ValueError for another name.

    >>> calculate_gain("tanh")
    1.6666666666666667
    """
    if nonlinearity in LINEAR_LIKE:
        return 1
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        if param is None:
            param = 0.01
        elif isinstance(param, bool) or not isinstance(param, (int, float)):
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + param**2))
    if nonlinearity == "selu":
        return 0.75
    raise ValueError(f"Unsupported nonlinearity {nonlinearity}")


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Uniform numbers in [a, b).

    >>> nn.init.uniform_(torch.empty(2, 3), -1.0, 1.0).shape
    torch.Size([2, 3])
    """
    with no_grad():
        return tensor.uniform_(a, b, generator=generator)  # type: ignore[no-any-return]


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Normal numbers with the given mean and standard deviation.

    >>> nn.init.normal_(torch.empty(2, 3), std=0.1).shape
    torch.Size([2, 3])
    """
    with no_grad():
        return tensor.normal_(mean, std, generator=generator)  # type: ignore[no-any-return]


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Every element `val`.

    >>> nn.init.constant_(torch.empty(2), 0.5)
    tensor([0.5000, 0.5000])
    """
    with no_grad():
        return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """Every element 1.

    >>> nn.init.ones_(torch.empty(2))
    tensor([1., 1.])
    """
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Every element 0.

    >>> nn.init.zeros_(torch.empty(2))
    tensor([0., 0.])
    """
    return constant_(tensor, 0.0)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal numbers, drawn again where they fall outside [a, b];
    warns if `mean` is far outside.

    >>> nn.init.trunc_normal_(torch.empty(2, 3)).abs().max() <= 2
    tensor(True)
    """
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. The distribution of "
            "values may be incorrect.",
            stacklevel=2,
        )
    source = generator or default_generator
    inside = _normal_cdf((b - mean) / std) - _normal_cdf((a - mean) / std)
    # Where most normal numbers would be thrown away, thin out uniform ones instead.
    draw = _truncated_by_redrawing if inside > 0.3 else _truncated_by_thinning
    return _assign(tensor, draw(source, tuple(tensor.shape), tensor.dtype.numpy, mean, std, a, b))


def _normal_cdf(x: float) -> float:
    return (1 + math.erf(x / math.sqrt(2))) / 2


def _truncated_by_redrawing(
    source: Generator,
    shape: tuple[int, ...],
    kind: Any,
    mean: float,
    std: float,
    a: float,
    b: float,
) -> Any:
    low, high = kind.type(a), kind.type(b)
    drawn = source.normal(shape, kind, mean, std)
    while np.any(outside := (drawn < low) | (drawn > high)):
        drawn = np.where(outside, source.normal(shape, kind, mean, std), drawn)
    return drawn


def _truncated_by_thinning(
    source: Generator,
    shape: tuple[int, ...],
    kind: Any,
    mean: float,
    std: float,
    a: float,
    b: float,
) -> Any:
    """Uniform candidates, kept with the probability
    that the density there has relative to its peak.
    """
    log_peak = -0.5 * ((max(a, min(mean, b)) - mean) / std) ** 2
    accepted = np.zeros(shape, kind)
    waiting = np.ones(shape, bool)
    while waiting.any():
        candidates = source.uniform(shape, kind, a, b)
        log_density = ((candidates - kind.type(mean)) / kind.type(std)) ** 2 * kind.type(
            -0.5
        ) - kind.type(log_peak)
        with np.errstate(divide="ignore"):
            refused = np.log(source.uniform(shape, kind)) > log_density
        accepted = np.where(waiting, candidates, accepted)
        waiting = waiting & refused
    return accepted


def _assign(tensor: Tensor, array: Any) -> Tensor:
    with no_grad():
        return tensor.copy_(
            from_array(np.ascontiguousarray(array, dtype=tensor.dtype.numpy), tensor.dtype)
        )


@located
def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix; ValueError unless the tensor has two dimensions.

    >>> nn.init.eye_(torch.empty(2, 2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    if tensor.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    return _assign(tensor, np.eye(*tensor.shape))


@located
def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution weight that passes its input channels on; within each of `groups` on its own.

    Raises ValueError unless the tensor has 3, 4 or 5 dimensions and `groups` divides the first.
    """
    if tensor.ndim not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    shape = tuple(tensor.shape)
    if shape[0] % groups:
        raise ValueError("dim 0 must be divisible by groups")
    out_channels = shape[0] // groups
    center = tuple(n // 2 for n in shape[2:])
    weight = np.zeros(shape)
    for group in range(groups):
        for channel in range(min(out_channels, shape[1])):
            weight[(group * out_channels + channel, channel, *center)] = 1
    return _assign(tensor, weight)


@located
def sparse_(
    tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None
) -> Tensor:
    """Normal numbers of which the share `sparsity` of each column is set to zero (Martens, 2010).

    Raises ValueError unless the tensor has two dimensions.
    """
    if tensor.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    rows, columns = tensor.shape
    zeros_in_column = math.ceil(sparsity * rows)
    weight = (generator or default_generator).normal((rows, columns), tensor.dtype.numpy, 0, std)
    for column in range(columns):
        # The places come from the default generator even where another draws the numbers, as in
        # PyTorch.
        weight[default_generator.permutation(rows, np.int64)[:zeros_in_column], column] = 0
    return _assign(tensor, weight)


@located
def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """A (semi-)orthogonal matrix times `gain`;
    dimensions after the first are taken as one (Saxe et al., 2013).

    Raises ValueError for fewer than two dimensions.

    >>> w = nn.init.orthogonal_(torch.empty(2, 2))
    >>> torch.allclose(w @ w.T, torch.eye(2), atol=1e-6)
    True
    """
    if tensor.ndim < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    if tensor.numel() == 0:
        return tensor
    rows = tensor.shape[0]
    columns = tensor.numel() // rows
    drawn = (generator or default_generator).normal((rows, columns), tensor.dtype.numpy, 0, 1)
    q, r = np.linalg.qr(drawn.T if rows < columns else drawn)
    q = q * np.sign(np.diag(r))  # the factorization is only unique up to these signs
    return _assign(tensor, (q.T if rows < columns else q).reshape(tuple(tensor.shape)) * gain)


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """How many inputs an output of this weight sees, and how many outputs an input reaches."""
    shape = tuple(tensor.shape)
    if len(shape) < 2:
        raise ValueError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"
            f"{at(here())}"
        )
    receptive_field = math.prod(shape[2:])
    return shape[1] * receptive_field, shape[0] * receptive_field


def _calculate_correct_fan(tensor: Tensor, mode: str) -> int:
    mode = mode.lower()
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    return fan_in if mode == "fan_in" else fan_out


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Uniform in (−a, a), a = gain · √(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010).

    >>> nn.init.xavier_uniform_(torch.empty(3, 3)).abs().max() <= 1
    tensor(True)
    """
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    bound = math.sqrt(3.0) * (gain * math.sqrt(2.0 / float(fan_in + fan_out)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with standard deviation gain · √(2 / (fan_in + fan_out)) (Glorot and Bengio, 2010).

    >>> nn.init.xavier_normal_(torch.empty(2, 3)).shape
    torch.Size([2, 3])
    """
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / float(fan_in + fan_out)), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float | None:
    """The standard deviation gain / √fan, or None where there is nothing to fill."""
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
        return None
    fan = _calculate_correct_fan(tensor, mode)
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform in (−b, b), b = gain · √(3 / fan) (He et al., 2015).

    fan is the number of inputs of a unit, or of its outputs with `mode` "fan_out"; the gain is that
    of `nonlinearity`, with slope `a` for leaky_relu.

    >>> nn.init.kaiming_uniform_(torch.empty(3, 6), nonlinearity="relu").abs().max() <= 1
    tensor(True)
    """
    std = _kaiming_std(tensor, a, mode, nonlinearity)
    if std is None:
        return tensor
    bound = math.sqrt(3.0) * std
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with standard deviation gain / √fan (He et al., 2015);
    arguments as for `kaiming_uniform_`.

    >>> nn.init.kaiming_normal_(torch.empty(2, 3)).shape
    torch.Size([2, 3])
    """
    std = _kaiming_std(tensor, a, mode, nonlinearity)
    return tensor if std is None else normal_(tensor, 0.0, std, generator)


def _deprecated(successor: Callable[..., Tensor]) -> Callable[..., Tensor]:
    new = successor.__name__
    old = new[:-1]

    @functools.wraps(successor)
    def function(*args: Any, **kwargs: Any) -> Tensor:
        warnings.warn(
            f"`nn.init.{old}` is now deprecated in favor of `nn.init.{new}`.",
            FutureWarning,
            stacklevel=2,
        )
        return successor(*args, **kwargs)

    function.__name__ = function.__qualname__ = old
    return function


uniform = _deprecated(uniform_)
normal = _deprecated(normal_)
constant = _deprecated(constant_)
eye = _deprecated(eye_)
dirac = _deprecated(dirac_)
xavier_uniform = _deprecated(xavier_uniform_)
xavier_normal = _deprecated(xavier_normal_)
kaiming_uniform = _deprecated(kaiming_uniform_)
kaiming_normal = _deprecated(kaiming_normal_)
orthogonal = _deprecated(orthogonal_)
sparse = _deprecated(sparse_)
