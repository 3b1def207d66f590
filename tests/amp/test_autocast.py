"""Sections of mixed precision: which operation runs in which precision, and where they end."""

from __future__ import annotations

import re
import threading
import warnings
from typing import Any

import numpy as np
import pytest

import tidu

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")

OPERATIONS = [
    "x @ x.T", "x @ x[0]", "T.mm(x, x.T)", "T.mv(x, x[0])", "T.dot(x[0], x[0])", "T.addmm(b, x, w)",
    "T.bmm(x[None], x.T[None])", "T.baddbmm(b, x[None], w[None])", "T.einsum('ij,kj->ik', x, x)",
    "T.addmv(x[0, :2], x, x[0])", "T.matmul(x, x.T.half())", "x.double() @ x.double().T",
    "F.linear(x, w.T)", "F.linear(x, w.T, b)", "F.conv1d(x[None], w[:2, :, None].mT)",
    "F.conv_transpose1d(x[None], w[:2, :, None])", "F.prelu(x, b[:1])",
    "F.scaled_dot_product_attention(x[None], x[None], x[None]).dtype",
    "x + 1", "F.relu(x.bfloat16())", "x.softmax(1)", "x.bfloat16().softmax(1)", "x.sum()",
    "F.layer_norm(x, (4,))", "T.cat([x, x.bfloat16()])", "x.bfloat16().prod()",
    "F.cross_entropy(x.bfloat16(), t)", "F.cross_entropy(x.bfloat16(), t, label_smoothing=0.1)",
    "F.nll_loss(x.bfloat16(), t)", "F.mse_loss(x.bfloat16(), x)", "F.l1_loss(x.bfloat16(), x * 2)",
    "F.kl_div(x.bfloat16(), x.bfloat16())", "F.smooth_l1_loss(x.bfloat16(), x * 2)",
    "F.binary_cross_entropy_with_logits(x.bfloat16(), x.bfloat16())",
    "T.cdist(x.bfloat16(), x.bfloat16())", "x.bfloat16().quantile(0.5).dtype",
    "T.linalg.inv(w[:3] @ w.T[:, :3])", "T.linalg.qr(w.bfloat16())[1].abs()",
    "T.linalg.svdvals(x @ w)", "T.linalg.solve(w[:3].bfloat16(), b).dtype",
    "T.linalg.cholesky((x @ x.T).bfloat16())", "T.linalg.eigvalsh((x @ x.T).bfloat16())",
]  # fmt: skip


def names_of(library: Any) -> dict[str, Any]:
    library.manual_seed(0)
    return {
        "T": library,
        "F": library.nn.functional,
        "nn": library.nn,
        "x": library.randn(2, 4),
        "w": library.randn(4, 3),
        "b": library.randn(3),
        "t": library.tensor([0, 2]),
    }


def shown(library: Any, expression: str, **section: Any) -> str:
    names = names_of(library)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with library.autocast("cpu", **section):
                return re.sub(r"\btorch\.", "", repr(eval(expression, names)))
        except Exception as error:
            return type(error).__name__


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operations_run_in_the_precision_of_pytorch(operation: str) -> None:
    assert shown(tidu, operation) == shown(torch, operation)


@pytest.mark.parametrize("operation", ["x @ x.T", "F.linear(x, w.T, b)", "F.mse_loss(x, x)"])
def test_sections_may_choose_float16_or_be_disabled(operation: str) -> None:
    for section in ({"dtype": "float16"}, {"enabled": False}):
        ours, theirs = (
            shown(library, operation, **_resolved(library, section)) for library in (tidu, torch)
        )
        assert ours == theirs


def _resolved(library: Any, section: dict[str, Any]) -> dict[str, Any]:
    return {n: getattr(library, v) if isinstance(v, str) else v for n, v in section.items()}


RECURRENT = [
    f"nn.{layer}(x[:, None]{state})"
    for layer in (
        "RNN(4, 3)",
        "RNN(4, 3, 2, nonlinearity='relu')",
        "GRU(4, 3, 2, bidirectional=True)",
        "LSTM(4, 3, 2)",
        "LSTM(4, 3, bidirectional=True)",
    )
    for state in ("", ".bfloat16()")
] + [
    f"nn.{cell}(4, 3)(x{state})"
    for cell in ("RNNCell", "GRUCell", "LSTMCell")
    for state in ("", ".bfloat16()")
]


