"""`import torch` that gives tidu, for this process and the worker processes it starts.

`torch.x.y` is the very module object `tidu.x.y`, so `torch.nn is tidu.nn`, and whatever a script
pickles or registers is the same through either name. PyTorch itself, where installed, stays out.
"""

from __future__ import annotations

import dis
import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from multiprocessing import spawn
from types import ModuleType
from typing import Any

import tidu
from tidu.cli.names import rename_classes

PACKAGE = tidu.__name__
ALIAS = "torch"
IMPORT_FROM = dis.opmap["IMPORT_FROM"]
# The PyTorch that scripts are told they run on: they ask for what came with 2.0 and later.
PYTORCH = "2.13.0"


def install() -> None:
    """Makes `import torch` give tidu from here on; calling it again changes nothing."""
    if any(isinstance(finder, AliasFinder) for finder in sys.meta_path):
        return
    for name in [name for name in sys.modules if _is_inside(name, ALIAS)]:
        del sys.modules[name]
    sys.meta_path.insert(0, AliasFinder())
    tidu.__version__ = tidu.version.__version__ = f"{PYTORCH}+tidu.{tidu.__version__}"
    _adopt_modules()
    for kind in (tidu.Tensor, tidu.Size, tidu.dtype, tidu.device):
        kind.__module__ = ALIAS  # type(x) prints as <class 'torch.Tensor'>
    _install_in_spawned_processes()


class AliasFinder(MetaPathFinder):
    """Finds `torch` and every `torch.x.y` for which there is a `tidu.x.y`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not _is_inside(fullname, ALIAS):
            return None
        name = PACKAGE + fullname.removeprefix(ALIAS)
        original = importlib.util.find_spec(name)
        if original is None:
            return None  # the import statement then raises ModuleNotFoundError for `fullname`
        is_package = original.submodule_search_locations is not None
        return ModuleSpec(fullname, AliasLoader(name), is_package=is_package)


class AliasLoader(Loader):
    """Loads the module called `name`, whatever name it is asked for by."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self.name)
        self.spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        alias = module.__spec__.name
        module.__spec__ = self.spec  # the import system has put the alias's there
        rename_classes(module)
        _explain_missing_names(module, alias)
        _adopt_modules()


def _adopt_modules() -> None:
    """Modules that tidu has imported by itself go by their aliases, too."""
    for name, module in list(sys.modules.items()):
        if _is_inside(name, PACKAGE) and not _is_inside(name, __package__):
            alias = ALIAS + name.removeprefix(PACKAGE)
            if alias not in sys.modules:
                sys.modules[alias] = module
                rename_classes(module)
                _explain_missing_names(module, alias)


def _is_inside(name: str, package: str | None) -> bool:
    return name == package or name.startswith(f"{package}.")


def _explain_missing_names(module: ModuleType, alias: str) -> None:
    """Lets errors about a name that `module` lacks call it `torch.x.name`.

    PyTorch's scripts probe with hasattr() and getattr(), which must see an AttributeError, while
    `from torch.x import name` must raise ImportError: the instruction that asked tells them apart.
    """
    previous: Callable[[str], Any] | None = module.__dict__.get("__getattr__")

    def lookup(name: str) -> Any:
        if previous is not None:
            try:
                found = previous(name)
            except AttributeError:
                pass
            else:
                _adopt_modules()
                return found
        if name.startswith("__"):
            raise AttributeError(f"module {alias!r} has no attribute {name!r}")
        full_name = f"{alias}.{name}"
        frame = sys._getframe(1)
        if frame.f_code.co_code[frame.f_lasti] == IMPORT_FROM:
            submodule = sys.modules.get(full_name)
            if submodule is not None:  # still being imported: not yet an attribute of its package
                return submodule
            raise ImportError(
                f"cannot import name {name!r} from {alias!r}: tidu does not have {full_name} yet",
                name=alias,
                path=getattr(module, "__file__", None),
            )
        raise AttributeError(
            f"module {alias!r} has no attribute {name!r}: tidu does not have {full_name} yet",
            name=name,
            obj=module,
        )

    module.__dict__["__getattr__"] = lookup


class _InstallOnArrival:
    """Installs the aliases in the process in which it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return install, ()


def _install_in_spawned_processes() -> None:
    """Processes that multiprocessing forks inherit the aliases; those it starts afresh do not.

    Such a process first receives the preparation data, then runs the script as `__mp_main__`, so
    the aliases travel in that data. This serves the start methods `spawn` and `forkserver`.
    """
    get_preparation_data = spawn.get_preparation_data

    def with_aliases(name: str) -> dict[str, Any]:
        return {**get_preparation_data(name), "tidu_aliases": _InstallOnArrival()}

    spawn.get_preparation_data = with_aliases
