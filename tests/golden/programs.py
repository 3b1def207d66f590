"""Small programs whose way through the compiler is written down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import tidu
import tidu.nn.functional as F
from tidu.backends.null import NullProgram
from tidu.compiler.graph import Graph
from tidu.execute import compiling, realize
from tidu.optim import Adam

# Each makes its inputs, which are run beforehand, and returns what is to be compiled.
Program = Callable[[], Callable[[], Any]]
PROGRAMS: dict[str, Program] = {}


def program(prepare: Program) -> Program:
    PROGRAMS[prepare.__name__] = prepare
    return prepare


def graphs(prepare: Program) -> list[Graph]:
    """The regions that a program gives rise to. Nothing is computed."""
    run = prepare()
    realize()
    found: list[Graph] = []

    def make(graph: Graph) -> NullProgram:
        found.append(graph)
        return NullProgram(graph)

    with compiling(make):
        kept = run()
        realize()
        del kept
    return found


def regions() -> Iterator[tuple[str, Graph]]:
    """Every region of every program, with its name."""
    for name, prepare in PROGRAMS.items():
        found = graphs(prepare)
        for number, graph in enumerate(found):
            yield (f"{name}_{number}" if len(found) > 1 else name), graph


@program
def chain() -> Callable[[], Any]:
    """Elementwise operations, their derivatives, and a long sum."""
    x = tidu.randn(1000, 100, requires_grad=True)

    def run() -> Any:
        loss = (tidu.tanh(x) * tidu.sigmoid(x) + tidu.exp(-x * x)).mean()
        loss.backward()
        return loss

    return run


@program
def softmax() -> Callable[[], Any]:
    x = tidu.randn(64, 128)
    return lambda: F.softmax(x, dim=-1)


@program
def layer_norm() -> Callable[[], Any]:
    x, weight, bias = tidu.randn(32, 256), tidu.randn(256), tidu.randn(256)
    return lambda: F.layer_norm(x, (256,), weight, bias)


@program
def batch_norm() -> Callable[[], Any]:
    layer = tidu.nn.BatchNorm2d(16)
    x = tidu.randn(8, 16, 10, 10)

    def run() -> Any:
        with tidu.no_grad():
            return layer(x)

    return run


@program
def linear_relu_backward() -> Callable[[], Any]:
    layer = tidu.nn.Linear(128, 10)
    x = tidu.randn(64, 128)

    def run() -> Any:
        F.relu(layer(x)).sum().backward()

    return run


@program
def training_step() -> Callable[[], Any]:
    """Forward, backward and update of one layer: the example of docs/compiler.md."""
    layer = tidu.nn.Linear(128, 32)
    optimizer = tidu.optim.SGD(layer.parameters(), lr=0.1)
    x, y = tidu.randn(64, 128), tidu.randn(64, 32)

    def run() -> Any:
        optimizer.zero_grad()
        loss = ((layer(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    return run


@program
def cross_entropy() -> Callable[[], Any]:
    logits, targets = tidu.randn(64, 10, requires_grad=True), tidu.randint(0, 10, (64,))

    def run() -> Any:
        loss = F.cross_entropy(logits, targets)
        loss.backward()
        return loss

    return run


@program
def cat_and_split() -> Callable[[], Any]:
    x, y = tidu.randn(8, 20), tidu.randn(8, 12)

    def run() -> Any:
        first, second = tidu.cat([x, tidu.exp(y)], dim=1).split(16, dim=1)
        return first * second

    return run


@program
def embedding() -> Callable[[], Any]:
    """A gather, and a sum over equal indices for its gradient."""
    weight, tokens = tidu.randn(50, 16, requires_grad=True), tidu.randint(0, 50, (4, 9))

    def run() -> Any:
        tidu.tanh(F.embedding(tokens, weight)).sum().backward()

    return run


@program
def adam() -> Callable[[], Any]:
    """The update of two parameters, with numbers that change from step to step."""
    parameters = [tidu.randn(40, 30, requires_grad=True), tidu.randn(30, requires_grad=True)]
    for x in parameters:
        x.grad = tidu.randn(*x.shape)
    optimizer = Adam(parameters, lr=1e-3)
    optimizer.step()
    return optimizer.step


@program
def conv1d() -> Callable[[], Any]:
    x, weight, bias = tidu.randn(4, 8, 50), tidu.randn(6, 8, 3), tidu.randn(6)
    return lambda: F.relu(F.conv1d(x, weight, bias, padding=1))


@program
def attention() -> Callable[[], Any]:
    query, key, value = (tidu.randn(2, 4, 32, 16) for _ in range(3))
    return lambda: F.scaled_dot_product_attention(query, key, value, is_causal=True)


@program
def heads() -> Callable[[], Any]:
    """A batch of products that write side by side what would be copied there."""
    weights, values = tidu.randn(2, 4, 32, 32), tidu.randn(2, 4, 32, 16)
    output = tidu.randn(64, 64)
    return lambda: F.relu((weights @ values).transpose(1, 2).reshape(64, 64) @ output)


@program
def column_sums() -> Callable[[], Any]:
    """The gradients of a ReLU and of a bias, large enough to be summed in blocks of rows."""
    x, grad = tidu.randn(1024, 80), tidu.randn(1024, 80)

    def run() -> Any:
        masked = grad * (x > 0)
        return masked, masked.sum(0)

    return run


@program
def padding() -> Callable[[], Any]:
    """Zeros around a tensor: guards instead of memory."""
    x = tidu.randn(3, 30, 30)
    return lambda: F.pad(x, (1, 1, 1, 1)) * 2.0


@program
def cumulative() -> Callable[[], Any]:
    """A call to NumPy between native kernels."""
    x = tidu.randn(64, 10)
    return lambda: tidu.softmax(x, 1).cumsum(1).sqrt()


@program
def argmax() -> Callable[[], Any]:
    """The place of the greatest element, as the least of the places where it stands."""
    x = tidu.randn(64, 10)
    return lambda: tidu.softmax(x, 1).gather(1, x.argmax(1, keepdim=True)).sqrt()
