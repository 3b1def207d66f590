"""Ports of workloads to JAX: the whole step is one `jax.jit` with donated state.

    /path/to/python/with/jax benchmarks/jax_ports.py mlp RECORD.npz --steps 20

They start from a record that `trajectory.py --record` wrote under PyTorch: the parameters in the
order of the optimizer, and the data drawn. Run as a script, this prints the losses of the first
steps, in the precision of the record; `compare_all.py --check` compares them with PyTorch's.

State is a pair: the parameters with what the optimizer keeps, and what the model carries from step
to step (running statistics, a recurrent state, a random key).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Array = Any
Loss = Callable[..., tuple[Array, Any]]  # (parameters, carried, *data) -> (loss, carried)
Step = Callable[..., tuple[Any, Array]]  # (state, *data) -> (state, loss)


def groups(arrays: Sequence[Array], size: int) -> list[Sequence[Array]]:
    """The arrays, `size` at a time."""
    return [arrays[i : i + size] for i in range(0, len(arrays), size)]


def sgd(rate: float, momentum: float = 0.0, decay: float = 0.0) -> tuple[Callable, Callable]:
    """Stochastic gradient descent as `torch.optim.SGD` does it."""

    def begin(parameters: list[Array]) -> list[Array]:
        return [jnp.zeros_like(p) for p in parameters] if momentum else []

    def update(parameters: list, gradients: list, velocities: list) -> tuple[list, list]:
        gradients = [g + decay * p for p, g in zip(parameters, gradients)]
        if momentum:
            gradients = velocities = [momentum * v + g for v, g in zip(velocities, gradients)]
        return [p - rate * g for p, g in zip(parameters, gradients)], velocities

    return begin, update


def adam(rate: float, decay: float = 0.0) -> tuple[Callable, Callable]:
    """Adam with PyTorch's defaults; `decay` is decoupled, as in `torch.optim.AdamW`."""
    beta1, beta2, epsilon = 0.9, 0.999, 1e-8

    def begin(parameters: list[Array]) -> tuple:
        zeros = [jnp.zeros_like(p) for p in parameters]
        return jnp.zeros((), parameters[0].dtype), zeros, [jnp.zeros_like(p) for p in parameters]

    def update(parameters: list, gradients: list, memory: tuple) -> tuple[list, tuple]:
        count, means, squares = memory
        count = count + 1
        means = [beta1 * m + (1 - beta1) * g for m, g in zip(means, gradients)]
        squares = [beta2 * s + (1 - beta2) * g * g for s, g in zip(squares, gradients)]
        pace = rate / (1 - beta1**count)
        correction = jnp.sqrt(1 - beta2**count)
        parameters = [
            p * (1 - rate * decay) - pace * m / (jnp.sqrt(s) / correction + epsilon)
            for p, m, s in zip(parameters, means, squares)
        ]
        return parameters, (count, means, squares)

    return begin, update


def clip_norm(gradients: list[Array]) -> list[Array]:
    """Scale all gradients so that together their norm is at most 1."""
    norm = jnp.sqrt(sum(jnp.vdot(g, g) for g in gradients))
    scale = jnp.minimum(1.0, 1.0 / (norm + 1e-6))
    return [scale * g for g in gradients]


def clip_value(gradients: list[Array]) -> list[Array]:
    return [jnp.clip(g, -1.0, 1.0) for g in gradients]


def training(
    parameters: list[Array],
    loss: Loss,
    optimizer: tuple[Callable, Callable],
    clip: Callable[[list[Array]], list[Array]] = list,
    carried: Any = None,
) -> tuple[Step, Any]:
    """The usual step, and its first state."""
    begin, update = optimizer

    def step(state: Any, *data: Array) -> tuple[Any, Array]:
        (parameters, memory), carried = state
        differentiate = jax.value_and_grad(loss, has_aux=True)
        (value, carried), gradients = differentiate(parameters, carried, *data)
        return (update(parameters, clip(gradients), memory), carried), value

    return step, ((parameters, begin(parameters)), carried)


def linear(x: Array, weight: Array, bias: Array) -> Array:
    return x @ weight.T + bias


def cross_entropy(logits: Array, target: Array) -> Array:
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), target[..., None], axis=-1)
    return -chosen.mean()


