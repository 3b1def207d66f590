"""In which order results lie in memory, and what depends on it: views and random numbers."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.ops import table

import tidu
from tidu.ir.op import Op

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")


def F(torch: Any) -> Any:
    return torch.nn.functional


Call = Callable[[Any, Any], Any]


def _numbers(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).uniform(0.1, 0.9, shape).astype(np.float32)


def _matrix(torch: Any) -> Any:
    return torch.from_numpy(_numbers(4, 6)).t()


def _sequence(torch: Any) -> Any:
    return torch.from_numpy(_numbers(2, 7, 4)).transpose(1, 2)


def _turned(torch: Any) -> Any:
    return torch.from_numpy(_numbers(4, 5, 6, 7)).permute(3, 1, 0, 2)


def _images(torch: Any) -> Any:
    return torch.from_numpy(_numbers(2, 8, 6, 6)).to(memory_format=torch.channels_last)


def _weight(torch: Any, *shape: int) -> Any:
    return torch.from_numpy(_numbers(*shape))


def _zeros_like_index(torch: Any, x: Any) -> Any:
    return torch.zeros(x.shape, dtype=torch.long)


# What is computed element by element lies as its inputs do, most other results by rows.
CALLS: dict[str, Call] = {
    "x * 1": lambda torch, x: x * 1,
    "x + x": lambda torch, x: x + x,
    "1 - x": lambda torch, x: 1 - x,
    "x > 0": lambda torch, x: x > 0.5,
    "x + row": lambda torch, x: x + torch.ones(x.shape[-1]),
    "x * its mean": lambda torch, x: x * x.mean(-1, keepdim=True),
    "where": lambda torch, x: torch.where(x > 0.5, x, 0.0),
    "clone": lambda torch, x: x.clone(),
    "double": lambda torch, x: x.double(),
    "contiguous": lambda torch, x: x.contiguous(),
    "zeros_like": lambda torch, x: torch.zeros_like(x),
    "full_like": lambda torch, x: torch.full_like(x, 2.0),
    "gelu": lambda torch, x: F(torch).gelu(x),
    "silu": lambda torch, x: F(torch).silu(x),
    "logsigmoid": lambda torch, x: F(torch).logsigmoid(x),
    "dropout": lambda torch, x: F(torch).dropout(x, 0.5),
    "glu": lambda torch, x: F(torch).glu(x, [n % 2 for n in x.shape].index(0)),
    "mse without reduction": lambda torch, x: F(torch).mse_loss(x, x, reduction="none"),
    "erfinv": lambda torch, x: torch.erfinv(x),
    "flip": lambda torch, x: x.flip(0),
    "sort": lambda torch, x: x.sort(1).values,
    "index of a sort": lambda torch, x: x.argsort(0),
    "normalize": lambda torch, x: F(torch).normalize(x, dim=0),
    "sum": lambda torch, x: x.sum(-1),
    "amax, kept": lambda torch, x: x.amax(0, keepdim=True),
    "std": lambda torch, x: x.std(1),
    "softmax": lambda torch, x: x.softmax(1),
    "log_softmax": lambda torch, x: x.log_softmax(-1),
    "cumsum": lambda torch, x: x.cumsum(0),
    "layer_norm": lambda torch, x: F(torch).layer_norm(x, x.shape[-1:]),
    "rms_norm": lambda torch, x: F(torch).rms_norm(x, x.shape[-1:]),
    "cat": lambda torch, x: torch.cat([x, x], 1),
    "stack": lambda torch, x: torch.stack([x, x]),
    "linear": lambda torch, x: F(torch).linear(x, _weight(torch, 3, x.shape[-1])),
    "matmul": lambda torch, x: x @ _weight(torch, x.shape[-1], 2),
    "masked_fill": lambda torch, x: x.masked_fill(x > 0.5, 0.0),
    "masked_scatter": lambda torch, x: x.masked_scatter(x > 0.5, torch.ones(x.numel())),
    "gather": lambda torch, x: x.gather(1, _zeros_like_index(torch, x)),
    "scatter": lambda torch, x: x.scatter(1, _zeros_like_index(torch, x), 1.0),
    "index_select": lambda torch, x: x.index_select(1, torch.tensor([0, 1])),
    "x[[0, 1]]": lambda torch, x: x[torch.tensor([0, 1])],
    "x[:, [0, 1]]": lambda torch, x: x[:, torch.tensor([0, 1])],
    "repeat": lambda torch, x: x.repeat((1,) * (x.dim() - 1) + (2,)),
    "repeat_interleave": lambda torch, x: x.repeat_interleave(2, 1),
    "roll": lambda torch, x: x.roll(1, 0),
    "tril": lambda torch, x: x.tril(),
    "pad": lambda torch, x: F(torch).pad(x, (1, 1)),
    "rand_like": lambda torch, x: torch.rand_like(x),
    "randn_like": lambda torch, x: torch.randn_like(x),
    "randint_like": lambda torch, x: torch.randint_like(x, 3, 9),
    "bernoulli": lambda torch, x: torch.bernoulli(x),
    "x.bernoulli(p)": lambda torch, x: x.bernoulli(0.3),
    "bernoulli_": lambda torch, x: torch.empty_like(x).bernoulli_(0.3),
    "bernoulli_(p)": lambda torch, x: torch.empty_like(x).bernoulli_(x),
    "uniform_": lambda torch, x: torch.empty_like(x).uniform_(2, 3),
    "normal_": lambda torch, x: torch.empty_like(x).normal_(1, 2),
    "exponential_": lambda torch, x: torch.empty_like(x).exponential_(),
    "rrelu": lambda torch, x: F(torch).rrelu(x - 0.5, training=True),
    "alpha_dropout": lambda torch, x: F(torch).alpha_dropout(x, 0.5),
    "gumbel_softmax": lambda torch, x: F(torch).gumbel_softmax(x),
    "xavier_normal_": lambda torch, x: torch.nn.init.xavier_normal_(x.clone()),
    "rsample": lambda torch, x: torch.distributions.Uniform(x, x + 1).rsample(),
}  # fmt: skip
OF_IMAGES: dict[str, Call] = {
    "conv2d": lambda torch, x: F(torch).conv2d(x, _weight(torch, 4, 8, 3, 3)),
    "conv2d with its weight so": lambda torch, x: F(torch).conv2d(
        x.contiguous(), _weight(torch, 4, 8, 3, 3).to(memory_format=torch.channels_last)
    ),
    "conv_transpose2d": lambda torch, x: torch.conv_transpose2d(x, _weight(torch, 8, 4, 3, 3)),
    "max_pool2d": lambda torch, x: F(torch).max_pool2d(x, 2),
    "avg_pool2d": lambda torch, x: F(torch).avg_pool2d(x, 2),
    "adaptive_avg_pool2d": lambda torch, x: F(torch).adaptive_avg_pool2d(x, 2),
    "adaptive_max_pool2d": lambda torch, x: F(torch).adaptive_max_pool2d(x, 2),
    "interpolate": lambda torch, x: F(torch).interpolate(x, scale_factor=2, mode="bilinear"),
    "batch_norm": lambda torch, x: torch.nn.BatchNorm2d(8)(x),
    "group_norm": lambda torch, x: F(torch).group_norm(x, 2),
    "instance_norm": lambda torch, x: F(torch).instance_norm(x),
    "layer_norm": lambda torch, x: F(torch).layer_norm(x, (6,)),
    "prelu": lambda torch, x: F(torch).prelu(x, torch.ones(8)),
    "pad": lambda torch, x: F(torch).pad(x, (1, 1, 1, 1), mode="reflect"),
    "cat": lambda torch, x: torch.cat([x, x], 1),
    "cat with rows": lambda torch, x: torch.cat([x, x.contiguous()], 1),
    "pixel_shuffle": lambda torch, x: F(torch).pixel_shuffle(x, 2),
    "dropout2d": lambda torch, x: F(torch).dropout2d(x, 0.5),
    "flatten": lambda torch, x: x.flatten(1),
    "part of the channels": lambda torch, x: F(torch).conv2d(x[:, :4], _weight(torch, 2, 4, 3, 3)),
    "clone by rows": lambda torch, x: x.clone(memory_format=torch.contiguous_format),
    "to rows": lambda torch, x: x.to(memory_format=torch.contiguous_format),
    "empty": lambda torch, x: torch.empty(x.shape, memory_format=torch.channels_last).zero_(),
}  # fmt: skip
OF_SEQUENCES: dict[str, Call] = {
    "conv1d": lambda torch, x: F(torch).conv1d(x, _weight(torch, 3, 4, 3)),
    "batch_norm": lambda torch, x: torch.nn.BatchNorm1d(4)(x),
    "max_pool1d": lambda torch, x: F(torch).max_pool1d(x, 2),
    "attention": lambda torch, x: F(torch).scaled_dot_product_attention(*[x[:, None]] * 3),
    "attention of turned heads": lambda torch, x: F(torch).scaled_dot_product_attention(
        *[x.mT.contiguous()[:, :, None].transpose(1, 2)] * 3
    ),
    "attention with dropout": lambda torch, x: F(torch).scaled_dot_product_attention(
        *[x.mT.contiguous()[:, :, None].transpose(1, 2)] * 3, dropout_p=0.5
    ),
    "LSTM": lambda torch, x: F(torch).gelu(torch.nn.LSTM(7, 3, batch_first=True)(x)[0]),
}  # fmt: skip
CASES = [
    *((make, name) for make in (_matrix, _sequence, _turned) for name in CALLS),
    *((_images, name) for name in OF_IMAGES),
    *((_sequence, name) for name in OF_SEQUENCES),
]


@pytest.mark.parametrize("make,name", CASES, ids=lambda x: x if isinstance(x, str) else x.__name__)
def test_results_lie_in_memory_as_pytorchs(make: Any, name: str) -> None:
    call = (OF_IMAGES if make is _images else {**CALLS, **OF_SEQUENCES})[name]
    results = []
    for module in (tidu, torch):
        module.manual_seed(0)
        results.append(call(module, make(module)))
    got, want = results
    assert got.stride() == want.stride()
    assert got.is_contiguous() == want.is_contiguous()
    np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy(), rtol=2e-4, atol=2e-5)


LAID_AS_INPUTS = [op for op in table.tested_ops() if op.kind == "elementwise"]


@pytest.mark.parametrize("op", LAID_AS_INPUTS, ids=lambda op: op.name)
def test_every_elementwise_op_gives_the_strides_of_pytorch(op: Op) -> None:
    compared = 0
    for sample, dtype in table.cases(op, ("float32", "int64", "bool")):
        arguments = table.realize_sample(op, sample, dtype)
        made: list[Any] = []
        table.map_arrays(arguments, made.append)
        if any(m.array.size == 0 for m in made):
            continue

        def reversed_in(module: Any, m: table.Made) -> Any:
            turned = np.array(m.array.T, order="C")
            tensor = module.from_numpy(turned).to(getattr(module, m.dtype))
            return tensor.permute(tuple(range(tensor.dim()))[::-1])

        theirs = table.map_arrays(arguments, lambda m: reversed_in(torch, m))
        ours = table.map_arrays(arguments, lambda m: reversed_in(tidu, m))
        try:
            wanted = table.as_outputs(table.theirs(op, torch)(*theirs))
        except (RuntimeError, NotImplementedError):
            continue
        for got, want in zip(table.as_outputs(op(*ours)), wanted, strict=True):
            assert got.stride() == want.stride(), sample
            compared += 1
    assert compared


def _losses(torch: Any, model: Any, inputs: Any, targets: Any, steps: int = 4) -> list[float]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(steps):
        loss = F(torch).cross_entropy(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_dropout_behind_an_activation_of_a_recurrent_layer_draws_pytorchs_masks() -> None:
    def run(torch: Any) -> list[float]:
        torch.manual_seed(0)
        layer, head = torch.nn.GRU(5, 8, batch_first=True), torch.nn.Linear(8, 3)
        drop = torch.nn.Dropout(0.4)

        class Model(torch.nn.Module):  # type: ignore[misc,name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.layer, self.head = layer, head

            def forward(self, x: Any) -> Any:
                return self.head(drop(F(torch).gelu(self.layer(x)[0]))).mean(1)

        inputs = torch.from_numpy(_numbers(6, 9, 5))
        return _losses(torch, Model(), inputs, torch.tensor([0, 1, 2, 0, 1, 2]))

    np.testing.assert_allclose(run(tidu), run(torch), rtol=1e-5)


def test_a_network_with_channels_last_draws_pytorchs_masks() -> None:
    def run(torch: Any) -> tuple[list[float], list[Any]]:
        torch.manual_seed(0)
        nn = torch.nn
        model = nn.Sequential(
            *(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.3), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(6 * 9, 4)),
        ).to(memory_format=torch.channels_last)
        inputs = torch.from_numpy(_numbers(5, 3, 8, 8)).to(memory_format=torch.channels_last)
        losses = _losses(torch, model, inputs, torch.tensor([0, 1, 2, 3, 0]))
        return losses, [(p.stride(), p.grad.stride()) for p in model.parameters()]

    (ours, our_strides), (theirs, their_strides) = run(tidu), run(torch)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    assert our_strides == their_strides


def test_a_result_that_lies_otherwise_is_seen_as_pytorch_sees_it() -> None:
    def see(torch: Any) -> list[Any]:
        x = torch.arange(6.0).reshape(2, 3).t() * 1
        seen: list[Any] = [
            x.untyped_storage().tolist(),
            x.t().is_contiguous(),
            x.t().view(-1).tolist(),
        ]
        seen += [
            x.as_strided((2, 2), (1, 2)).tolist(),
            x.reshape(-1).tolist(),
            x.flatten().stride(),
        ]
        with pytest.raises(RuntimeError, match="view"):
            x.view(-1)
        x.t().view(-1)[1] = 10.0  # a view of the memory of x
        x.reshape(-1)[0] = 20.0  # a copy
        x += 1
        return [*seen, x.tolist(), x.stride(), (x + 1).stride(), x[1:].stride()]

    assert see(tidu) == see(torch)


@pytest.mark.parametrize("keep", ["deepcopy", "copy", "saved"])
def test_copies_and_files_keep_how_a_tensor_lies(keep: str) -> None:
    x = tidu.arange(24.0).reshape(2, 3, 4).permute(2, 0, 1) * 1
    if keep == "saved":
        file = io.BytesIO()
        tidu.save(x, file)
        file.seek(0)
        there = torch.load(file)
        assert (there.stride(), there.tolist()) == (x.stride(), x.tolist())
        file.seek(0)
        kept = tidu.load(file)
    else:
        kept = getattr(copy, keep)(x)
    assert (kept.stride(), kept.tolist()) == (x.stride(), x.tolist())


NUMPY_ARRAYS = {
    "turned": lambda: _numbers(2, 3, 4).transpose(2, 0, 1),
    "by columns": lambda: np.asfortranarray(_numbers(2, 3, 4)),
}


@pytest.mark.parametrize("name", NUMPY_ARRAYS)
def test_arrays_and_tensors_of_each_other_lie_as_with_pytorch(name: str) -> None:
    def see(torch: Any) -> list[Any]:
        array = NUMPY_ARRAYS[name]()
        makers = [torch.from_numpy, torch.tensor, torch.as_tensor, torch.Tensor, torch.from_dlpack]
        made = [make(array) for make in makers]
        there = [(x.stride(), x.tolist()) for x in made]
        return [*there, *(x.numpy().strides for x in made), (made[0] * 2).numpy().strides]

    assert see(tidu) == see(torch)


def test_a_format_for_another_rank_is_refused_with_the_shape() -> None:
    with pytest.raises(RuntimeError, match=r"required rank 4 tensor.*\[2, 3\]"):
        tidu.zeros(2, 3).to(memory_format=tidu.channels_last)
