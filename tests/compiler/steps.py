"""Training steps of small models of each kind, and some large kernels, as digests of results.

    python -m tests.compiler.steps

prints one digest for each, which tests compare between processes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

import tidu
from tests.compiler.tiers import tier
from tidu import Tensor, nn
from tidu.nn import functional as F


def _digest(tensors: Iterable[Tensor]) -> str:
    found = hashlib.blake2b(digest_size=8)
    for x in tensors:
        found.update(x.detach().numpy().tobytes())
    return found.hexdigest()


def _numbers(*shape: int, seed: int = 0) -> Tensor:
    numbers = np.random.default_rng([seed, *shape]).standard_normal(shape)
    return tidu.tensor(numbers, dtype=tidu.float32)


def train(
    model: nn.Module,
    inputs: Tensor,
    loss: Callable[[Any], Tensor],
    optimizer: type[tidu.optim.Optimizer] = tidu.optim.Adam,
    steps: int = 3,
) -> str:
    """A digest of the parameters after some steps."""
    chosen = optimizer(model.parameters(), lr=0.01)
    for _ in range(steps):
        chosen.zero_grad()
        loss(model(inputs)).backward()
        chosen.step()
    return _digest((*model.parameters(), *model.buffers()))


def _seeded(make: Callable[[], str]) -> str:
    tidu.manual_seed(0)
    return make()


class _LastOutput(nn.Module):
    """A recurrent layer, of which the outputs are used."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.layer(x)[0]
        return outputs


def _mlp() -> str:
    model = nn.Sequential(nn.Linear(100, 257), nn.ReLU(), nn.Linear(257, 33), nn.Tanh())
    return train(model, _numbers(300, 100), lambda y: (y * y).mean(), tidu.optim.SGD)


def _classifier() -> str:
    model = nn.Sequential(nn.Linear(64, 300), nn.GELU(), nn.LayerNorm(300), nn.Linear(300, 10))
    targets = tidu.tensor([i % 10 for i in range(500)])
    return train(model, _numbers(500, 64), lambda y: F.cross_entropy(y, targets))


def _convolutions() -> str:
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 8, 3, stride=2), nn.Flatten(), nn.Linear(8 * 3 * 3, 5),
    )  # fmt: skip
    return train(model, _numbers(20, 3, 16, 16), lambda y: y.square().mean())


def _one_dimension() -> str:
    model = nn.Sequential(nn.Conv1d(8, 32, 5), nn.ELU(), nn.AvgPool1d(2), nn.Conv1d(32, 4, 3))
    return train(model, _numbers(9, 8, 65), lambda y: y.abs().mean(), tidu.optim.RMSprop)


def _recurrent() -> str:
    model = _LastOutput(nn.LSTM(16, 32, num_layers=2, batch_first=True))
    return train(model, _numbers(10, 12, 16), lambda y: y.square().sum())


def _gated() -> str:
    model = _LastOutput(nn.GRU(7, 33, batch_first=True))
    return train(model, _numbers(6, 9, 7), lambda y: y.square().sum(), tidu.optim.Adagrad)


def _transformer() -> str:
    layer = nn.TransformerEncoderLayer(64, 4, 128, dropout=0.1, batch_first=True)
    return train(layer, _numbers(8, 17, 64), lambda y: y.square().mean(), tidu.optim.AdamW)


def _embedding() -> str:
    model = nn.Sequential(nn.Embedding(50, 64), nn.Linear(64, 50))
    words = tidu.tensor(np.random.default_rng(0).integers(0, 50, (40, 30)))
    return train(model, words, lambda y: F.cross_entropy(y.reshape(-1, 50), words.reshape(-1)))


def _dropout() -> str:
    model = nn.Sequential(nn.Linear(30, 400), nn.Dropout(0.3), nn.SiLU(), nn.Linear(400, 1))
    return train(model, _numbers(256, 30), lambda y: y.square().mean(), tidu.optim.NAdam)


def _long_reductions() -> str:
    x = _numbers(1_000_003)
    y = x.tanh() * x
    parts = (y.sum(), y.mean(), y.amax(), y.var(), (y * y).sum().sqrt(), y.argmax(), y[::3].sum())
    return _digest(parts)


def _reductions_of_rows_and_columns() -> str:
    x = _numbers(1031, 517)
    parts = (x.sum(0), x.sum(1), x.softmax(0), x.softmax(1), x.std(0), x.logsumexp(1), x.prod(1))
    return _digest(parts)


def _scattered() -> str:
    x, places = _numbers(30_000, 8), np.random.default_rng(0).integers(0, 100, 30_000)
    index = tidu.tensor(places)
    return _digest((
        tidu.zeros(100, 8).index_add(0, index, x),
        tidu.zeros(100, 8).index_put((index,), x, accumulate=True),
        tidu.zeros(100, 8).index_copy(0, index, x),
        tidu.zeros(100).scatter_add(0, index, x[:, 0]),
    ))  # fmt: skip


def _products() -> str:
    a, b, c = _numbers(700, 300), _numbers(300, 500), _numbers(12, 65, 300)
    return _digest(((a @ b).tanh(), a.t() @ a, c @ b, b @ _numbers(500), (c @ c.mT).softmax(-1)))


CASES: dict[str, Callable[[], str]] = {
    "mlp": _mlp,
    "classifier": _classifier,
    "convolutions": _convolutions,
    "one dimension": _one_dimension,
    "recurrent": _recurrent,
    "gated": _gated,
    "transformer": _transformer,
    "embedding": _embedding,
    "dropout": _dropout,
    "long reductions": _long_reductions,
    "rows and columns": _reductions_of_rows_and_columns,
    "scattered": _scattered,
    "products": _products,
}


def digest(name: str) -> str:
    """The results of one of the cases, run compiled."""
    with tier(1):
        return _seeded(CASES[name])


if __name__ == "__main__":
    for case in CASES:
        print(digest(case), case)