def convolve(x: Array, weight: Array, stride: int, padding: int) -> Array:
    """PyTorch's convolution of any number of dimensions: (batch, channels, ...)."""
    dimensions = x.ndim - 2
    letters = "DHW"[-dimensions:]
    return jax.lax.conv_general_dilated(
        x,
        weight,
        (stride,) * dimensions,
        [(padding, padding)] * dimensions,
        dimension_numbers=("NC" + letters, "OI" + letters, "NC" + letters),
    )


def add_channels(x: Array, bias: Array) -> Array:
    return x + bias.reshape(-1, *(1,) * (x.ndim - 2))


def batch_norm(x: Array, weight: Array, bias: Array, running: tuple) -> tuple[Array, tuple]:
    """Batch normalization in training, and the new running mean and variance."""
    axes = (0, *range(2, x.ndim))
    mean, variance = x.mean(axes), x.var(axes)
    scale = weight * jax.lax.rsqrt(variance + 1e-5)
    y = add_channels(x * scale.reshape(-1, *(1,) * (x.ndim - 2)), bias - mean * scale)
    count = x.size // x.shape[1]
    fresh = (mean, variance * count / (count - 1))
    return y, tuple(0.9 * old + 0.1 * new for old, new in zip(running, fresh))


def fresh_statistics(widths: list[int], dtype: Any) -> list[tuple]:
    return [(jnp.zeros(width, dtype), jnp.ones(width, dtype)) for width in widths]


def perceptron(
    activation: Callable, criterion: Callable, optimizer: tuple, clip: Callable = list
) -> Callable:
    """A port of linear layers with an activation between them."""

    def loss(parameters: list, carried: None, x: Array, y: Array) -> tuple[Array, None]:
        *hidden, last = groups(parameters, 2)
        for layer in hidden:
            x = activation(linear(x, *layer))
        return criterion(linear(x, *last), y), None

    def build(parameters: list[Array], draws: list[Array], dropout: bool) -> tuple:
        return *training(parameters, loss, optimizer, clip), draws[-2:]

    return build


def squared_error(prediction: Array, target: Array) -> Array:
    return ((prediction - target) ** 2).mean()


mlp_small = perceptron(jax.nn.relu, squared_error, sgd(0.01))
mlp = perceptron(jax.nn.relu, cross_entropy, adam(1e-3))
deep_sigmoid = perceptron(jax.nn.sigmoid, squared_error, sgd(0.1, momentum=0.9), clip_norm)


