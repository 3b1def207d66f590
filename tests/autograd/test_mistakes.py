"""Mistakes get answers: PyTorch's exception types, and messages with the line and the remedy."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tidu

HERE = Path(__file__).name
x = tidu.tensor([1.0, 2.0], requires_grad=True)


def twice() -> None:
    y = (x * x).sum()
    y.backward()
    y.backward()


def saved_after_free() -> None:
    y = x.exp()
    y.sum().backward()
    _ = y.grad_fn._saved_result


def custom_function_twice() -> None:
    y = Square.apply(x)
    y.sum().backward()
    y.sum().backward()


def no_graph() -> None:
    (x.detach() * 2).sum().backward()


def no_graph_after_no_grad() -> None:
    with tidu.no_grad():
        y = (x * 2).sum()
    y.backward()


def not_a_scalar() -> None:
    (x * 2).backward()


def gradient_of_another_shape() -> None:
    (x * 2).backward(tidu.ones(3))


def gradient_that_is_no_tensor() -> None:
    (x * 2).sum().backward(2.0)


def unused_input() -> None:
    other = tidu.ones(3, requires_grad=True)
    tidu.autograd.grad((x * 2).sum(), other)


def input_without_gradient() -> None:
    tidu.autograd.grad((x * 2).sum(), tidu.ones(3))


def in_place_on_a_leaf() -> None:
    x.add_(1)


def in_place_on_a_view_of_a_leaf() -> None:
    x[0] = 3.0


def in_place_on_a_split() -> None:
    a, _ = (x * 2).split(1)
    a.mul_(2)


def in_place_on_a_no_grad_view() -> None:
    y = x * 2
    with tidu.no_grad():
        v = y[0]
    v.mul_(2)


def numpy_of_what_requires_a_gradient() -> None:
    (x * 2).numpy()


def integers_that_require_a_gradient() -> None:
    tidu.tensor([1, 2], requires_grad=True)


def integers_asked_for_a_gradient() -> None:
    tidu.tensor([1, 2]).requires_grad_()


def flag_of_a_result() -> None:
    (x * 2).requires_grad_(False)


def retain_grad_without_gradient() -> None:
    tidu.ones(2).retain_grad()


def hook_without_gradient() -> None:
    tidu.ones(2).register_hook(print)


def hook_that_changes_the_shape() -> None:
    y = x * 2
    y.register_hook(lambda g: g.sum())
    y.sum().backward()


def gradient_set_to_another_shape() -> None:
    x.grad = tidu.ones(3)


def inference_tensor_saved() -> None:
    with tidu.inference_mode():
        y = tidu.ones(2)
    x * y


def inference_tensor_written() -> None:
    with tidu.inference_mode():
        y = tidu.ones(2)
    y.add_(1)


def wrong_number_of_gradients() -> None:
    Two.apply(x, x).sum().backward()


def nan_under_anomaly_detection() -> None:
    with tidu.autograd.set_detect_anomaly(True):
        (tidu.zeros(2, requires_grad=True).sqrt() * 0).sum().backward()


def out_with_history() -> None:
    tidu.add(x, x, out=tidu.zeros(2))


class Square(tidu.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return 2 * g * ctx.saved_tensors[0]


class Two(tidu.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, y: Any) -> Any:
        return x * y

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g


# The mistake, the exception, what the message contains, and the line of the function that it names
# (None: a message without a line).
CASES: list[tuple[Callable[[], None], type[Exception], list[str], int | None]] = [
    (twice, RuntimeError, ["second time", "retain_graph=True", "MulBackward0"], 1),
    (saved_after_free, RuntimeError, ["saved tensors after they have already been freed"], 1),
    (custom_function_twice, RuntimeError, ["second time", "SquareBackward"], 1),
    (no_graph, RuntimeError, ["element 0 of tensors does not require grad", "detach()"], 1),
    (no_graph_after_no_grad, RuntimeError, ["does not have a grad_fn", "no_grad"], 3),
    (not_a_scalar, RuntimeError, ["only for scalar outputs", "[2]", "loss.mean()"], 1),
    (gradient_of_another_shape, RuntimeError, ["Mismatch in shape", "[3]", "[2]"], 1),
    (gradient_that_is_no_tensor, TypeError, ["float"], None),
    (unused_input, RuntimeError, ["not have been used in the graph", "allow_unused", "[3]"], 2),
    (input_without_gradient, RuntimeError, ["does not require grad", "requires_grad_()"], 1),
    (in_place_on_a_leaf, RuntimeError, ["a leaf Variable that requires grad", "no_grad()"], 1),
    (in_place_on_a_view_of_a_leaf, RuntimeError, ["a view of a leaf Variable", "no_grad()"], 1),
    (in_place_on_a_split, RuntimeError, ["Split is a view", "returns multiple views"], 2),
    (in_place_on_a_no_grad_view, RuntimeError, ["A view was created in no_grad mode"], 4),
    (numpy_of_what_requires_a_gradient, RuntimeError, ["Use tensor.detach().numpy()"], None),
    (integers_that_require_a_gradient, RuntimeError, ["floating point", "torch.int64"], 1),
    (integers_asked_for_a_gradient, RuntimeError, ["floating point", "torch.int64"], None),
    (flag_of_a_result, RuntimeError, ["requires_grad flags of leaf variables", "detach()"], 1),
    (retain_grad_without_gradient, RuntimeError, ["can't retain_grad"], None),
    (hook_without_gradient, RuntimeError, ["cannot register a hook"], None),
    (hook_that_changes_the_shape, RuntimeError, ["changed the size of value", "[2]", "[]"], 1),
    (gradient_set_to_another_shape, RuntimeError, ["of size '[3]'", "of size '[2]'"], 1),
    (inference_tensor_saved, RuntimeError, ["Inference tensors cannot be saved", "clone()"], 3),
    (inference_tensor_written, RuntimeError, ["Inplace update to inference tensor"], 3),
    (wrong_number_of_gradients, RuntimeError, ["incorrect number", "expected 2, got 1"], 1),
    (nan_under_anomaly_detection, RuntimeError, ["'SqrtBackward0' returned nan values"], 2),
    (out_with_history, RuntimeError, ["out=", "add()"], 1),
]


@pytest.mark.filterwarnings("ignore:Error detected in:UserWarning")
@pytest.mark.parametrize(
    ("mistake", "kind", "parts", "line"), CASES, ids=[case[0].__name__ for case in CASES]
)
def test_mistake(
    mistake: Callable[[], None], kind: type[Exception], parts: list[str], line: int | None
) -> None:
    with pytest.raises(kind) as caught:
        mistake()
    message = str(caught.value)
    for part in parts:
        assert part in message
    if line is not None:
        lines, start = inspect.getsourcelines(mistake)
        assert f"(at {HERE}:{start + line}: {lines[line].strip()})" in message
    assert type(caught.value) is kind
    assert tidu.is_grad_enabled() and not tidu.is_inference_mode_enabled()


def test_anomaly_detection_warns_with_the_forward_line() -> None:
    y = Raises.apply(x)
    with (
        tidu.autograd.set_detect_anomaly(True),
        pytest.warns(UserWarning, match=rf"RaisesBackward.*{HERE}.*y = Raises.apply\(x\)"),
        pytest.raises(ZeroDivisionError),
    ):
        y.sum().backward()


class Raises(tidu.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x * 1

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        raise ZeroDivisionError("mine")


def test_after_an_exception_in_backward_everything_works() -> None:
    a = tidu.tensor([1.0, 2.0], requires_grad=True)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            (Raises.apply(a * 3) * 2).sum().backward()
        assert tidu.is_grad_enabled()
        assert a.grad is None
    # What is made afterwards carries its own line, not that of the node that failed.
    with pytest.raises(RuntimeError, match=r"a\.add_"):
        a.add_(1)
    (a * 3).sum().backward()
    assert a.grad is not None and a.grad.tolist() == [3.0, 3.0]


def test_an_error_in_a_custom_backward_names_the_line_in_it() -> None:
    class Wrong(tidu.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 1

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return tidu.autograd.grad(g.sum(), x)  # g has no history

    with pytest.raises(RuntimeError, match="g has no history"):
        Wrong.apply(x).sum().backward()
