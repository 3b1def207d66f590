"""Activations as layers. Each computes the function of the same name in `torch.nn.functional`."""

from __future__ import annotations

from typing import Any

from tidu.base.source import warn
from tidu.nn.module import Module
from tidu.nn.parameter import Parameter
from tidu.ops.activations import rectifiers, smooth, softmax
from tidu.ops.elementwise import sigmoid, tanh
from tidu.tensor import Tensor, full


def _with_inplace(text: str, inplace: bool) -> str:
    """What is shown of the arguments: `inplace` only where it is set."""
    return ", ".join(part for part in (text, "inplace=True" if inplace else "") if part)


class _Plain(Module):
    """An activation whose only argument is whether it works in place."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        return _with_inplace("", self.inplace)


class ReLU(_Plain):
    """max(x, 0).

    >>> torch.nn.ReLU()(torch.tensor([-1., 2.]))
    tensor([0., 2.])
    """

    def forward(self, input: Tensor) -> Any:
        return rectifiers.relu_function(input, self.inplace)


class Hardtanh(Module):
    """min(max(x, `min_val`), `max_val`).

    >>> nn.Hardtanh()(torch.tensor([-1.0, 0.2, 2.0]))
    tensor([-1.0000,  0.2000,  1.0000])
    """

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("min", min_value), ("max", max_value)):
            if value is not None:
                warn(
                    f"keyword argument `{name}_value` is deprecated and renamed to `{name}_val`",
                    FutureWarning,
                )
        self.min_val = min_val if min_value is None else min_value
        self.max_val = max_val if max_value is None else max_value
        self.inplace = inplace
        assert self.max_val > self.min_val, (
            f"max_val ({self.max_val}) must be greater than min_val ({self.min_val})"
        )

    def forward(self, input: Tensor) -> Any:
        return rectifiers.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        return _with_inplace(f"min_val={self.min_val}, max_val={self.max_val}", self.inplace)


class ReLU6(Hardtanh):
    """min(max(x, 0), 6).

    >>> nn.ReLU6()(torch.tensor([-1.0, 0.2, 2.0]))
    tensor([0.0000, 0.2000, 2.0000])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self) -> str:
        return _with_inplace("", self.inplace)


