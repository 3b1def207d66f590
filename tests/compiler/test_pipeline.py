"""The list of passes, what watches it, and the backend that does nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from tests.golden.programs import PROGRAMS, graphs, regions
from tidu.backends.null import VECTOR_BYTES, NullProgram
from tidu.compiler import pipeline
from tidu.compiler.pipeline import PASSES, Target, compile_graph, forms
from tidu.compiler.program import NativeCall
from tidu.compiler.render import render


def test_passes_are_named_and_run_in_the_order_of_the_list() -> None:
    (graph,) = graphs(PROGRAMS["softmax"])
    assert [name for name, _ in forms(graph, VECTOR_BYTES)] == [step.name for step in PASSES]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_pass_leaves_what_it_is_given_as_it_was(name: str) -> None:
    for graph in graphs(PROGRAMS[name]):
        form: Any = graph
        before = render(form)
        for step in PASSES:
            following = step.run(form, Target(VECTOR_BYTES))
            assert render(form) == before, f"'{step.name}' changed its argument"
            form, before = following, render(following)


@pytest.mark.parametrize("name", PROGRAMS)
def test_compiling_twice_gives_the_same_text(name: str) -> None:
    texts = [[NullProgram(graph).texts for graph in graphs(PROGRAMS[name])] for _ in range(2)]
    assert texts[0] == texts[1]
    assert any(texts[0])


def test_watchers_see_the_result_of_every_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, Any]] = []
    monkeypatch.setattr(pipeline, "watchers", [lambda name, form: seen.append((name, form))])
    (graph,) = graphs(PROGRAMS["softmax"])
    seen.clear()
    plan = compile_graph(graph, VECTOR_BYTES)
    assert [name for name, _ in seen] == [step.name for step in PASSES]
    assert seen[-1][1] is plan


def test_the_null_backend_compiles_every_golden_program() -> None:
    for name, graph in regions():
        program = NullProgram(graph)
        assert program.plan.calls, name
        kernels = {c.kernel for c in program.plan.calls if isinstance(c, NativeCall)}
        for kernel in kernels - {"gemm"}:
            assert "".join(program.texts).count(f"define void @{kernel}(") == 1, (name, kernel)


def run(script: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


TRAINING = """
import tidu, sys
from tidu.programs import programs
model = tidu.nn.Linear(3, 2)
optimizer = tidu.optim.SGD(model.parameters(), lr=0.1)
for _ in range(2):
    optimizer.zero_grad()
    loss = model(tidu.ones(4, 3)).square().sum()
    loss.backward()
    optimizer.step()
print(loss.item(), model.weight.sum().item())
print(all(type(p).__name__ == "NullProgram" for p in programs.made.values()), len(programs.made))
"""


def test_with_the_null_backend_every_region_is_compiled_and_none_is_computed() -> None:
    numbers, compiled = run(TRAINING, TIDU_BACKEND="null").splitlines()
    assert numbers == "0.0 0.0"
    same, count = compiled.split()
    assert same == "True" and int(count) >= 2


CORRUPT = """
import tidu
from tidu.compiler import pipeline
def lose(name, form):
    if name == "expand":
        form.values.pop(0)
pipeline.watchers.insert(0, lose)
try:
    (tidu.ones(40, 40) * 2 + 1).sum().item()
except AssertionError as error:
    print(type(error).__name__, error)
"""


def test_tidu_verify_runs_the_verifier_after_every_pass() -> None:
    out = run(CORRUPT, TIDU_VERIFY="1", TIDU_TIER="1")
    assert out.startswith("InvalidFormError after pass 'expand': an input is neither a leaf nor")