@pytest.mark.parametrize("layer", RECURRENT)
def test_recurrent_layers_have_states_of_the_precision_of_pytorch(layer: str) -> None:
    def run(library: Any) -> tuple[list[str], list[Any]]:
        with warnings.catch_warnings(), library.autocast("cpu"):
            warnings.simplefilter("ignore")
            module = eval(layer.split("(x")[0], names_of(library))
            result = eval("module(x" + layer.split("(x")[1], names_of(library) | {"module": module})
        states = flattened(result)
        sum(s.float().pow(2).sum() for s in states).backward()
        gradients = [p.grad for p in module.parameters()]
        return [str(s.dtype) for s in states], [
            x.detach().float().numpy() for x in (*states, *gradients)
        ]

    (dtypes, found), (expected_dtypes, expected) = run(tidu), run(torch)
    assert dtypes == expected_dtypes
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=0.1, atol=0.05)


def flattened(result: Any) -> list[Any]:
    if isinstance(result, tuple):
        return [tensor for part in result for tensor in flattened(part)]
    return [result]


def test_gradients_come_back_in_the_dtype_of_the_parameters() -> None:
    gradients = []
    for library in (tidu, torch):
        library.manual_seed(0)
        net = library.nn.Sequential(
            library.nn.Linear(4, 8), library.nn.ReLU(), library.nn.Linear(8, 3)
        )
        with library.autocast("cpu", dtype=library.bfloat16):
            loss = library.nn.functional.cross_entropy(
                net(library.randn(5, 4)), library.tensor([0, 1, 2, 0, 1])
            )
        loss.backward()
        gradients.append([p.grad.tolist() for p in net.parameters()])
        assert all(p.grad.dtype is library.float32 for p in net.parameters())
    for ours, theirs in zip(*gradients, strict=True):
        tidu.testing.assert_close(tidu.tensor(ours), tidu.tensor(theirs), rtol=2e-2, atol=1e-3)


def test_sections_nest_and_end_with_exceptions() -> None:
    x = tidu.ones(2, 2)
    with tidu.autocast("cpu"):
        with tidu.autocast("cpu", enabled=False):
            assert (x @ x).dtype is tidu.float32
        with tidu.autocast("cpu", dtype=tidu.float16):
            assert (x @ x).dtype is tidu.float16 is tidu.get_autocast_dtype("cpu")
        assert (x @ x).dtype is tidu.bfloat16
        assert tidu.is_autocast_enabled("cpu") and not tidu.is_autocast_enabled()
    with pytest.raises(ZeroDivisionError), tidu.autocast("cpu"):
        raise ZeroDivisionError
    assert (x @ x).dtype is tidu.float32 and not tidu.is_autocast_enabled("cpu")


def test_a_section_is_one_of_its_thread() -> None:
    seen: list[Any] = []
    x = tidu.ones(2, 2)
    with tidu.autocast("cpu"):
        thread = threading.Thread(target=lambda: seen.append((x @ x).dtype))
        thread.start()
        thread.join()
    assert seen == [tidu.float32]


def test_autocast_decorates_functions() -> None:
    @tidu.autocast(device_type="cpu", dtype=tidu.bfloat16)
    def square(x: Any) -> Any:
        return x @ x

    assert square(tidu.ones(2, 2)).dtype is tidu.bfloat16


def test_sections_for_cuda_or_unsupported_dtypes_are_disabled_with_a_warning() -> None:
    x = tidu.ones(2, 2)
    with pytest.warns(UserWarning, match="CUDA is not available"):
        section = tidu.autocast("cuda")
    with section:
        assert (x @ x).dtype is tidu.float32
    with pytest.warns(UserWarning, match="target dtype is not supported"):
        tidu.autocast("cpu", dtype=tidu.float32)
    with pytest.warns(FutureWarning, match="torch.amp.autocast"):
        tidu.cuda.amp.autocast(enabled=False)
    for wrong, kind in ((0, ValueError), ("tpu", RuntimeError)):
        with pytest.raises(kind):
            tidu.autocast(wrong)
        with pytest.raises(kind):
            torch.autocast(wrong)


def test_custom_functions_choose_their_own_precision() -> None:
    seen: list[Any] = []

    class Square(tidu.autograd.Function):
        @staticmethod
        @tidu.amp.custom_fwd(device_type="cpu", cast_inputs=tidu.float32)
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            seen.append((x.dtype, (x @ x).dtype))
            return x @ x

        @staticmethod
        @tidu.amp.custom_bwd(device_type="cpu")
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            seen.append((g @ x.T).dtype)
            return g @ x.T + x.T @ g

    x = tidu.ones(2, 2, dtype=tidu.bfloat16, requires_grad=True)
    with tidu.autocast("cpu"):
        y = Square.apply(x)
        y.sum().backward()
    assert seen == [(tidu.float32, tidu.float32), tidu.float32]
    assert x.grad is not None and x.grad.tolist() == [[4.0, 4.0], [4.0, 4.0]]
