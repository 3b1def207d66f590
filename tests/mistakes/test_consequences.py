"""What remains after a mistake: nothing. And what is said of mistakes that are no errors."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import tidu
import tidu.nn.functional as F


def weights_of(model: Any) -> list[Any]:
    return [parameter.tolist() for parameter in model.parameters()]


def test_a_wrong_class_that_is_computed_late_leaves_the_model_as_it_was() -> None:
    model = tidu.nn.Linear(3, 3)
    optimizer = tidu.optim.Adam(model.parameters(), lr=0.1)
    before = weights_of(model)
    for labels in (tidu.tensor([0, 2]) + 1, tidu.tensor([[0, 3]]).view(-1)):
        optimizer.zero_grad()
        with pytest.raises(IndexError, match="Target 3 is out of bounds"):
            F.cross_entropy(model(tidu.ones(2, 3)), labels).backward()
            optimizer.step()
    assert weights_of(model) == before
    assert not optimizer.state_dict()["state"]
    F.cross_entropy(model(tidu.ones(2, 3)), tidu.tensor([0, 2])).backward()
    optimizer.step()
    assert weights_of(model) != before


@pytest.mark.parametrize("write", ["assign", "scatter_", "index_add_", "index_fill_"])
def test_a_write_out_of_range_leaves_the_tensor_as_it_was(write: str) -> None:
    x, index = tidu.zeros(4), tidu.tensor([3]) + 4
    with pytest.raises((IndexError, RuntimeError), match=r"7|out of"):
        if write == "assign":
            x[index] = 1.0
        elif write == "index_fill_":
            x.index_fill_(0, index, 1.0)
        else:
            getattr(x, write)(0, index, tidu.ones(1))
    assert x.tolist() == [0.0] * 4 and x._version == 0
    x[tidu.tensor([3])] = 1.0
    assert x.tolist() == [0.0, 0.0, 0.0, 1.0]


def test_an_index_made_of_numbers_not_known_yet_names_its_line_when_it_is_run() -> None:
    x, index = tidu.ones(3), (tidu.ones(1) * 9).long()
    y = x[index]  # taken
    other = x + 1
    with pytest.raises(IndexError, match=r"index 9 is out of bounds.*y = x\[index\]  # taken"):
        y.tolist()
    assert x.tolist() == [1.0] * 3 and other.tolist() == [2.0] * 3


def test_failed_in_place_operations_leave_the_tensor_as_it_was() -> None:
    x = tidu.arange(3)
    for mistake in (
        lambda: x.add_(0.5),
        lambda: x.add_(tidu.ones(2, dtype=tidu.int64)),
        lambda: x.copy_(tidu.ones(2)),
        lambda: x.mul_("2"),
    ):
        with pytest.raises((RuntimeError, TypeError)):
            mistake()
    assert x.tolist() == [0, 1, 2] and x._version == 0 and x.dtype is tidu.int64


def test_a_failed_constructor_or_load_leaves_an_optimizer_usable() -> None:
    x = tidu.ones(1, requires_grad=True)
    optimizer = tidu.optim.SGD([x], lr=0.1, momentum=0.9)
    other = tidu.optim.SGD([{"params": [x]}, {"params": [tidu.ones(1)]}], lr=0.5)
    with pytest.raises(ValueError):
        optimizer.load_state_dict(other.state_dict())
    with pytest.raises(ValueError, match="more than one parameter group"):
        optimizer.add_param_group({"params": [x]})
    assert len(optimizer.param_groups) == 1 and optimizer.param_groups[0]["lr"] == 0.1
    (x * 2).sum().backward()
    optimizer.step()
    assert x.tolist() == pytest.approx([0.8])


def test_a_refused_attribute_leaves_the_module_as_it_was() -> None:
    layer = tidu.nn.Linear(2, 2)
    weight = layer.weight
    with pytest.raises(TypeError):
        layer.weight = tidu.zeros(2, 2)
    assert layer.weight is weight and set(dict(layer.named_parameters())) == {"weight", "bias"}
    assert layer(tidu.ones(1, 2)).shape == (1, 2)


def test_errors_of_users_pass_through_modules_unchanged() -> None:
    class Mine(tidu.nn.Module):
        def forward(self, x: Any) -> Any:
            raise ValueError("mine")

    with pytest.raises(ValueError) as caught:
        tidu.nn.Sequential(Mine())(tidu.ones(1))
    assert str(caught.value) == "mine"


@pytest.mark.parametrize("loss", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"])
def test_a_target_that_broadcasts_the_prediction_is_warned_of(loss: str) -> None:
    prediction = tidu.tensor([[1.0], [2.0], [3.0]], requires_grad=True)
    with pytest.warns(UserWarning) as caught:
        getattr(F, loss)(prediction, tidu.tensor([1.0, 2.0, 3.0]))  # here
    text = str(caught[0].message)
    for part in ("target size", "[3]", "[3, 1]", "[3, 3]", "gradient", "target.reshape(3, 1)"):
        assert part in text
    assert caught[0].filename == __file__


def test_equal_shapes_are_not_warned_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        F.mse_loss(tidu.ones(3, 1), tidu.ones(3, 1))


@pytest.mark.parametrize(
    ("ask", "kind"),
    [
        (lambda: tidu.ones(2, device="cuda"), AssertionError),  # as PyTorch without CUDA
        (lambda: tidu.ones(2).to("cuda"), AssertionError),
        (lambda: tidu.nn.Linear(1, 1).to("cuda:0"), AssertionError),
        (lambda: tidu.zeros(2, device=tidu.device("mps")), RuntimeError),
    ],
)
def test_another_device_is_answered_with_the_cpu(ask: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"CPU only.*is_available.*test_consequences.py:\d+"):
        ask()


def test_names_that_are_missing_are_named_in_full() -> None:
    for module, name in ((tidu, "no_such"), (tidu.nn, "NoSuch"), (tidu.nn.functional, "no_such")):
        with pytest.raises(AttributeError, match=f"'{module.__name__}' has no attribute '{name}'"):
            getattr(module, name)
    with pytest.raises(ImportError, match="NoSuch"):
        exec("from tidu.nn import NoSuch")
