"""Numbers too small to be normal are taken for zero where a thread has asked for it."""

from __future__ import annotations

import threading

import llvmlite.binding as llvm
import numpy as np
import pytest

import tidu as torch
from tests.compiler.tiers import tier
from tests.threads import in_thread
from tidu.backends import spmd
from tidu.backends.spmd import modes

pytestmark = pytest.mark.skipif(not spmd.can_flush(), reason="this processor cannot do it")
SIZE = 1 << 20  # for several workers
SMALL = 1e-30  # times 1e-10 it is not normal, nor quite zero, in float32


def product() -> torch.Tensor:
    return torch.full((SIZE,), SMALL) * 1e-10 + torch.zeros(SIZE)


def zeros_of(count: int = 6) -> list[int]:
    """How many numbers of products are zero, in one region after the other."""
    return [int((product() == 0).sum()) for _ in range(count)]


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_results_are_flushed_on_all_workers_until_it_is_taken_back(workers: int) -> None:
    torch.set_num_threads(workers)

    def script() -> tuple[list[int], list[int]]:
        assert torch.set_flush_denormal(True)
        flushed = zeros_of()
        assert torch.set_flush_denormal(False)
        return flushed, zeros_of()

    flushed, not_flushed = in_thread(script)
    assert set(flushed) == {SIZE}
    assert set(not_flushed) == {0}


def test_operands_are_flushed_too() -> None:
    x = torch.from_numpy(np.full(SIZE, 1e-40, np.float32))

    def script() -> list[float]:
        torch.set_flush_denormal(True)
        return [float((x * 1e20).sum()) for _ in range(6)]

    assert set(in_thread(script)) == {0.0}
    assert float((x * 1e20).sum()) > 0


def test_what_one_thread_has_asked_for_is_not_done_to_another() -> None:
    begun, over = threading.Event(), threading.Event()
    flushed: list[int] = []

    def other() -> None:
        torch.set_flush_denormal(True)
        while not over.is_set():
            flushed.extend(zeros_of(1))
            begun.set()

    thread = threading.Thread(target=other)
    thread.start()
    begun.wait()
    here = zeros_of(60)
    over.set()
    thread.join()
    assert set(here) == {0}
    assert set(flushed) == {SIZE}


def test_it_holds_for_what_is_asked_for_while_it_is_set() -> None:
    def script() -> list[int]:
        before = product()
        torch.set_flush_denormal(True)
        meanwhile = product()
        torch.set_flush_denormal(False)
        return [int((x == 0).sum()) for x in (before, meanwhile, product())]

    assert in_thread(script) == [0, SIZE, 0]


def test_programs_made_meanwhile_keep_their_constants() -> None:
    x = -torch.ones(SIZE)

    def script() -> list[int]:
        counts = []
        for flush in (True, False):
            torch.set_flush_denormal(flush)
            bounded = torch.nn.functional.threshold(x, 2.0, 1e-40)
            counts.append(int(np.count_nonzero(bounded.numpy().view(np.int32))))
        return counts

    with tier(1):
        assert in_thread(script)[1] == SIZE


def test_a_replayed_step_follows_what_is_set() -> None:
    weight = torch.full((SIZE,), SMALL, requires_grad=True)

    @torch.compile
    def step() -> torch.Tensor:
        weight.grad = None
        (weight * 1e-10).sum().backward()
        return weight.grad * SMALL

    def script() -> list[int]:
        counts = []
        for flush in (False, True, False):
            torch.set_flush_denormal(flush)
            counts += [int((step() == 0).sum()) for _ in range(8)]
        return counts

    assert in_thread(script) == [0] * 8 + [SIZE] * 8 + [0] * 8


def test_what_is_not_a_bool_is_refused() -> None:
    with pytest.raises(RuntimeError, match="flush_denormal expects a bool, but got int"):
        torch.set_flush_denormal(1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("machine", "triple", "instruction"),
    [
        ("x86_64", "x86_64-unknown-linux", "ldmxcsr"),
        ("AMD64", "x86_64-pc-windows", "ldmxcsr"),
        ("aarch64", "aarch64-unknown-linux", "FPCR"),
        ("arm64", "arm64-apple-macosx", "FPCR"),
    ],
)
def test_the_flags_of_each_processor_are_set_by_its_own_instruction(
    machine: str, triple: str, instruction: str
) -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = llvm.Target.from_triple(triple).create_target_machine()
    module = llvm.parse_assembly(modes.text(machine))
    assert instruction in target.emit_assembly(module)


def test_a_processor_without_such_flags_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spmd, "can_flush", lambda: False)
    assert torch.set_flush_denormal(True) is False
    assert not modes.can_flush("riscv64")
    llvm.parse_assembly(modes.text("riscv64"))
