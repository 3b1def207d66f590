"""One operation here, several in PyTorch: a linear layer as users see it on the tape."""

from __future__ import annotations

from typing import Any

import pytest

import tidu
from tests.autograd.agreement import Program, assert_agrees, programs


def names(node: Any) -> list[str]:
    """The names of what is above a node, indented by how far."""
    if node is None:
        return ["None"]
    above = [name for following, _ in node.next_functions for name in names(following)]
    return [type(node).__name__, *(f"  {name}" for name in above)]


def what_pytorch_records(torch: Any, show: Any, fails: Any) -> None:
    for shape in ((3,), (4, 3), (2, 4, 3)):
        for bias in (True, False):
            for needing in ("x", "weight", "x weight", "x weight bias"):
                x = torch.ones(shape, requires_grad="x" in needing)
                layer = torch.nn.Linear(3, 2, bias=bias)
                layer.weight.requires_grad_("weight" in needing)
                if bias:
                    layer.bias.requires_grad_("bias" in needing)
                show(shape, bias, needing, *names(layer(x * 2).grad_fn))


def a_weight_that_is_a_vector(torch: Any, show: Any, fails: Any) -> None:
    weight = torch.ones(3, requires_grad=True)
    show(torch.nn.functional.linear(torch.ones(2, 3), weight))


def the_order_in_which_gradients_arrive(torch: Any, show: Any, fails: Any) -> None:
    nn = torch.nn
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2, bias=False), nn.LayerNorm(2))
    for name, parameter in model.named_parameters():
        parameter.register_hook(lambda g, name=name: show(name))
    model(torch.ones(4, 3)).sum().backward()


@pytest.mark.parametrize("program", programs(globals()), ids=lambda program: program.__name__)
def test_agrees(program: Program) -> None:
    assert_agrees(program)


def test_a_node_that_is_only_shown_takes_no_hooks() -> None:
    transposed = tidu.nn.Linear(3, 2)(tidu.ones(1, 3)).grad_fn.next_functions[2][0]
    assert type(transposed).__name__ == "TBackward0"
    with pytest.raises(RuntimeError, match="TBackward0 is part of the operation"):
        transposed.register_hook(lambda *_: None)
