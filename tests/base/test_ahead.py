"""Modules that are compiled when tidu is installed."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import shutil
import subprocess
import sys
import tomllib
import types
from pathlib import Path
from typing import Any

import pytest

from tidu.base import ahead
from tidu.base.ahead import Ahead

ROOT = Path(__file__).parents[2]
HOOK = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
MODULES = HOOK["wheel"]["hooks"]["custom"]["modules"]
compiled = pytest.mark.skipif(not Ahead.active, reason="nothing was compiled here")


def run(code: str, folder: Path | None = None, **variables: str) -> str:
    """What a program prints that imports tidu, perhaps another copy of it."""
    path = str(ROOT / "src" if folder is None else folder)
    environment = {**os.environ, "PYTHONPATH": path, **variables}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.mark.parametrize("module", MODULES)
def test_a_module_to_be_compiled_calls_no_python_code_of_libraries(module: str) -> None:
    """Compiled functions have no frames, so such code would seem to be called by the user's."""
    known = vars(importlib.import_module(module))
    tree = ast.parse(Path(ahead.source_of(module)).read_text())
    called = {
        ast.unparse(node.func)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for statement in function.body
        for node in ast.walk(statement)
        if isinstance(node, ast.Call)
    }
    found = {name: _look_up(known, name) for name in called}
    assert not {name for name, x in found.items() if _is_python_of_a_library(x)} - _RARELY


# Once in a process, and when a class or a program is made.
_RARELY = {"ctypes.PYFUNCTYPE", "ctypes.cast", "functools.wraps", "replace"}


def _look_up(known: dict[str, Any], dotted: str) -> Any:
    owner, *names = dotted.split(".")
    x = known.get(owner)
    for name in names:
        x = getattr(x, name, None) if isinstance(x, types.ModuleType) else None
    return x


def _is_python_of_a_library(x: Any) -> bool:
    x = inspect.unwrap(x) if callable(x) else x
    if str(getattr(x, "__module__", "")).startswith("tidu"):
        return False
    if isinstance(x, type):
        return any(isinstance(member, types.FunctionType) for member in vars(x).values())
    return isinstance(x, types.FunctionType)


def test_every_declaration_for_the_compiler_belongs_to_a_compiled_module() -> None:
    declared = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src").rglob("*.pxd")}
    assert declared <= {module.replace(".", "/") + ".pxd" for module in MODULES}


@compiled
def test_compiled_modules_are_loaded_in_the_place_of_their_sources() -> None:
    code = "import tidu.ir.op as m; print(type(m.Op.value).__name__, m.__file__)"
    kind, file = run(code).split()
    assert kind != "function"
    assert file == str(ROOT / "src/tidu/ir/op.py")
    assert run(code, TIDU_AHEAD="0").split() == ["function", file]


@compiled
@pytest.mark.parametrize("ending", [".py", ".pxd"])
def test_where_a_source_has_been_changed_all_of_them_are_run(ending: str, tmp_path: Path) -> None:
    shutil.copytree(
        ROOT / "src/tidu", tmp_path / "tidu", ignore=shutil.ignore_patterns("__pycache__")
    )
    code = "import tidu.ir.op, tidu.ir.value as m; print(type(m.leaf).__name__)"
    assert run(code, tmp_path) != "function"
    with open(tmp_path / f"tidu/ir/op{ending}", "a") as source:
        source.write("# changed\n")
    assert run(code, tmp_path) == "function"


@compiled
def test_what_is_compiled_raises_the_same_errors_with_the_line_that_made_them() -> None:
    code = """
import tidu
try:
    tidu.ones(2) + tidu.ones(3)
except RuntimeError as error:
    print(error)
try:
    tidu.ones(2, 2).backward()
except RuntimeError as error:
    print(error)
"""
    assert run(code) == run(code, TIDU_AHEAD="0")


def test_a_wrong_setting_is_an_error() -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run("import tidu", TIDU_AHEAD="yes")
    assert "TIDU_AHEAD must be 0 or 1" in caught.value.stderr


def test_a_file_of_the_users_is_not_taken_for_ours() -> None:
    assert not ahead.is_compiled("tidu/of_mine.py")
    assert not ahead.is_compiled("of_mine.py")
    assert ahead.is_compiled("tidu/ir/op.py")
