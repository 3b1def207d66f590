"""Programs with marks for TorchScript run, and give what they give unmarked."""

from __future__ import annotations

from typing import Any

import pytest

import tidu

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")


def marked(library: Any) -> list[Any]:
    """What a program with all kinds of marks computes."""
    nn, jit = library.nn, library.jit
    library.manual_seed(0)

    def gelu(x):
        return 0.5 * x * (1.0 + library.erf(x / 1.41421))

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 3)

        @jit.unused
        def never(self, x):
            return x.tolist()

        @jit.ignore
        def aside(self, x):
            return x + 1.0

        @jit.ignore(drop=True)
        def dropped(self, x):
            return x

        @jit.export
        def twice(self, x):
            return self.linear(self.linear(x))

        def forward(self, x):
            return gelu(self.twice(x)) if not jit.is_tracing() else x

    block = Block() if library is torch else jit.script(Block())
    gelu = gelu if library is torch else jit.script(gelu)
    x = jit.annotate(library.Tensor, library.ones(2, 3))
    y = block(x)
    y.sum().backward()
    return [
        y.tolist(),
        block.linear.weight.grad.tolist(),
        jit.is_scripting(),
        len(list(block.parameters())),
    ]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_marked_program_gives_what_it_gives_unmarked() -> None:
    for ours, theirs in zip(marked(tidu), marked(torch), strict=True):
        tidu.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_scripted_module_keeps_its_state_and_its_class() -> None:
    model = tidu.nn.Sequential(tidu.nn.Linear(2, 2), tidu.nn.Dropout())
    scripted = tidu.jit.script(model)
    assert isinstance(scripted, tidu.nn.Sequential)
    assert list(scripted.state_dict()) == list(model.state_dict())
    assert not scripted.eval().training
