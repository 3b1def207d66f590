"""Imports point down the layers, stand at the top of files, and bring no extras."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
MODULES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(SOURCE.glob("tidu/**/*.py"))
}
# From the bottom up. Neighbors in one layer do not see each other. What is not listed is a public
# face such as `tidu.utils`, which only `tidu` itself and the command may import.
LAYERS = [
    {"base"},
    {"ir"},
    {"ops"},
    {"compiler"},
    {"backends"},
    {"ledger", "parts"},
    {"programs", "headstart"},
    {"execute"},
    {"autograd"},
    {"tensor"},
    {"nn", "optim", "data", "amp"},
    {"replay"},
    {"insight", "train", "interop", "distributed"},
    {"board"},
]
# Public faces that PyTorch has inside a package below them, which shows but never imports them.
SHOWN_BELOW = {"tidu.autograd.profiler", "tidu.optim.swa_utils"}
FACE = len(LAYERS)
TOP = ["tidu", "cli", "__main__"]
EXTRAS = {
    *("cuda", "hypothesis", "IPython", "matplotlib", "mpi4py", "onnx", "pandas", "pytest"),
    *("rich", "safetensors", "scipy", "sklearn", "torch", "tqdm"),
}


def unit(module: str) -> str:
    """`tidu.nn.functional` belongs to `nn`; the package itself is `tidu`."""
    if module in SHOWN_BELOW:
        return module
    return (module.split(".") + ["tidu"])[1] if "." in module else "tidu"


def layer(module: str) -> int:
    name = unit(module)
    if name in TOP:
        return FACE + 1 + TOP.index(name)
    return next((rank for rank, units in enumerate(LAYERS) if name in units), FACE)


def imported(node: ast.AST, module: str) -> list[str]:
    """The full names of the modules that an import statement of `module` loads."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
    base = node.module or ""
    if node.level:
        parents = package.split(".")[: len(package.split(".")) - node.level + 1]
        base = ".".join([*parents, *filter(None, [node.module])])
    submodules = [f"{base}.{alias.name}" for alias in node.names]
    return [name if name in MODULES else base for name in submodules]


def import_statements(module: str, *, run: bool = False) -> Iterator[tuple[ast.AST, list[str]]]:
    """The import statements of `module`; with `run`, only those that are not for types alone."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if (names := imported(node, module)) and not (run and node in for_types):
            yield node, names


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_downwards(module: str) -> None:
    for node, names in import_statements(module):
        for name in names:
            if not name.startswith("tidu.") and name != "tidu":
                continue
            where = f"{MODULES[module]}:{node.lineno}: {module} imports {name}"
            if unit(name) == unit(module):
                continue
            if layer(name) == layer(module) == FACE:
                continue  # public faces may build on each other; the test for cycles covers them
            assert layer(name) < layer(module), f"{where}, which is not below it"
            assert (unit(module), unit(name)) != ("compiler", "ops"), (
                f"{where}: ops reach it as data"
            )


def test_there_are_no_import_cycles() -> None:
    graph = {
        module: {
            name
            for _, names in import_statements(module, run=True)
            for name in names
            # A package's __init__ re-exports its parts, which may name the package: no cycle.
            if name in MODULES and name != module and not module.startswith(f"{name}.")
        }
        for module in MODULES
    }
    TopologicalSorter(graph).prepare()  # raises CycleError, which shows the cycle


@pytest.mark.parametrize("module", MODULES)
def test_imports_stand_at_the_top(module: str) -> None:
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            hidden = [
                node.lineno
                for node in ast.walk(function)
                if isinstance(node, ast.Import | ast.ImportFrom)
            ]
            assert not hidden, f"{MODULES[module]}: imports inside a function, lines {hidden}"


@pytest.mark.parametrize("module", MODULES)
def test_only_the_code_generators_import_llvmlite(module: str) -> None:
    if module == "tidu.compiler.llvm" or unit(module) == "backends":
        return
    for node, names in import_statements(module):
        assert not any(name.split(".")[0] == "llvmlite" for name in names), (
            f"{MODULES[module]}:{node.lineno}: only compiler/llvm.py and backends/ import llvmlite"
        )


def test_importing_tidu_loads_no_extra() -> None:
    command = "import json, sys, tidu; print(json.dumps(sorted(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    loaded = {name.split(".")[0] for name in json.loads(result.stdout)}
    assert not loaded & EXTRAS
