"""Training steps of twenty models, written against the PyTorch API.

The first twelve are the kinds of models that `RESULTS.md` follows from release to release; the
other eight keep us honest: other layers, other shapes, other optimizers. `harness.py` says what a
workload is. Layers start as PyTorch starts them, so that under one seed two modules that draw the
same numbers walk the same trajectory.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

Step = Callable[[], Any]
Builder = Callable[[Any, Any], Step]

ALL: dict[str, Builder] = {}
RANDOM = {"densenet1d", "smoothed_mlp", "gan", "policy_gradient"}
READS = {"scalar"}


def workload(build: Builder) -> Builder:
    """Enter a builder into `ALL` under its own name."""
    ALL[build.__name__] = build
    return build


def normal(T: Any, rng: Any, *shape: int) -> Any:
    return T.from_numpy(rng.standard_normal(shape, dtype=np.float32))


def labels(T: Any, rng: Any, classes: int, *shape: int) -> Any:
    return T.from_numpy(rng.integers(0, classes, shape, dtype=np.int64))


def training(optimizer: Any, compute_loss: Step, clip: Callable[[], Any] | None = None) -> Step:
    """The usual step; `clip` runs between backward and update."""

    def step() -> Any:
        optimizer.zero_grad()
        loss = compute_loss()
        loss.backward()
        if clip is not None:
            clip()
        optimizer.step()
        return loss

    return step


@workload
def scalar(T: Any, rng: Any) -> Step:
    """Fit y = 2x with one weight, sample by sample, looking at the gradient each time."""
    weight = T.tensor([1.0], requires_grad=True)
    samples = ((1.0, 2.0), (2.0, 4.0), (3.0, 6.0))

    def step() -> Any:
        for x, y in samples:
            loss = ((weight * x - y) ** 2).sum()
            loss.backward()
            weight.grad.item()
            weight.data = weight.data - 0.01 * weight.grad.data
            weight.grad.data.zero_()
        return loss

    return step


@workload
def mlp_small(T: Any, rng: Any) -> Step:
    """A 10-5-1 regression: hardly any arithmetic, so what is left is the framework itself."""
    nn = T.nn
    model = nn.Sequential(nn.Linear(10, 5), nn.ReLU(), nn.Linear(5, 1))
    criterion, x, y = nn.MSELoss(), normal(T, rng, 32, 10), normal(T, rng, 32, 1)
    optimizer = T.optim.SGD(model.parameters(), lr=0.01)
    return training(optimizer, lambda: criterion(model(x), y))


@workload
def mlp(T: Any, rng: Any) -> Step:
    """A 784-256-128-10 classifier with Adam."""
    nn = T.nn
    model = nn.Sequential(
        nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)
    )
    criterion, x, y = nn.CrossEntropyLoss(), normal(T, rng, 64, 784), labels(T, rng, 10, 64)
    optimizer = T.optim.Adam(model.parameters(), lr=1e-3)
    return training(optimizer, lambda: criterion(model(x), y))


@workload
def deep_sigmoid(T: Any, rng: Any) -> Step:
    """Fifty sigmoid layers of width 64: many small products, gradients that vanish."""
    nn = T.nn
    hidden = [layer for _ in range(50) for layer in (nn.Linear(64, 64), nn.Sigmoid())]
    model = nn.Sequential(*hidden, nn.Linear(64, 1))
    criterion, x, y = nn.MSELoss(), normal(T, rng, 64, 64), normal(T, rng, 64, 1)
    optimizer = T.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return training(
        optimizer,
        lambda: criterion(model(x), y),
        lambda: nn.utils.clip_grad_norm_(model.parameters(), 1.0),
    )


@workload
def densenet1d(T: Any, rng: Any) -> Step:
    """DenseNet over signals of 100 samples: 4 blocks of 8 layers that each add 12 channels."""
    nn = T.nn

    class Block(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            widths = [width + 12 * layer for layer in range(8)]
            self.norms = nn.ModuleList([nn.BatchNorm1d(width) for width in widths])
            self.convs = nn.ModuleList([nn.Conv1d(width, 12, 3, padding=1) for width in widths])

        def forward(self, x: Any) -> Any:
            for norm, conv in zip(self.norms, self.convs):
                fresh = nn.functional.dropout(conv(norm(x)).relu(), 0.5, self.training)
                x = T.cat((x, fresh), dim=1)
            return x

    def shrink(width: int) -> Any:
        pool = nn.AvgPool1d(2)
        return nn.Sequential(
            nn.BatchNorm1d(width), nn.Conv1d(width, width // 2, 1), nn.ReLU(), pool
        )

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            width, stages = 64, []
            self.stem = nn.Conv1d(1, width, 3, padding=1)
            for _ in range(3):
                stages += [Block(width), shrink(width + 96)]
                width = (width + 96) // 2
            self.stages = nn.Sequential(*stages, Block(width))
            self.head = nn.Linear(width + 96, 1)

        def forward(self, x: Any) -> Any:
            return self.head(self.stages(self.stem(x).relu()).mean(2))

    model, criterion = Net(), nn.BCEWithLogitsLoss()
    x, y = normal(T, rng, 32, 1, 100), labels(T, rng, 2, 32, 1).to(T.get_default_dtype())
    optimizer = T.optim.Adam(model.parameters(), lr=1e-3)
    return training(
        optimizer,
        lambda: criterion(model(x), y),
        lambda: nn.utils.clip_grad_value_(model.parameters(), 1.0),
    )


@workload
def charlstm(T: Any, rng: Any) -> Step:
    """A language model of two LSTM layers; the state is carried from step to step, detached."""
    nn = T.nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(65, 64)
            self.lstm = nn.LSTM(64, 128, num_layers=2, batch_first=True)
            self.head = nn.Linear(128, 65)

        def forward(self, x: Any, state: Any) -> Any:
            hidden, state = self.lstm(self.embedding(x), state)
            return self.head(hidden), state

    model, criterion = Net(), nn.CrossEntropyLoss()
    x, y = labels(T, rng, 65, 32, 32), labels(T, rng, 65, 32, 32)
    state = (T.zeros(2, 32, 128), T.zeros(2, 32, 128))

    def compute_loss() -> Any:
        nonlocal state
        logits, (h, c) = model(x, state)
        state = (h.detach(), c.detach())
        return criterion(logits.flatten(0, 1), y.flatten())

    optimizer = T.optim.Adam(model.parameters(), lr=1e-3)
    return training(
        optimizer, compute_loss, lambda: nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    )


@workload
def lenet(T: Any, rng: Any) -> Step:
    """Two convolutions and two linear layers on 28×28 images."""
    nn = T.nn
    model = nn.Sequential(
        *(nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(800, 120), nn.ReLU(), nn.Linear(120, 10)),
    )
    criterion, x, y = nn.CrossEntropyLoss(), normal(T, rng, 64, 1, 28, 28), labels(T, rng, 10, 64)
    optimizer = T.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    return training(optimizer, lambda: criterion(model(x), y))


@workload
def resnet(T: Any, rng: Any) -> Step:
    """A residual network for 32×32 images: six blocks, widths 16, 32 and 64."""
    nn = T.nn

    class Block(nn.Module):
        def __init__(self, width: int, out: int) -> None:
            super().__init__()
            stride = out // width
            self.conv1 = nn.Conv2d(width, out, 3, stride=stride, padding=1, bias=False)
            self.norm1 = nn.BatchNorm2d(out)
            self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
            self.norm2 = nn.BatchNorm2d(out)
            self.shortcut = nn.Identity()
            if stride > 1:
                project = nn.Conv2d(width, out, 1, stride=stride, bias=False)
                self.shortcut = nn.Sequential(project, nn.BatchNorm2d(out))

        def forward(self, x: Any) -> Any:
            y = self.norm1(self.conv1(x)).relu()
            return (self.norm2(self.conv2(y)) + self.shortcut(x)).relu()

    widths = (16, 16, 16, 32, 32, 64, 64)
    stem = (nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
    blocks = [Block(width, out) for width, out in itertools.pairwise(widths)]
    model = nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    criterion, x, y = nn.CrossEntropyLoss(), normal(T, rng, 32, 3, 32, 32), labels(T, rng, 10, 32)
    optimizer = T.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    return training(optimizer, lambda: criterion(model(x), y))


@workload
def gpt(T: Any, rng: Any) -> Step:
    """A decoder of four blocks, width 128, four heads, over 12 sequences of 64 characters."""
    nn, F = T.nn, T.nn.functional

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before_attention, self.before_mlp = nn.LayerNorm(128), nn.LayerNorm(128)
            self.query_key_value, self.out = nn.Linear(128, 384), nn.Linear(128, 128)
            self.wide, self.narrow = nn.Linear(128, 512), nn.Linear(512, 128)

        def forward(self, x: Any) -> Any:
            batch, length, width = x.shape
            parts = self.query_key_value(self.before_attention(x)).chunk(3, dim=-1)
            heads = [part.view(batch, length, 4, 32).transpose(1, 2) for part in parts]
            mixed = F.scaled_dot_product_attention(*heads, is_causal=True)  # (batch, 4, length, 32)
            x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
            return x + self.narrow(F.gelu(self.wide(self.before_mlp(x))))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.characters, self.places = nn.Embedding(65, 128), nn.Embedding(64, 128)
            self.blocks = nn.Sequential(*[Block() for _ in range(4)])
            self.norm, self.head = nn.LayerNorm(128), nn.Linear(128, 65, bias=False)

        def forward(self, x: Any) -> Any:
            hidden = self.characters(x) + self.places(T.arange(x.shape[1]))
            return self.head(self.norm(self.blocks(hidden)))

    model = Net()
    x, y = labels(T, rng, 65, 12, 64), labels(T, rng, 65, 12, 64)
    optimizer = T.optim.AdamW(model.parameters(), lr=1e-3)
    return training(
        optimizer,
        lambda: F.cross_entropy(model(x).flatten(0, 1), y.flatten()),
        lambda: nn.utils.clip_grad_norm_(model.parameters(), 1.0),
    )


@workload
def elementwise(T: Any, rng: Any) -> Step:
    """Forward and backward of a formula over 4 million numbers."""
    x = normal(T, rng, 4_000_000).requires_grad_()

    def step() -> Any:
        x.grad = None
        loss = (x.tanh() * x.sigmoid() + (-x * x).exp()).mean()
        loss.backward()
        return loss

    return step


@workload
def adam_big(T: Any, rng: Any) -> Step:
    """Adam alone, on one parameter of 4 million numbers."""
    parameter = T.nn.Parameter(normal(T, rng, 4_000_000))
    gradient = normal(T, rng, 4_000_000)
    optimizer = T.optim.Adam([parameter], lr=1e-3)

    def step() -> Any:
        parameter.grad = gradient
        optimizer.step()
        return parameter.detach()[0]

    return step


@workload
def chain(T: Any, rng: Any) -> Step:
    """Two thousand multiplications of eight numbers, one after the other."""
    x = normal(T, rng, 8).requires_grad_()

    def step() -> Any:
        x.grad = None
        y = x
        for _ in range(2000):
            y = y * 1.0001
        y.sum().backward()
        return x.grad[0]

    return step


@workload
def autoencoder(T: Any, rng: Any) -> Step:
    """A bottleneck of 24 between wide SiLU layers, with decoupled weight decay."""
    nn = T.nn
    widths = (600, 320, 96, 24, 96, 320, 600)
    layers = [
        layer
        for width, out in itertools.pairwise(widths)
        for layer in (nn.Linear(width, out), nn.SiLU())
    ]
    model, x = nn.Sequential(*layers[:-1]), normal(T, rng, 100, 600)
    optimizer = T.optim.AdamW(model.parameters(), lr=3e-4, weight_decay=0.05)
    return training(optimizer, lambda: nn.functional.smooth_l1_loss(model(x), x))


@workload
def gru_tagger(T: Any, rng: Any) -> Step:
    """A label for each word: a GRU in both directions, padding that does not count."""
    nn = T.nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(1200, 48, padding_idx=0)
            self.gru = nn.GRU(48, 72, batch_first=True, bidirectional=True)
            self.head = nn.Linear(144, 17)

        def forward(self, x: Any) -> Any:
            return self.head(self.gru(self.words(x))[0])

    model, criterion = Net(), nn.CrossEntropyLoss(ignore_index=-100)
    x, y = labels(T, rng, 1200, 20, 45), labels(T, rng, 17, 20, 45)
    y = y.masked_fill(x < 100, -100)
    optimizer = T.optim.Adam(model.parameters(), lr=2e-3, weight_decay=1e-5)
    return training(
        optimizer,
        lambda: criterion(model(x).transpose(1, 2), y),
        lambda: nn.utils.clip_grad_norm_(model.parameters(), 5.0),
    )


@workload
def unet(T: Any, rng: Any) -> Step:
    """Segmentation of 40×40 images: down twice, up twice, with skips and group norms."""
    nn = T.nn

    def double(width: int, out: int) -> Any:
        first = (nn.Conv2d(width, out, 3, padding=1), nn.GroupNorm(4, out), nn.LeakyReLU(0.1))
        second = (nn.Conv2d(out, out, 3, padding=1), nn.GroupNorm(4, out), nn.LeakyReLU(0.1))
        return nn.Sequential(*first, *second)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pool = nn.MaxPool2d(2)
            self.down1, self.down2, self.middle = double(3, 12), double(12, 24), double(24, 48)
            self.rise2, self.up2 = nn.ConvTranspose2d(48, 24, 2, stride=2), double(48, 24)
            self.rise1, self.up1 = nn.ConvTranspose2d(24, 12, 2, stride=2), double(24, 12)
            self.head = nn.Conv2d(12, 1, 1)

        def forward(self, x: Any) -> Any:
            fine = self.down1(x)
            coarse = self.down2(self.pool(fine))
            deep = self.rise2(self.middle(self.pool(coarse)))
            deep = self.rise1(self.up2(T.cat([deep, coarse], 1)))
            return self.head(self.up1(T.cat([deep, fine], 1)))

    model = Net()
    x, y = normal(T, rng, 6, 3, 40, 40), labels(T, rng, 2, 6, 1, 40, 40)
    target = y.to(T.get_default_dtype())
    optimizer = T.optim.RMSprop(model.parameters(), lr=1e-4, momentum=0.5)

    def compute_loss() -> Any:
        logits = model(x)
        mask = logits.sigmoid()
        overlap = 2 * (mask * target).sum() / (mask.sum() + target.sum() + 1)
        return nn.functional.binary_cross_entropy_with_logits(logits, target) + 1 - overlap

    return training(optimizer, compute_loss)


@workload
def vit_tiny(T: Any, rng: Any) -> Step:
    """A vision transformer on 28×28 images: patches of 7, width 96, PyTorch's encoder layers."""
    nn = T.nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(1, 96, 7, stride=7)
            self.summary = nn.Parameter(T.zeros(1, 1, 96))
            self.places = nn.Parameter(T.zeros(1, 17, 96))
            layer = nn.TransformerEncoderLayer(
                96, 3, 192, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            self.encoder = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
            self.head = nn.Linear(96, 10)

        def forward(self, x: Any) -> Any:
            tokens = self.patches(x).flatten(2).transpose(1, 2)  # (batch, 16, 96)
            summary = self.summary.expand(x.shape[0], -1, -1)
            tokens = T.cat([summary, tokens], dim=1) + self.places
            return self.head(self.encoder(tokens)[:, 0])

    model, criterion = Net(), nn.CrossEntropyLoss()
    x, y = normal(T, rng, 24, 1, 28, 28), labels(T, rng, 10, 24)
    optimizer = T.optim.NAdam(model.parameters(), lr=5e-4)
    return training(optimizer, lambda: criterion(model(x), y))


@workload
def gan(T: Any, rng: Any) -> Step:
    """One update of a discriminator, then one of a generator; the noise is drawn in the step."""
    nn = T.nn
    generator = nn.Sequential(
        *(nn.Linear(40, 160), nn.BatchNorm1d(160), nn.ReLU()), nn.Linear(160, 400), nn.Tanh()
    )
    discriminator = nn.Sequential(
        *(nn.Linear(400, 160), nn.LeakyReLU(0.2)), nn.Linear(160, 80), nn.LeakyReLU(0.2),
        nn.Linear(80, 1),
    )  # fmt: skip
    criterion, real = nn.BCEWithLogitsLoss(), normal(T, rng, 48, 400).tanh()
    ones, zeros = T.ones(48, 1), T.zeros(48, 1)
    for_generator = T.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    for_discriminator = T.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))

    def step() -> Any:
        fake = generator(T.randn(48, 40))
        for_discriminator.zero_grad()
        loss = criterion(discriminator(real), ones)
        loss = loss + criterion(discriminator(fake.detach()), zeros)
        loss.backward()
        for_discriminator.step()
        for_generator.zero_grad()
        deceived = criterion(discriminator(fake), ones)
        deceived.backward()
        for_generator.step()
        return loss.detach() + deceived.detach()

    return step


