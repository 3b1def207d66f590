"""What few programs need is loaded when they ask for it, and is there under every name."""

from __future__ import annotations

import json
import subprocess
import sys
from textwrap import dedent
from typing import Any

import pytest

from tidu.base.deferred import on_demand

SHOWN = [
    "Transformer", "SyncBatchNorm", "ParameterList", "ReflectionPad2d", "MultiheadAttention",
]  # fmt: skip


def run(script: str) -> Any:
    """What `script` prints in a process of its own, as JSON."""
    command = [sys.executable, "-c", dedent(script)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_importing_tidu_loads_nothing_that_few_programs_need() -> None:
    loaded = run("import json, sys, tidu; print(json.dumps(sorted(sys.modules)))")
    rare = {
        *("llvmlite", "multiprocessing", "numpy.random", "zipfile", "tidu.autograd.functional"),
        *("tidu.compiler.pipeline", "tidu.data", "tidu.distributions", "tidu.interop"),
        *("tidu.nn.transformer", "tidu.nn.utils.prune", "tidu.optim.lbfgs", "tidu.replay"),
    }
    assert not rare & set(loaded)


def test_seeds_and_random_numbers_do_without_those_of_numpy() -> None:
    script = "tidu.manual_seed(1); tidu.rand(3); print(json.dumps('numpy.random' in sys.modules))"
    assert run(f"import json, sys, tidu; {script}") is False


@pytest.mark.parametrize("first", ["getattr(tidu.nn, name)", "__import__(f'tidu.nn.{home}')"])
def test_a_class_is_the_same_whatever_asks_for_it_first(first: str) -> None:
    assert run(
        f"""
        import json, pickle, tidu
        name, home = "Transformer", "transformer"
        {first}
        from tidu.nn import Transformer
        from tidu.nn.transformer import Transformer as there
        model = Transformer(4, 2, 1, 1, 8)
        copy = pickle.loads(pickle.dumps(model))
        print(json.dumps([
            tidu.nn.Transformer is Transformer is there is tidu.nn.modules.Transformer,
            isinstance(copy, tidu.nn.Transformer),
        ]))
        """
    ) == [True, True]


def test_names_are_listed_before_they_are_loaded() -> None:
    listed = run("import json, tidu; print(json.dumps([dir(tidu.nn), dir(tidu), dir(tidu.optim)]))")
    for names, some in zip(listed, [SHOWN, ["compile", "save", "func"], ["LBFGS", "lr_scheduler"]]):
        assert not set(some) - set(names)


def test_a_star_gives_what_is_loaded_later_and_no_modules() -> None:
    assert run(
        """
        import json, types
        from tidu import *
        modules = [name for name, x in dict(globals()).items() if isinstance(x, types.ModuleType)]
        modules.remove("__builtins__")
        print(json.dumps([sorted(modules), save.__module__, compile.__module__]))
        """
    ) == [["json", "types"], "tidu.interop.checkpoint", "tidu.replay.compiled"]


@pytest.mark.parametrize(
    "name",
    [
        "torch.nope",
        "torch.nn.Nope",
        "torch.nn.utils.nope",
        "torch.backends.nope",
        "torch.cuda.nope",
    ],
)
def test_what_is_missing_is_told_by_its_full_name(name: str) -> None:
    module, _, last = name.rpartition(".")
    told = run(
        f"""
        import json
        from tidu.cli import aliases
        aliases.install()
        import torch, torch.nn.utils
        told = []
        try:
            {name}
        except AttributeError as error:
            told.append(str(error))
        try:
            from {module} import {last}
        except ImportError as error:
            told.append(str(error))
        print(json.dumps(told))
        """
    )
    assert len(told) == 2
    assert all(f"tidu does not have {name} yet" in text for text in told)


def test_functions_are_not_hidden_by_modules_of_their_name() -> None:
    assert run(
        """
        import importlib, json, tidu
        functions = ["autograd.gradcheck", "nn.utils.skip_init", "nn.utils.weight_norm"]
        found = []
        for path in functions:
            importlib.import_module(f"tidu.{path}")
            found.append(callable(eval(f"tidu.{path}")))
        print(json.dumps(found))
        """
    ) == [True, True, True]
    with pytest.raises(ValueError, match=r"tidu\.func is a module"):
        on_demand("tidu", func="func")
