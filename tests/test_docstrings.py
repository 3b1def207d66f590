"""The examples in the docstrings of the package run, and print what they say.

An example shows one call, in the middle of a program that the reader knows: a model, an optimizer,
a batch. `setting` is that program, made anew for every docstring.
"""

from __future__ import annotations

import builtins
import doctest
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import tidu
from tidu import Tensor, nn, optim
from tidu.ir.op import Op, registry
from tidu.utils import data

PACKAGE = Path(tidu.__file__).parent
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def modules_with_examples() -> list[str]:
    files = sorted(path for path in PACKAGE.rglob("*.py") if ">>>" in path.read_text())
    names = (".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in files)
    return [name.removesuffix(".__init__") for name in names]


def setting() -> dict[str, Any]:
    """What an example may use without saying where it comes from."""
    tidu.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, labels = tidu.randn(16, 4), tidu.randint(0, 3, (16,))
    dataset = data.TensorDataset(x, labels)

    def train(x: Tensor, labels: Tensor) -> Tensor:
        loss: Tensor = nn.functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return {
        "model": model,
        "optimizer": optimizer,
        "x": x,
        "labels": labels,
        "dataset": dataset,
        "loader": data.DataLoader(dataset, batch_size=4),
        "train": train,
        "loss": nn.functional.cross_entropy(model(x), labels),
        "epochs": 2,
    }


def names_for(module: ModuleType) -> dict[str, Any]:
    """Names as a script imports them, those of the setting, and those of the module itself."""
    imported: dict[str, Any] = {"tidu": tidu, "torch": tidu, "F": nn.functional}
    for source in (data, optim.lr_scheduler, optim, nn, tidu):
        public = {name for name in dir(source) if name[0] != "_"} - set(dir(builtins))
        imported.update({name: getattr(source, name) for name in public})
    return {**imported, **setting(), **vars(module)}


class Finder(doctest.DocTestFinder):
    """Finds the classes too that show themselves under a public name, such as `tidu.Tensor`."""

    def _from_module(self, module: ModuleType, object: Any) -> bool:
        if inspect.isclass(object) and object.__module__ == "tidu":
            return f"class {object.__name__}" in inspect.getsource(module)
        return super()._from_module(module, object)  # type: ignore[misc,no-any-return]


def examples_in(module: ModuleType) -> list[doctest.DocTest]:
    """Those in docstrings, and those of the operations that the module declares."""
    parser, source = doctest.DocTestParser(), inspect.getsource(module)
    declared = [op for op in registry.values() if f'"{op.name}"' in source]
    return [
        *Finder(exclude_empty=True).find(module),
        *(parser.get_doctest(op.doc, {}, op.name, module.__file__, None) for op in declared),
    ]


@pytest.mark.parametrize("op", [op for op in registry.values() if op.public], ids=repr)
def test_operations_say_what_they_compute(op: Op) -> None:
    assert op.doc


@pytest.fixture
def _switches_as_before() -> Iterator[None]:
    deterministic, kind = tidu.are_deterministic_algorithms_enabled(), tidu.get_default_dtype()
    grad = tidu.is_grad_enabled()
    yield
    tidu.use_deterministic_algorithms(deterministic)
    tidu.set_default_dtype(kind)
    tidu.set_grad_enabled(grad)


@pytest.mark.usefixtures("_switches_as_before")
@pytest.mark.parametrize("name", modules_with_examples())
@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")
def test_examples_print_what_they_say(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    for example in examples_in(module):
        example.globs = names_for(module)
        runner.run(example)
    assert runner.tries, f"the examples in {name} are in no docstring that doctest finds"
    assert not runner.failures, capsys.readouterr().out
