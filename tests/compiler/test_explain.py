"""explain_compile and TIDU_LOG=kernels: what each kernel was made for, its memory and its time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

import tidu
from tests.compiler.tiers import forget_programs
from tidu.base.changes import changes
from tidu.base.state import state
from tidu.execute import engine
from tidu.programs import programs


def paragraph(said: str, number: int) -> str:
    """What is said of one call of a program."""
    found = re.search(rf"^{number}  .*(?:\n   .*)*", said, flags=re.MULTILINE)
    assert found is not None, said
    return found.group()


def test_each_kernel_names_its_lines_and_what_it_reads_and_writes() -> None:
    x, weight = tidu.randn(64, 128), tidu.randn(10, 128)

    def classify(scale: float) -> Any:
        logits = x @ weight.t()
        scores = tidu.softmax(logits * scale, dim=1)
        return scores

    said = str(tidu.explain_compile(classify, 0.5))
    assert re.match(r"program 1 of 1, \d+ operations: 1 product, 1 kernel; ", said)
    product, kernel = paragraph(said, 0), paragraph(said, 1)
    assert re.search(r"for     test_explain\.py:\d+: logits = x @ weight\.t\(\)\n", product)
    assert re.search(r"(reads|     )   in\d f32\[64, 128\], 32,768 bytes", product)
    assert "writes  t0 f32[64, 10], 2,560 bytes" in product
    assert "scores = tidu.softmax(logits * scale, dim=1)" in kernel
    assert "logits = x" not in kernel
    assert "reads   t0 f32[64, 10], 2,560 bytes" in kernel
    assert re.search(r"(writes|      )  out0 f32\[64, 10\], 2,560 bytes", kernel)


def test_every_call_is_measured() -> None:
    x = tidu.randn(300, 300)
    explanation = tidu.explain_compile(lambda: (tidu.tanh(x) @ x).exp())
    (report,) = explanation.programs
    assert len(report.seconds) == len(report.plan.calls) == 3
    assert all(0 < seconds < 1 for seconds in report.seconds)
    assert len(re.findall(r"^\d  .*, [\d.]+ (?:µs|ms)$", str(explanation), re.MULTILINE)) == 3


def test_a_call_of_numpy_says_why() -> None:
    x = tidu.randn(20, 5)
    said = str(tidu.explain_compile(lambda: tidu.sort(x * 2, dim=1)))
    assert "host call" in said
    assert "because it is a NumPy function in every tier" in said


def test_what_only_prepares_memory_is_for_the_line_that_needs_it() -> None:
    x, weight = tidu.randn(2, 3, 50), tidu.randn(4, 3, 5)
    said = str(tidu.explain_compile(lambda: tidu.nn.functional.conv1d(x, weight, padding=2)))
    assert "convolution" in said
    assert said.count("  for     test_explain.py:") == len(re.findall(r"^\d  ", said, re.MULTILINE))


def test_backward_and_update_belong_to_the_lines_of_the_forward_pass_and_of_the_step() -> None:
    layer = tidu.nn.Linear(100, 50)
    optimizer = tidu.optim.SGD(layer.parameters(), lr=0.1)
    x = tidu.randn(32, 100)

    def step() -> None:
        layer(x).tanh().sum().backward()
        optimizer.step()

    (report,) = tidu.explain_compile(step).programs
    said = str(report)
    assert "layer(x).tanh().sum().backward()" in said
    assert "optimizer.step()" in said
    assert "barrier" not in said and "for i in" not in said
    assert "for i in" in report.loops


def test_explaining_runs_the_function_once_and_changes_nothing_else() -> None:
    weight = tidu.ones(20, 20, requires_grad=True)
    calls = []

    def step(x: Any, *, scale: float) -> Any:
        calls.append(x)
        loss = (weight * x).sum() * scale
        loss.backward()
        with tidu.no_grad():
            weight.sub_(weight.grad)
        return loss

    def settings() -> tuple[Any, ...]:
        return (
            engine.tier, engine.fewest, programs.immediate, programs.make, dict(programs.made),
            state.own.programs,
        )  # fmt: skip

    x = tidu.ones(20, 20)
    tidu.realize()
    before = settings()
    explanation = tidu.explain_compile(step, x, scale=2.0)
    assert settings() == before
    assert len(calls) == 1
    assert explanation.result.item() == 800.0
    np.testing.assert_array_equal(weight.detach().numpy(), -np.ones((20, 20)))


def test_what_was_pending_before_is_not_explained() -> None:
    waiting = tidu.ones(7, 7).exp()
    explanation = tidu.explain_compile(lambda: None)
    assert explanation.programs == ()
    assert str(explanation) == "nothing was left to compute"
    assert waiting.sum().item() == pytest.approx(49 * np.e)


def test_several_programs_are_told_apart() -> None:
    x = tidu.randn(30, 30)

    def run() -> float:
        return float(x.exp().sum().item() + x.cos().sum().item())

    said = str(tidu.explain_compile(run))
    assert "program 1 of 2" in said and "program 2 of 2" in said


def test_an_error_in_the_function_passes_and_leaves_the_compiler_as_it_was() -> None:
    assert state.own.programs is None

    def fail() -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        tidu.explain_compile(fail)
    assert state.own.programs is None


def test_only_what_the_calling_thread_needs_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_programs(monkeypatch)
    monkeypatch.setattr(engine, "tier", None)
    monkeypatch.setattr(engine, "fewest", 1)
    y, begun, ended = tidu.randn(70, 70), threading.Event(), threading.Event()
    sums: list[float] = []

    def loop() -> None:
        while not ended.is_set():
            sums.append((y.sin() + y.cos() * y).sum().item())
            begun.set()

    x = tidu.randn(30, 30)
    tidu.realize()
    other = threading.Thread(target=loop)
    other.start()

    def run() -> float:
        begun.clear()
        assert begun.wait(60)
        return float((x.exp() * x).sum().item())

    try:
        assert begun.wait(60)
        explanation = tidu.explain_compile(run)
        assert state.own.programs is None
        seen = len(programs.ledger.records)
    finally:
        ended.set()
        other.join()
    (report,) = explanation.programs
    assert "x.exp() * x" in str(report) and "y.sin()" not in str(report)
    np.testing.assert_allclose(explanation.result, (x.exp() * x).sum().item(), rtol=1e-5)
    assert seen == 1  # the region of the other thread, and not that of this one
    assert np.ptp(sums) <= 1e-3 * abs(np.mean(sums))


def test_threads_that_explain_at_the_same_time_get_their_own_programs() -> None:
    x, barrier = tidu.randn(30, 30), threading.Barrier(2)
    tidu.realize()
    found: dict[str, Any] = {}

    def explain(name: str) -> None:
        def run() -> float:
            barrier.wait(60)
            result = getattr(x, name)().sum().item()
            barrier.wait(60)
            return float(result)

        found[name] = tidu.explain_compile(run)
        found[f"{name} afterwards"] = state.own.programs

    threads = [threading.Thread(target=explain, args=(name,)) for name in ("exp", "cos")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, other in (("exp", "cos"), ("cos", "exp")):
        (report,) = found[name].programs
        assert f"{name}(" in report.loops and f"{other}(" not in report.loops
        assert found[f"{name} afterwards"] is None
    assert changes.stance == "default"  # compiled functions are replayed again


def test_calls_that_a_compiled_function_would_replay_are_explained_too() -> None:
    x = tidu.randn(40, 40)

    @tidu.compile
    def run() -> Any:
        return (x * x).sum(1).sqrt()

    for _ in range(4):
        run()
    (report,) = tidu.explain_compile(run).programs
    assert "return (x * x).sum(1).sqrt()" in str(report)


SCRIPT = """
import tidu
x = tidu.randn(64, 10)
for _ in range(6):
    y = tidu.softmax(x, 1).exp()
    for _ in range(8):
        y = y.sin().cos()
    tidu.realize()
    from tidu.programs import programs
    programs.wait()
print(y.sum().item())
"""


def run_script(tmp_path: Any, **environment: str) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    return subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "TIDU_TIER": "", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


def test_tidu_log_tells_of_each_program_once_when_it_has_run(tmp_path: Any) -> None:
    plain, logged = run_script(tmp_path), run_script(tmp_path, TIDU_LOG="kernels")
    assert plain.stderr == ""
    assert logged.stderr.count("tidu: program ") == 1
    assert re.search(
        r"^tidu: program 1, \d+ operations: \d kernels?; [\d.]+ (µs|ms)", logged.stderr
    )
    assert (
        "script.py:5: y = tidu.softmax(x, 1).exp()\n           script.py:7: y = y.sin().cos()\n"
        in logged.stderr
    )
    assert "reads   in0 f32[64, 10], 2,560 bytes" in logged.stderr
    assert len(logged.stdout) > 0
