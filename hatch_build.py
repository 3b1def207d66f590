"""Compiles the modules that run for each operation while tidu is being built, so that an operation
costs less than the interpreter would take for it.

Cython translates the sources as they are. Where there is no C compiler, or something is in its
way, the build goes on without: the sources do the same. ``TIDU_AHEAD=0`` leaves it out.
"""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path(__file__).parent / "src"
# Modules have the meaning that the interpreter gives them: annotations are no declarations, and the
# classes can be changed and derived from like all others.
DIRECTIVES = "annotation_typing=False,auto_pickle=False"
CLASSES = ("CYTHON_USE_TYPE_SPECS", "1")
CORES = os.cpu_count() or 1


class AheadHook(BuildHookInterface[Any]):
    """Puts compiled modules into the package, which for an editable install is the checkout."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if os.environ.get("TIDU_AHEAD") == "0":
            return
        try:
            made = compile_ahead(self.config["modules"])
        except (Exception, SystemExit) as error:  # setuptools exits where it finds no compiler
            self.app.display_warning(f"tidu is installed without compiled modules: {error}")
            return
        if version == "editable":  # the checkout is what is installed
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        for path in made:
            build_data["force_include"][str(path)] = f"tidu/_ahead/{path.name}"


def compile_ahead(modules: list[str]) -> list[Path]:
    """Have compiled modules where tidu looks for them; return their paths."""
    ahead = runpy.run_path(str(SOURCE / "tidu" / "base" / "ahead.py"))
    folder, suffix, digest = Path(ahead["FOLDER"]), ahead["SUFFIX"], ahead["digest"](modules)
    places = {module: folder / f"{module}.{digest}{suffix}" for module in modules}
    made = set(folder.glob(f"*{suffix}"))
    if made != set(places.values()):
        with tempfile.TemporaryDirectory() as scratch:
            built = build(modules, Path(scratch))
            folder.mkdir(exist_ok=True)
            for old in made:
                old.unlink()
            for module, place in places.items():
                shutil.move(built[module], place)
    return list(places.values())


def build(modules: list[str], scratch: Path) -> dict[str, Path]:
    """Compile modules into a folder; return what each became."""
    from setuptools import Distribution, Extension
    from setuptools.command.build_ext import build_ext

    def translate(module: str) -> Extension:
        """From Python to C. The path is relative, as it is part of tracebacks."""
        source, target = module.replace(".", "/") + ".py", scratch / f"{module}.c"
        command = [sys.executable, "-m", "cython", "-3", "-X", DIRECTIVES, source]
        subprocess.run([*command, "-o", str(target)], cwd=SOURCE, check=True)
        return Extension(module, [str(target)], define_macros=[CLASSES], extra_compile_args=["-g0"])

    with ThreadPoolExecutor(CORES) as pool:
        extensions = list(pool.map(translate, modules))
    command = build_ext(Distribution({"ext_modules": extensions}))
    command.build_lib, command.build_temp = str(scratch / "lib"), str(scratch / "temp")
    command.parallel = CORES
    command.ensure_finalized()
    command.run()
    return {module: Path(command.get_ext_fullpath(module)) for module in modules}