def halve(x: Array) -> Array:
    """Max pooling 2×2 of (batch, channels, height, width)."""
    batch, channels, height, width = x.shape
    return x.reshape(batch, channels, height // 2, 2, width // 2, 2).max((3, 5))


def lenet(parameters: list[Array], draws: list[Array], dropout: bool) -> tuple:
    def loss(parameters: list, carried: None, x: Array, y: Array) -> tuple[Array, None]:
        conv1, bias1, conv2, bias2, *dense = parameters
        x = halve(jax.nn.relu(add_channels(convolve(x, conv1, 1, 2), bias1)))
        x = halve(jax.nn.relu(add_channels(convolve(x, conv2, 1, 0), bias2)))
        x = jax.nn.relu(linear(x.reshape(x.shape[0], -1), *dense[:2]))
        return cross_entropy(linear(x, *dense[2:]), y), None

    return *training(parameters, loss, sgd(0.01, momentum=0.9)), draws[-2:]


def resnet(parameters: list[Array], draws: list[Array], dropout: bool) -> tuple:
    def loss(parameters: list, carried: list, x: Array, y: Array) -> tuple[Array, list]:
        take, running, fresh = iter(parameters), iter(carried), []

        def conv_norm(x: Array, stride: int, padding: int = 1) -> Array:
            x = convolve(x, next(take), stride, padding)
            x, statistics = batch_norm(x, next(take), next(take), next(running))
            fresh.append(statistics)
            return x

        x = jax.nn.relu(conv_norm(x, 1))
        for stride in (1, 1, 2, 1, 2, 1):
            y_ = conv_norm(jax.nn.relu(conv_norm(x, stride)), 1)
            x = jax.nn.relu(y_ + (conv_norm(x, stride, 0) if stride > 1 else x))
        return cross_entropy(linear(x.mean((2, 3)), *take), y), fresh

    widths = [p.shape[0] for p in parameters if p.ndim == 4]
    carried = fresh_statistics(widths, parameters[0].dtype)
    optimizer = sgd(0.1, momentum=0.9, decay=1e-4)
    return *training(parameters, loss, optimizer, carried=carried), draws[-2:]


def densenet1d(parameters: list[Array], draws: list[Array], dropout: bool) -> tuple:
    def loss(parameters: list, carried: tuple, x: Array, y: Array) -> tuple[Array, tuple]:
        key, running = carried[0], iter(carried[1])
        take, fresh = iter(parameters), []

        def pairs(count: int) -> list[tuple[Array, Array]]:
            return [(next(take), next(take)) for _ in range(count)]

        def normalized(x: Array, weight: Array, bias: Array) -> Array:
            x, statistics = batch_norm(x, weight, bias, next(running))
            fresh.append(statistics)
            return x

        def convolved(x: Array, weight: Array, bias: Array) -> Array:
            return add_channels(convolve(x, weight, 1, weight.shape[2] // 2), bias)

        x = jax.nn.relu(convolved(x, *pairs(1)[0]))
        for block in range(4):
            for norm, conv in zip(pairs(8), pairs(8)):
                new = jax.nn.relu(convolved(normalized(x, *norm), *conv))
                if dropout:
                    key, drawn = jax.random.split(key)
                    new = jnp.where(jax.random.bernoulli(drawn, 0.5, new.shape), 2 * new, 0)
                x = jnp.concatenate([x, new], axis=1)
            if block < 3:
                x = jax.nn.relu(convolved(normalized(x, *pairs(1)[0]), *pairs(1)[0]))
                half = x.shape[2] // 2  # pooling drops an odd end
                x = x[:, :, : 2 * half].reshape(*x.shape[:2], half, 2).mean(3)
        logits = linear(x.mean(2), *take)
        value = jnp.maximum(logits, 0) - logits * y + jnp.log1p(jnp.exp(-jnp.abs(logits)))
        return value.mean(), (key, fresh)

    widths = []
    for width in (64, 80, 88, 92):  # channels before each block; a transition halves them
        widths += [*range(width, width + 96, 12), width + 96]
    statistics = fresh_statistics(widths[:-1], parameters[0].dtype)
    carried = (jax.random.key(0), statistics)
    x, y = draws[-2:]
    return (
        *training(parameters, loss, adam(1e-3), clip_value, carried),
        (x, y.astype(parameters[0].dtype)),
    )


def charlstm(parameters: list[Array], draws: list[Array], dropout: bool) -> tuple:
    def layer(x: Array, state: tuple, weights: tuple) -> tuple[Array, tuple]:
        """One LSTM layer over x (time, batch, features), gates in PyTorch's order."""
        into, recurrent, bias_in, bias_recurrent = weights
        inputs = x @ into.T + bias_in + bias_recurrent

        def advance(state: tuple, inputs: Array) -> tuple[tuple, Array]:
            h, c = state
            i, f, g, o = jnp.split(inputs + h @ recurrent.T, 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        state, y = jax.lax.scan(advance, state, inputs)
        return y, state

    def loss(parameters: list, carried: list, x: Array, y: Array) -> tuple[Array, list]:
        embedding, *recurrent, weight, bias = parameters
        hidden, states = embedding[x.T], []
        for state, weights in zip(carried, groups(recurrent, 4)):
            hidden, state = layer(hidden, state, weights)
            states.append(state)
        return cross_entropy(linear(hidden, weight, bias), y.T), states

    (batch, _), hidden = draws[-2].shape, parameters[2].shape[1]

    def zeros() -> Array:
        return jnp.zeros((batch, hidden), parameters[0].dtype)

    carried = [(zeros(), zeros()) for _ in range(2)]
    return *training(parameters, loss, adam(1e-3), clip_norm, carried), draws[-2:]


def layer_norm(x: Array, weight: Array, bias: Array) -> Array:
    centered = x - x.mean(-1, keepdims=True)
    variance = (centered * centered).mean(-1, keepdims=True)
    return centered * jax.lax.rsqrt(variance + 1e-5) * weight + bias


def gpt(parameters: list[Array], draws: list[Array], dropout: bool) -> tuple:
    def block(x: Array, weights: tuple) -> Array:
        norm1, norm2, mix, out, up, down = groups(weights, 2)
        batch, length, width = x.shape
        parts = jnp.split(linear(layer_norm(x, *norm1), *mix), 3, axis=-1)
        heads = [part.reshape(batch, length, 4, width // 4) for part in parts]
        mixed = jax.nn.dot_product_attention(*heads, is_causal=True)
        x = x + linear(mixed.reshape(batch, length, width), *out)
        hidden = jax.nn.gelu(linear(layer_norm(x, *norm2), *up), approximate=False)
        return x + linear(hidden, *down)

    def loss(parameters: list, carried: None, x: Array, y: Array) -> tuple[Array, None]:
        tokens, places, *weights, scale, shift, head = parameters
        hidden = tokens[x] + places[: x.shape[1]]
        for layer in groups(weights, 12):
            hidden = block(hidden, layer)
        return cross_entropy(layer_norm(hidden, scale, shift) @ head.T, y), None

    return *training(parameters, loss, adam(1e-3, decay=0.01), clip_norm), draws[-2:]


def elementwise(parameters: list[Array], draws: list[Array], dropout: bool) -> tuple:
    def formula(x: Array) -> Array:
        return (jnp.tanh(x) * jax.nn.sigmoid(x) + jnp.exp(-x * x)).mean()

    def step(gradient: Array, x: Array) -> tuple[Array, Array]:
        value, gradient = jax.value_and_grad(formula)(x)
        return gradient, value

    return step, jnp.zeros_like(draws[0]), draws[:1]


def adam_big(parameters: list[Array], draws: list[Array], dropout: bool) -> tuple:
    begin, update = adam(1e-3)

    def step(state: tuple, gradient: Array) -> tuple[tuple, Array]:
        parameters, memory = update(state[0], [gradient], state[1])
        return (parameters, memory), parameters[0][0]

    return step, (parameters, begin(parameters)), draws[-1:]


def chain(parameters: list[Array], draws: list[Array], dropout: bool) -> tuple:
    def formula(x: Array) -> Array:
        for _ in range(2000):
            x = x * 1.0001
        return x.sum()

    def step(gradient: Array, x: Array) -> tuple[Array, Array]:
        gradient = jax.grad(formula)(x)
        return gradient, gradient[0]

    return step, jnp.zeros_like(draws[0]), draws[:1]


PORTS: dict[str, Callable[[list, list, bool], tuple]] = {
    "mlp_small": mlp_small,
    "mlp": mlp,
    "deep_sigmoid": deep_sigmoid,
    "densenet1d": densenet1d,
    "charlstm": charlstm,
    "lenet": lenet,
    "resnet": resnet,
    "gpt": gpt,
    "elementwise": elementwise,
    "adam_big": adam_big,
    "chain": chain,
}


def build(name: str, record: Path, dropout: bool = True) -> Callable[[], Array]:
    """A `step()` like that of a workload; it returns when loss and state have been computed."""
    arrays = np.load(record)
    jax.config.update("jax_enable_x64", any(a.dtype == np.float64 for a in arrays.values()))
    parameters, draws = (
        [jnp.array(arrays[key]) for key in arrays if key.startswith(prefix)]
        for prefix in ("parameter", "draw")
    )
    update, state, data = PORTS[name](parameters, draws, dropout)
    compiled = jax.jit(update, donate_argnums=0)

    def step() -> Array:
        nonlocal state
        state, loss = jax.block_until_ready(compiled(state, *data))
        return loss

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=[*PORTS, "list"])
    parser.add_argument("record", type=Path, nargs="?")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--without-dropout", action="store_true")
    args = parser.parse_args()
    if args.name == "list":
        print(json.dumps({"ports": list(PORTS)}))
        return
    step = build(args.name, args.record, dropout=not args.without_dropout)
    print(json.dumps({"losses": [step().item() for _ in range(args.steps)]}))


if __name__ == "__main__":
    main()