class Threshold(Module):
    """x where it is greater than `threshold`, else `value`.

    >>> nn.Threshold(0.5, 0.0)(torch.tensor([0.2, 1.0]))
    tensor([0., 1.])
    """

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold = threshold
        self.value = value
        self.inplace = inplace

    def forward(self, input: Tensor) -> Any:
        return rectifiers.threshold_function(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        return _with_inplace(f"threshold={self.threshold}, value={self.value}", self.inplace)


class LeakyReLU(Module):
    """x where it is positive, else `negative_slope` · x.

    >>> nn.LeakyReLU(0.1)(torch.tensor([-1.0, 1.0]))
    tensor([-0.1000,  1.0000])
    """

    def __init__(self, negative_slope: float = 1e-2, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, input: Tensor) -> Any:
        return rectifiers.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        return _with_inplace(f"negative_slope={self.negative_slope}", self.inplace)


class PReLU(Module):
    """x where it is positive, else weight · x, with weights that are trained.

    `num_parameters` is 1, or the number of channels (dimension 1); `init` is where they start.

    >>> nn.PReLU()(torch.tensor([-1.0, 0.2, 2.0]))
    tensor([-0.2500,  0.2000,  2.0000], grad_fn=<PreluKernelBackward0>)
    """

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(full((num_parameters,), float(init), device=device, dtype=dtype))

    def reset_parameters(self) -> None:
        """Start again from `init`."""
        self.weight.data.fill_(self.init)

    def forward(self, input: Tensor) -> Any:
        return rectifiers.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class RReLU(Module):
    """x where it is positive, else a · x with a drawn from [`lower`, `upper`],
    their mean in evaluation.

    >>> nn.RReLU()(torch.randn(2)).shape
    torch.Size([2])
    """

    def __init__(
        self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False
    ) -> None:
        super().__init__()
        self.lower = lower
        self.upper = upper
        self.inplace = inplace

    def forward(self, input: Tensor) -> Any:
        return rectifiers.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        return _with_inplace(f"lower={self.lower}, upper={self.upper}", self.inplace)


class Hardsigmoid(_Plain):
    """relu6(x + 3) / 6.

    >>> nn.Hardsigmoid()(torch.tensor([-1.0, 0.2, 2.0]))
    tensor([0.3333, 0.5333, 0.8333])
    """

    def forward(self, input: Tensor) -> Any:
        return rectifiers.hardsigmoid(input, self.inplace)

    def extra_repr(self) -> str:
        return ""


class Hardswish(_Plain):
    """x · relu6(x + 3) / 6.

    >>> nn.Hardswish()(torch.tensor([-1.0, 0.2, 2.0]))
    tensor([-0.3333,  0.1067,  1.6667])
    """

    def forward(self, input: Tensor) -> Any:
        return rectifiers.hardswish(input, self.inplace)

    def extra_repr(self) -> str:
        return ""


class _Shrink(Module):
    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def extra_repr(self) -> str:
        return str(self.lambd)


class Hardshrink(_Shrink):
    """x outside [-λ, λ], 0 inside.

    >>> nn.Hardshrink()(torch.tensor([-1.0, 0.2, 2.0]))
    tensor([-1.,  0.,  2.])
    """

    def forward(self, input: Tensor) -> Any:
        return rectifiers.hardshrink(input, self.lambd)


class Softshrink(_Shrink):
    """x moved towards 0 by λ, and 0 where it is closer than that.

    >>> nn.Softshrink()(torch.tensor([-1.0, 0.2, 2.0]))
    tensor([-0.5000,  0.0000,  1.5000])
    """

    def forward(self, input: Tensor) -> Any:
        return rectifiers.softshrink(input, self.lambd)


class Sigmoid(Module):
    """1 / (1 + exp(-x)).

    >>> nn.Sigmoid()(torch.tensor([0.0, 1.0]))
    tensor([0.5000, 0.7311])
    """

    def forward(self, input: Tensor) -> Any:
        return sigmoid(input)


class Tanh(Module):
    """The hyperbolic tangent.

    >>> nn.Tanh()(torch.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7616])
    """

    def forward(self, input: Tensor) -> Any:
        return tanh(input)


class SiLU(_Plain):
    """x · sigmoid(x).

    >>> nn.SiLU()(torch.tensor([-1.0, 1.0]))
    tensor([-0.2689,  0.7311])
    """

    def forward(self, input: Tensor) -> Any:
        return smooth.silu(input, self.inplace)


class Mish(_Plain):
    """x · tanh(softplus(x)).

    >>> nn.Mish()(torch.tensor([-1.0, 0.2, 2.0]))
    tensor([-0.3034,  0.1326,  1.9440])
    """

    def forward(self, input: Tensor) -> Any:
        return smooth.mish(input, self.inplace)


class SELU(_Plain):
    """The elu of self-normalizing networks.

    >>> nn.SELU()(torch.tensor([-1.0, 0.2, 2.0]))
    tensor([-1.1113,  0.2101,  2.1014])
    """

    def forward(self, input: Tensor) -> Any:
        return smooth.selu(input, self.inplace)


class _Exponential(Module):
    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def extra_repr(self) -> str:
        return _with_inplace(f"alpha={self.alpha}", self.inplace)


class ELU(_Exponential):
    """x where it is positive, else α · (exp(x) - 1).

    >>> nn.ELU()(torch.tensor([-1.0, 1.0]))
    tensor([-0.6321,  1.0000])
    """

    def forward(self, input: Tensor) -> Any:
        return smooth.elu(input, self.alpha, self.inplace)


class CELU(_Exponential):
    """x where it is positive, else α · (exp(x/α) - 1).

    >>> nn.CELU()(torch.tensor([-1.0, 0.2, 2.0]))
    tensor([-0.6321,  0.2000,  2.0000])
    """

    def forward(self, input: Tensor) -> Any:
        return smooth.celu(input, self.alpha, self.inplace)


class GELU(Module):
    """x · Φ(x); ``approximate="tanh"`` takes a tanh for the distribution function Φ.

    >>> nn.GELU()(torch.tensor([-1.0, 1.0]))
    tensor([-0.1587,  0.8413])
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Any:
        return smooth.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class GLU(Module):
    """a · sigmoid(b), for the halves a and b of the input along `dim`.

    >>> nn.GLU()(torch.randn(2, 6)).shape
    torch.Size([2, 3])
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Any:
        return smooth.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softplus(Module):
    """log(1 + exp(β · x)) / β; x itself where β · x > `threshold`.

    >>> nn.Softplus()(torch.tensor([-1.0, 0.2, 2.0]))
    tensor([0.3133, 0.7981, 2.1269])
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Tensor) -> Any:
        return smooth.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class LogSigmoid(Module):
    """log sigmoid(x).

    >>> nn.LogSigmoid()(torch.tensor([-1.0, 0.2, 2.0]))
    tensor([-1.3133, -0.5981, -0.1269])
    """

    def forward(self, input: Tensor) -> Any:
        return smooth.log_sigmoid(input)


class Softsign(Module):
    """x / (1 + |x|).

    >>> nn.Softsign()(torch.tensor([-1.0, 0.2, 2.0]))
    tensor([-0.5000,  0.1667,  0.6667])
    """

    def forward(self, input: Tensor) -> Any:
        return smooth.softsign(input)


class Tanhshrink(Module):
    """x - tanh(x).

    >>> nn.Tanhshrink()(torch.tensor([-1.0, 0.2, 2.0]))
    tensor([-0.2384,  0.0026,  1.0360])
    """

    def forward(self, input: Tensor) -> Any:
        return smooth.tanhshrink(input)


class _Along(Module):
    """A function along one dimension, which should be named."""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax(_Along):
    """exp(x) / Σ exp(x) along `dim`.

    >>> torch.nn.Softmax(dim=1)(torch.zeros(1, 4))
    tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """

    def forward(self, input: Tensor) -> Any:
        return softmax.softmax_function(input, self.dim)


class LogSoftmax(_Along):
    """x - log Σ exp(x) along `dim`.

    >>> nn.LogSoftmax(dim=0)(torch.zeros(2))
    tensor([-0.6931, -0.6931])
    """

    def forward(self, input: Tensor) -> Any:
        return softmax.log_softmax_function(input, self.dim)


class Softmin(_Along):
    """softmax(-x) along `dim`.

    >>> nn.Softmin(dim=0)(torch.zeros(2))
    tensor([0.5000, 0.5000])
    """

    def forward(self, input: Tensor) -> Any:
        return softmax.softmin(input, self.dim)


class Softmax2d(Module):
    """Softmax over the channels of (batch, channels, height, width), or of one image.

    >>> nn.Softmax2d()(torch.zeros(1, 2, 1, 1)).flatten()
    tensor([0.5000, 0.5000])
    """

    def forward(self, input: Tensor) -> Any:
        rank = input.ndim
        if rank not in (3, 4):
            raise ValueError(f"Softmax2d: expected input to be 3D or 4D, got {rank}D instead")
        return softmax.softmax(input, -3)
