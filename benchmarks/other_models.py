"""Training steps of models that nothing was tuned for: other layers, shapes and habits.

    python benchmarks/compare_all.py --workloads benchmarks/other_models.py

Written as `workloads.py` is. `RESULTS.md` says how tidu and PyTorch compare on them.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

from workloads import Builder, Step, labels, normal, training

ALL: dict[str, Builder] = {}
RANDOM: set[str] = set()
READS: set[str] = set()


def model(build: Builder) -> Builder:
    """Enter a builder into `ALL` under its own name."""
    ALL[build.__name__] = build
    return build


def classify(T: Any, net: Any, x: Any, y: Any, optimizer: Any) -> Step:
    """The usual step with cross-entropy."""
    return training(optimizer, lambda: T.nn.functional.cross_entropy(net(x), y))


@model
def softmax_regression(T: Any, rng: Any) -> Step:
    """One linear layer on flat images."""
    net = T.nn.Linear(784, 10)
    x, y = normal(T, rng, 256, 784), labels(T, rng, 10, 256)
    return classify(T, net, x, y, T.optim.SGD(net.parameters(), lr=0.1))


@model
def one_sample(T: Any, rng: Any) -> Step:
    """An MLP that sees one sample at a time."""
    nn = T.nn
    hidden = (nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU())
    net = nn.Sequential(*hidden, nn.Linear(128, 4))
    x, y = normal(T, rng, 1, 64), normal(T, rng, 1, 4)
    optimizer = T.optim.Adam(net.parameters(), lr=1e-3)
    return training(optimizer, lambda: nn.functional.mse_loss(net(x), y))


@model
def wide(T: Any, rng: Any) -> Step:
    """The feed-forward part of a Transformer, alone."""
    nn = T.nn
    net = nn.Sequential(nn.Linear(1024, 2048), nn.GELU(), nn.Linear(2048, 1024))
    x, y = normal(T, rng, 128, 1024), normal(T, rng, 128, 1024)
    optimizer = T.optim.AdamW(net.parameters(), lr=1e-4)
    return training(optimizer, lambda: nn.functional.mse_loss(net(x), y))


@model
def normalized(T: Any, rng: Any) -> Step:
    """Six narrow layers with BatchNorm."""
    nn = T.nn
    layers = [(nn.Linear(100, 100), nn.BatchNorm1d(100), nn.LeakyReLU()) for _ in range(6)]
    net = nn.Sequential(*chain(*layers), nn.Linear(100, 10))
    x, y = normal(T, rng, 64, 100), labels(T, rng, 10, 64)
    optimizer = T.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    return classify(T, net, x, y, optimizer)


@model
def dropout(T: Any, rng: Any) -> Step:
    """An MLP with dropout after each layer."""
    nn = T.nn
    hidden = ((nn.Linear(n, 512), nn.ReLU(), nn.Dropout(0.5)) for n in (256, 512))
    net = nn.Sequential(*chain(*hidden), nn.Linear(512, 10))
    x, y = normal(T, rng, 128, 256), labels(T, rng, 10, 128)
    return classify(T, net, x, y, T.optim.Adam(net.parameters()))


@model
def mobile(T: Any, rng: Any) -> Step:
    """Depthwise and pointwise convolutions."""
    nn = T.nn

    def block(inputs: int, outputs: int, stride: int) -> list[Any]:
        depthwise = nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False)
        pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
        return [
            *(depthwise, nn.BatchNorm2d(inputs), nn.ReLU6()),
            *(pointwise, nn.BatchNorm2d(outputs), nn.ReLU6()),
        ]

    stem = (nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU6())
    blocks = (*block(32, 64, 1), *block(64, 128, 2), *block(128, 128, 1))
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))
    net = nn.Sequential(*stem, *blocks, *head)
    x, y = normal(T, rng, 16, 3, 64, 64), labels(T, rng, 10, 16)
    return classify(T, net, x, y, T.optim.SGD(net.parameters(), lr=0.01, momentum=0.9))


@model
def large_windows(T: Any, rng: Any) -> Step:
    """AlexNet's windows of 11 and 5."""
    nn = T.nn
    net = nn.Sequential(
        *(nn.Conv2d(3, 48, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(48, 96, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(96, 128, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2)),
        *(nn.Flatten(), nn.Linear(512, 10)),
    )
    x, y = normal(T, rng, 4, 3, 128, 128), labels(T, rng, 10, 4)
    return classify(T, net, x, y, T.optim.SGD(net.parameters(), lr=0.01, momentum=0.9))


@model
def bottleneck(T: Any, rng: Any) -> Step:
    """Residual blocks that narrow to a quarter of their channels."""
    nn = T.nn

    class Block(nn.Module):
        def __init__(self, wide: int) -> None:
            super().__init__()
            narrow = wide // 4
            self.body = nn.Sequential(
                *(nn.Conv2d(wide, narrow, 1, bias=False), nn.BatchNorm2d(narrow), nn.ReLU()),
                nn.Conv2d(narrow, narrow, 3, padding=1, bias=False),
                *(nn.BatchNorm2d(narrow), nn.ReLU()),
                *(nn.Conv2d(narrow, wide, 1, bias=False), nn.BatchNorm2d(wide)),
            )

        def forward(self, x: Any) -> Any:
            return T.relu(x + self.body(x))

    net = nn.Sequential(
        *(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU()),
        *(nn.MaxPool2d(3, 2, 1), Block(64), Block(64), Block(64)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)),
    )
    x, y = normal(T, rng, 8, 3, 96, 96), labels(T, rng, 10, 8)
    return classify(T, net, x, y, T.optim.Adam(net.parameters(), lr=1e-3))


@model
def dilated(T: Any, rng: Any) -> Step:
    """Convolutions over time with windows that double their reach."""
    nn = T.nn
    layers = [
        (nn.Conv1d(48 if i else 8, 48, 3, padding=2**i, dilation=2**i), nn.ReLU()) for i in range(5)
    ]
    net = nn.Sequential(*chain(*layers), nn.Conv1d(48, 1, 1))
    x, y = normal(T, rng, 16, 8, 200), normal(T, rng, 16, 1, 200)
    optimizer = T.optim.Adam(net.parameters(), lr=1e-3)
    return training(optimizer, lambda: nn.functional.mse_loss(net(x), y))


@model
def lstm(T: Any, rng: Any) -> Step:
    """Two LSTM layers and the last state."""
    nn = T.nn
    layers, head = nn.LSTM(64, 256, 2, batch_first=True), nn.Linear(256, 5)
    x, y = normal(T, rng, 32, 40, 64), labels(T, rng, 5, 32)
    optimizer = T.optim.Adam([*layers.parameters(), *head.parameters()])
    return classify(T, lambda x: head(layers(x)[0][:, -1]), x, y, optimizer)


@model
def gru(T: Any, rng: Any) -> Step:
    """A GRU in both directions over words, averaged."""
    nn = T.nn
    words, head = nn.Embedding(1000, 64), nn.Linear(256, 5)
    layer = nn.GRU(64, 128, batch_first=True, bidirectional=True)
    x, y = labels(T, rng, 1000, 16, 30), labels(T, rng, 5, 16)
    parameters = [*words.parameters(), *layer.parameters(), *head.parameters()]
    net = lambda x: head(layer(words(x))[0].mean(1))  # noqa: E731
    return classify(T, net, x, y, T.optim.Adam(parameters))


@model
def cells(T: Any, rng: Any) -> Step:
    """Two LSTM cells in a Python loop, as in the sine wave tutorial."""
    nn = T.nn
    first, second, head = nn.LSTMCell(10, 51), nn.LSTMCell(51, 51), nn.Linear(51, 1)
    x, y = normal(T, rng, 20, 30, 10), normal(T, rng, 20, 30)
    parameters = [*first.parameters(), *second.parameters(), *head.parameters()]

    def loss() -> Any:
        h, c, h2, c2 = (T.zeros(20, 51) for _ in range(4))
        outputs = []
        for t in range(30):
            h, c = first(x[:, t], (h, c))
            h2, c2 = second(h, (h2, c2))
            outputs.append(head(h2))
        return nn.functional.mse_loss(T.cat(outputs, 1), y)

    return training(T.optim.RMSprop(parameters, lr=1e-3), loss)


@model
def word2vec(T: Any, rng: Any) -> Step:
    """Skip-gram with negative samples."""
    nn, logsigmoid = T.nn, T.nn.functional.logsigmoid
    words, contexts = nn.Embedding(20000, 100), nn.Embedding(20000, 100)
    center, near = labels(T, rng, 20000, 512), labels(T, rng, 20000, 512)
    far = labels(T, rng, 20000, 512, 5)

    def loss() -> Any:
        word = words(center)
        positive = (word * contexts(near)).sum(1)
        negative = T.bmm(contexts(far), word.unsqueeze(2)).squeeze(2)
        return -(logsigmoid(positive).mean() + logsigmoid(-negative).sum(1).mean())

    return training(T.optim.SGD([*words.parameters(), *contexts.parameters()], lr=0.1), loss)


@model
def factorization(T: Any, rng: Any) -> Step:
    """Ratings as products of users and items, with biases."""
    nn = T.nn
    tables = [nn.Embedding(n, width) for n, width in ((6000, 32), (4000, 32), (6000, 1), (4000, 1))]
    users, items, user_bias, item_bias = tables
    a, b, y = labels(T, rng, 6000, 1024), labels(T, rng, 4000, 1024), normal(T, rng, 1024)

    def loss() -> Any:
        bias = user_bias(a).squeeze() + item_bias(b).squeeze()
        return nn.functional.mse_loss((users(a) * items(b)).sum(1) + bias, y)

    return training(T.optim.Adam(chain(*(t.parameters() for t in tables)), lr=0.01), loss)


@model
def encoder(T: Any, rng: Any) -> Step:
    """A Transformer encoder that classifies sentences."""
    nn = T.nn
    words, head = nn.Embedding(2000, 128), nn.Linear(128, 2)
    layer = nn.TransformerEncoderLayer(128, 4, 256, dropout=0.0, batch_first=True)
    layers = nn.TransformerEncoder(layer, 2)
    x, y = labels(T, rng, 2000, 16, 64), labels(T, rng, 2, 16)
    parameters = [*words.parameters(), *layers.parameters(), *head.parameters()]
    net = lambda x: head(layers(words(x)).mean(1))  # noqa: E731
    return classify(T, net, x, y, T.optim.Adam(parameters, lr=1e-4))


@model
def vocabulary(T: Any, rng: Any) -> Step:
    """The next of 10,000 words."""
    nn = T.nn
    words, head = nn.Embedding(10000, 128), nn.Linear(128, 10000)
    x, y = labels(T, rng, 10000, 256), labels(T, rng, 10000, 256)
    optimizer = T.optim.SGD([*words.parameters(), *head.parameters()], lr=0.1)
    return classify(T, lambda x: head(T.tanh(words(x))), x, y, optimizer)


@model
def convolutional_vae(T: Any, rng: Any) -> Step:
    """Convolutions down, transposed convolutions up."""
    nn, F = T.nn, T.nn.functional
    down = nn.Sequential(
        *(nn.Conv2d(1, 32, 4, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 4, 2, 1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(64 * 49, 32)),
    )
    up = nn.Sequential(
        *(nn.Linear(16, 64 * 49), nn.ReLU(), nn.Unflatten(1, (64, 7, 7))),
        *(nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU()),
        *(nn.ConvTranspose2d(32, 1, 4, 2, 1), nn.Sigmoid()),
    )
    x, noise = T.sigmoid(normal(T, rng, 64, 1, 28, 28)), normal(T, rng, 64, 16)

    def loss() -> Any:
        mean, log_variance = down(x).chunk(2, 1)
        image = up(mean + noise * (log_variance / 2).exp())
        divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum()
        return (F.binary_cross_entropy(image, x, reduction="sum") + divergence) / 64

    return training(T.optim.Adam([*down.parameters(), *up.parameters()], lr=1e-3), loss)


@model
def long_gpt(T: Any, rng: Any) -> Step:
    """Three blocks of six heads over 128 tokens."""
    nn, F = T.nn, T.nn.functional
    width, heads = 192, 6

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            inner = nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
            self.mlp = nn.Sequential(*inner)

        def forward(self, x: Any) -> Any:
            batch, length, _ = x.shape
            parts = self.qkv(self.before_attention(x)).split(width, 2)
            q, k, v = (
                part.view(batch, length, heads, width // heads).transpose(1, 2) for part in parts
            )
            attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(attended.transpose(1, 2).reshape(batch, length, width))
            return x + self.mlp(self.before_mlp(x))

    words = nn.Embedding(65, width)
    body = nn.Sequential(Block(), Block(), Block(), nn.LayerNorm(width), nn.Linear(width, 65))
    x, y = labels(T, rng, 65, 8, 128), labels(T, rng, 65, 8, 128)
    optimizer = T.optim.AdamW([*words.parameters(), *body.parameters()], lr=3e-4)
    return training(optimizer, lambda: F.cross_entropy(body(words(x)).view(-1, 65), y.view(-1)))


@model
def mixer(T: Any, rng: Any) -> Step:
    """Linear layers over places and over channels in turn."""
    nn = T.nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before_places, self.before_channels = nn.LayerNorm(64), nn.LayerNorm(64)
            self.places = nn.Sequential(nn.Linear(49, 64), nn.GELU(), nn.Linear(64, 49))
            self.channels = nn.Sequential(nn.Linear(64, 128), nn.GELU(), nn.Linear(128, 64))

        def forward(self, x: Any) -> Any:
            x = x + self.places(self.before_places(x).transpose(1, 2)).transpose(1, 2)
            return x + self.channels(self.before_channels(x))

    patches = nn.Sequential(nn.Conv2d(1, 64, 4, 4), nn.Flatten(2))
    blocks, head = nn.Sequential(Block(), Block(), Block()), nn.Linear(64, 10)
    x, y = normal(T, rng, 64, 1, 28, 28), labels(T, rng, 10, 64)
    parameters = [*patches.parameters(), *blocks.parameters(), *head.parameters()]
    net = lambda x: head(blocks(patches(x).transpose(1, 2)).mean(1))  # noqa: E731
    return classify(T, net, x, y, T.optim.Adam(parameters, lr=1e-3))


@model
def physics(T: Any, rng: Any) -> Step:
    """The heat equation as a loss: second derivatives of the network in its inputs."""
    nn, grad = T.nn, T.autograd.grad
    net = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))
    places = normal(T, rng, 256, 2)

    def loss() -> Any:
        x = places.clone().requires_grad_(True)
        u = net(x)
        (first,) = grad(u.sum(), x, create_graph=True)
        (second,) = grad(first[:, 0].sum(), x, create_graph=True)
        return ((first[:, 1] - 0.1 * second[:, 0]) ** 2).mean() + (u**2).mean()

    return training(T.optim.Adam(net.parameters(), lr=1e-3), loss)


@model
def q_learning(T: Any, rng: Any) -> Step:
    """A step of deep Q-learning, with a target network that follows slowly."""
    nn = T.nn

    def network() -> Any:
        hidden = (nn.Linear(4, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU())
        return nn.Sequential(*hidden, nn.Linear(128, 2))

    net, target = network(), network()
    target.load_state_dict(net.state_dict())
    state, following = normal(T, rng, 128, 4), normal(T, rng, 128, 4)
    action, reward = labels(T, rng, 2, 128, 1), normal(T, rng, 128)
    optimizer = T.optim.AdamW(net.parameters(), lr=1e-3, amsgrad=True)

    def loss() -> Any:
        with T.no_grad():
            wanted = reward + 0.99 * target(following).max(1).values
        return nn.functional.smooth_l1_loss(net(state).gather(1, action), wanted.unsqueeze(1))

    clip = lambda: nn.utils.clip_grad_value_(net.parameters(), 100)  # noqa: E731
    learn = training(optimizer, loss, clip)

    def step() -> Any:
        result = learn()
        with T.no_grad():
            for p, slow in zip(net.parameters(), target.parameters(), strict=True):
                slow.mul_(0.995).add_(p, alpha=0.005)
        return result

    return step


@model
def style(T: Any, rng: Any) -> Step:
    """An image is what is optimized; the network stays as it is."""
    nn, F = T.nn, T.nn.functional
    first, second = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
    for p in chain(first.parameters(), second.parameters()):
        p.requires_grad_(False)
    image, wanted = normal(T, rng, 1, 3, 64, 64).requires_grad_(True), normal(T, rng, 32, 32)

    def loss() -> Any:
        features = F.relu(second(F.relu(first(image)))).view(32, -1)
        roughness = (image[:, :, 1:] - image[:, :, :-1]).abs().mean()
        return F.mse_loss(features @ features.t() / 4096, wanted) + 1e-3 * roughness

    return training(T.optim.Adam([image], lr=0.02), loss)


@model
def evaluation(T: Any, rng: Any) -> Step:
    """The accuracy of a batch, without gradients."""
    nn = T.nn
    net = nn.Sequential(
        *(nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)),
    ).eval()
    x, y = normal(T, rng, 64, 3, 32, 32), labels(T, rng, 10, 64)

    def step() -> Any:
        with T.no_grad():
            return (net(x).argmax(1) == y).float().mean()

    return step


@model
def by_hand(T: Any, rng: Any) -> Step:
    """Three layers and gradient descent, without modules or optimizers."""
    sizes = ((100, 64), (64, 64), (64, 10))
    weights = [(normal(T, rng, *size) * 0.1).requires_grad_(True) for size in sizes]
    x, y = normal(T, rng, 64, 100), normal(T, rng, 64, 10)

    def step() -> Any:
        hidden = x
        for w in weights[:-1]:
            hidden = (hidden @ w).clamp(min=0)
        loss = (hidden @ weights[-1] - y).pow(2).mean()
        loss.backward()
        with T.no_grad():
            for w in weights:
                w -= 0.01 * w.grad
                w.grad = None
        return loss

    return step


@model
def k_means(T: Any, rng: Any) -> Step:
    """Centers move to the mean of what is nearest to them."""
    x = normal(T, rng, 4096, 16)
    centers, one = x[:32].clone(), T.ones(4096)

    def step() -> Any:
        distances = T.cdist(x, centers)
        nearest = distances.argmin(1)
        counts = T.zeros(32).index_add_(0, nearest, one).clamp(min=1)
        sums = T.zeros(32, 16).index_add_(0, nearest, x)
        centers.copy_(sums / counts.unsqueeze(1))
        return distances.min(1).values.mean()

    return step
