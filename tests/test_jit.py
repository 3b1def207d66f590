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


@pytest.mark.filterwarnings("ignore:.*deprecated")
def test_tracing_runs_the_example_and_returns_the_module() -> None:
    found = []
    for library in (torch, tidu):
        library.manual_seed(0)
        model = library.nn.Sequential(library.nn.Linear(3, 2), library.nn.ReLU())
        traced = library.jit.trace(model, (library.ones(1, 3),))
        twice = library.jit.trace(lambda x: x * 2, library.ones(2))
        frozen = library.jit.freeze(library.jit.script(traced.eval()))
        found.append((twice(traced(library.ones(4, 3))).tolist(), frozen(library.ones(3)).tolist()))
    assert found[1] == found[0]
    with pytest.raises(RuntimeError, match=r"\(1x3\)|shape|size"):
        tidu.jit.trace(tidu.nn.Linear(4, 2), tidu.ones(1, 3))


def test_mistakes_in_tracing_are_found() -> None:
    with pytest.raises(TypeError, match="example_inputs"):
        tidu.jit.trace(tidu.nn.Linear(1, 1))
    with pytest.raises(RuntimeError, match="eval mode"):
        tidu.jit.freeze(tidu.nn.Linear(1, 1))
    model = tidu.nn.Linear(3, 2)
    assert tidu.jit.trace_module(model, {"forward": tidu.ones(1, 3)}) is model


def test_a_script_module_is_a_module() -> None:
    class Scale(tidu.jit.ScriptModule):
        def __init__(self) -> None:
            super().__init__()
            self.factor = tidu.nn.Parameter(tidu.ones(2) * 3)

        @tidu.jit.script_method
        def forward(self, x: Any) -> Any:
            return x * self.factor

    assert Scale()(tidu.ones(2)).tolist() == [3.0, 3.0]
    assert [name for name, _ in Scale().named_parameters()] == ["factor"]