@workload
def policy_gradient(T: Any, rng: Any) -> Step:
    """REINFORCE: 30 points on a line are pushed left, right or not at all for 15 moves."""
    nn = T.nn
    policy = nn.Sequential(
        nn.Linear(2, 36), nn.Tanh(), nn.Linear(36, 36), nn.Tanh(), nn.Linear(36, 3)
    )
    start = normal(T, rng, 30, 2)
    optimizer = T.optim.Adam(policy.parameters(), lr=1e-2)

    def step() -> Any:
        place, speed = start[:, 0], start[:, 1]
        chosen, rewards = [], []
        for _ in range(15):
            choices = policy(T.stack([place, speed], dim=1)).log_softmax(dim=-1)
            action = T.multinomial(choices.detach().exp(), 1)
            chosen.append(choices.gather(1, action)[:, 0])
            speed = speed + 0.2 * (action[:, 0] - 1)
            place = place + 0.2 * speed
            rewards.append(-place.abs())
        to_go = T.stack(rewards).flip(0).cumsum(0).flip(0)  # (15, 30): what follows each move
        advantage = (to_go - to_go.mean(1, keepdim=True)) / (to_go.std(1, keepdim=True) + 1e-6)
        optimizer.zero_grad()
        loss = -(T.stack(chosen) * advantage).mean()
        loss.backward()
        optimizer.step()
        return loss

    return step


