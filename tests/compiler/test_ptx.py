"""The same kernels for another kind of processor: PTX, the assembly language of NVIDIA's GPUs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.golden.programs import regions
from tidu.compiler.llvm import emit_ptx
from tidu.compiler.modules import Function, modules
from tidu.compiler.pipeline import compile_graph

# The oldest processors that NVIDIA's assembler still knows, and recent ones.
PROCESSORS = ("sm_75", "sm_90")


@pytest.fixture(scope="module")
def kernels() -> dict[str, Function]:
    """All kernels of the golden programs, without vectors."""
    found: dict[str, Function] = {}
    for _, graph in regions():
        found.update(compile_graph(graph, vector_bytes=0).functions)
    return found


def texts(kernels: dict[str, Function]) -> list[str]:
    return [module.text for module in modules(kernels, most=len(kernels))]


def test_there_are_kernels_of_every_golden_program(kernels: dict[str, Function]) -> None:
    assert len(kernels) >= sum(1 for _ in regions())


def test_kernels_for_a_processor_without_vectors_have_none(kernels: dict[str, Function]) -> None:
    for name, kernel in kernels.items():
        if not kernel.whole:  # those that are written by hand have
            assert not re.search(r"<\d+ x ", kernel.text), name


@pytest.mark.parametrize("processor", PROCESSORS)
def test_each_kernel_becomes_an_entry_of_the_same_interface(
    kernels: dict[str, Function], processor: str
) -> None:
    ptx = "\n".join(emit_ptx(text, processor) for text in texts(kernels))
    entries = dict(re.findall(r"\.visible \.entry (\w+)\((.*?)\)", ptx, flags=re.DOTALL))
    assert entries.keys() == kernels.keys()
    for name, parameters in entries.items():
        assert parameters.count(".param .u64") == 5, name
    assert f".target {processor}" in ptx


@pytest.mark.skipif(shutil.which("ptxas") is None, reason="needs ptxas, NVIDIA's assembler")
@pytest.mark.parametrize("processor", PROCESSORS)
def test_the_assembler_takes_what_comes_out(
    kernels: dict[str, Function], processor: str, tmp_path: Path
) -> None:
    for number, text in enumerate(texts(kernels)):
        source, binary = tmp_path / f"{number}.ptx", tmp_path / f"{number}.cubin"
        source.write_text(emit_ptx(text, processor), encoding="ascii")
        done = subprocess.run(
            ["ptxas", f"-arch={processor}", "-O1", "-o", str(binary), str(source)],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert binary.stat().st_size > 1000