@workload
def smoothed_mlp(T: Any, rng: Any) -> Step:
    """LayerNorm, GELU and dropout, smoothed labels, Nesterov momentum on a cosine schedule."""
    nn = T.nn
    widths = (220, 300, 300, 300)
    layers = [
        layer
        for width, out in itertools.pairwise(widths)
        for layer in (nn.Linear(width, out), nn.LayerNorm(out), nn.GELU(), nn.Dropout(0.2))
    ]
    model = nn.Sequential(*layers, nn.Linear(300, 25))
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    x, y = normal(T, rng, 72, 220), labels(T, rng, 25, 72)
    optimizer = T.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    schedule = T.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=1000)
    update = training(optimizer, lambda: criterion(model(x), y))

    def step() -> Any:
        loss = update()
        schedule.step()
        return loss

    return step


@workload
def swiglu(T: Any, rng: Any) -> Step:
    """A decoder as they are built today: RMSNorm, rotary positions, SwiGLU, tied embeddings."""
    nn, F = T.nn, T.nn.functional
    length, width, heads = 80, 144, 6
    size = width // heads
    angle = T.outer(T.arange(length) * 1.0, 10000.0 ** (T.arange(size // 2) * (-2.0 / size)))
    cosine, sine = angle.cos(), angle.sin()  # (length, size / 2)

    def rotate(x: Any) -> Any:
        left, right = x[..., : size // 2], x[..., size // 2 :]
        return T.cat([left * cosine - right * sine, right * cosine + left * sine], dim=-1)

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.RMSNorm(width, eps=1e-6), nn.RMSNorm(width, eps=1e-6)
            self.query, self.key, self.value, self.out = (
                nn.Linear(width, width, bias=False) for _ in range(4)
            )
            self.gate, self.up = (nn.Linear(width, 384, bias=False) for _ in range(2))
            self.down = nn.Linear(384, width, bias=False)

        def forward(self, x: Any) -> Any:
            normed = self.norm1(x)
            query, key, value = (
                layer(normed).unflatten(-1, (heads, size)).transpose(1, 2)
                for layer in (self.query, self.key, self.value)
            )  # (batch, heads, length, size)
            scores = rotate(query) @ rotate(key).transpose(-2, -1) / size**0.5
            future = T.ones(length, length, dtype=T.bool).triu(1)
            mixed = scores.masked_fill(future, float("-inf")).softmax(-1) @ value
            x = x + self.out(mixed.transpose(1, 2).flatten(2))
            normed = self.norm2(x)
            return x + self.down(F.silu(self.gate(normed)) * self.up(normed))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(210, width)
            self.blocks = nn.ModuleList([Block() for _ in range(3)])
            self.norm = nn.RMSNorm(width, eps=1e-6)

        def forward(self, x: Any) -> Any:
            x = self.tokens(x)
            for block in self.blocks:
                x = block(x)
            return F.linear(self.norm(x), self.tokens.weight)

    model = Net()
    nn.init.normal_(model.tokens.weight, std=0.02)
    x, y = labels(T, rng, 210, 5, length), labels(T, rng, 210, 5, length)
    groups = [
        {"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = T.optim.AdamW(groups, lr=6e-4, betas=(0.9, 0.95))
    return training(
        optimizer,
        lambda: F.cross_entropy(model(x).flatten(0, 1), y.flatten()),
        lambda: nn.utils.clip_grad_norm_(model.parameters(), 1.0),
    )
