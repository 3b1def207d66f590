"""`tidu run` must be to a script what `python` is, but for what `import torch` gives."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tidu import __version__

COMMAND = [sys.executable, "-m", "tidu", "run"]


def run(
    folder: Path, source: str, *arguments: str, command: list[str] = COMMAND, **environment: str
) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(textwrap.dedent(source), encoding="utf-8")
    return subprocess.run(
        [*command, "script.py", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def output(folder: Path, source: str, *arguments: str) -> str:
    result = run(folder, source, *arguments)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


def test_torch_is_tidu_under_every_spelling_of_import(tmp_path: Path) -> None:
    source = """
        import sys
        import torch
        import torch as T
        import torch.nn
        import torch.nn as nn
        import torch.nn.functional as F
        import torch.utils.data
        from torch import nn as nn2, optim, Tensor
        from torch.nn import Linear, functional
        from torch.optim.lr_scheduler import StepLR
        from torch.utils.data import DataLoader
        import tidu

        assert torch is T is tidu is sys.modules["torch"]
        assert torch.nn is nn is nn2 is tidu.nn
        assert F is functional is tidu.nn.functional is torch.nn.functional
        assert Linear is tidu.nn.Linear and Tensor is tidu.Tensor
        assert StepLR is tidu.optim.lr_scheduler.StepLR
        assert DataLoader is tidu.utils.data.DataLoader is torch.utils.data.DataLoader
        for name in ("tidu", "tidu.nn", "tidu.nn.functional", "tidu.optim.lr_scheduler"):
            assert sys.modules[name].__spec__.name == name
        print(torch.tensor([1.0, 2.0]).sum().item())
    """
    assert output(tmp_path, source) == "3.0\n"


def test_scripts_that_ask_for_a_version_of_pytorch_get_one(tmp_path: Path) -> None:
    printed = output(
        tmp_path,
        """
        import torch
        major, minor = torch.__version__.split(".")[:2]
        print(int(major) >= 2, int(minor) >= 1, torch.__version__ >= "2.0", torch.__version__)
        """,
    )
    assert printed == f"True True True 2.13.0+tidu.{__version__}\n"


@pytest.mark.parametrize(
    ("statement", "error", "message"),
    [
        ("from torch.nn import Nope", ImportError, r"torch\.nn\.Nope yet"),
        ("from torch.nn.functional import nope", ImportError, r"torch\.nn\.functional\.nope yet"),
        ("from torch import nope", ImportError, r"torch\.nope yet"),
        ("import torch.nope", ModuleNotFoundError, r"'torch\.nope'"),
        ("import torch.nn.nope", ModuleNotFoundError, r"'torch\.nn\.nope'"),
        ("import torch; torch.nope", AttributeError, r"torch\.nope yet"),
        ("import torch; torch.nn.Nope", AttributeError, r"torch\.nn\.Nope yet"),
        ("import torch.nn.functional as F; F.nope", AttributeError, r"torch\.nn\.functional\.nope"),
        ("import torch; torch.nn.modules.nope", AttributeError, r"torch\.nn\.modules\.nope yet"),
        ("import torch; torch.hub.nope", AttributeError, r"torch\.hub\.nope yet"),
        ("from torch.optim.swa_utils import nope", ImportError, r"torch\.optim\.swa_utils\.nope"),
        ("import torch; torch.ones(1).nope()", AttributeError, r"torch\.Tensor\.nope yet"),
        ("import torch; torch.Tensor.nope", AttributeError, r"torch\.Tensor\.nope yet"),
    ],
)
def test_what_tidu_lacks_is_named_in_full(
    tmp_path: Path, statement: str, error: type[Exception], message: str
) -> None:
    result = run(tmp_path, statement)
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert re.match(rf"{error.__name__}: .*{message}", last)
    assert "tidu does not have" in last
    assert statement in result.stderr
    assert "tidu/cli" not in result.stderr


def test_packages_built_on_pytorch_are_told_from_it(tmp_path: Path) -> None:
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text("import torch\ntorch.ops.load_library('x')\n")
    result = run(tmp_path, "import torchvision")
    assert result.returncode == 1
    assert "tidu does not have torch.ops.load_library yet" in result.stderr
    assert "torchvision is built on the native library of PyTorch" in result.stderr


def test_modules_that_are_loaded_late_are_those_of_tidu(tmp_path: Path) -> None:
    source = """
        import sys
        import tidu, torch
        from torch.optim.swa_utils import AveragedModel
        import torch.nn.modules.loss

        assert torch.optim.swa_utils is tidu.optim.swa_utils
        assert AveragedModel is tidu.optim.swa_utils.AveragedModel
        assert torch.profiler.profile is tidu.profiler.profile
        assert torch.nn.modules.loss.MSELoss is torch.nn.MSELoss
        assert torch.distributions.Beta is tidu.distributions.Beta
        print(sys.modules["torch.profiler"] is sys.modules["tidu.profiler"])
    """
    assert output(tmp_path, source) == "True\n"


def test_scripts_can_probe_for_what_may_be_missing(tmp_path: Path) -> None:
    source = """
        import importlib.util
        import torch

        assert not hasattr(torch, "nope") and not hasattr(torch.nn, "Nope")
        assert getattr(torch, "nope", 3) == 3
        assert hasattr(torch.nn, "Linear")
        assert importlib.util.find_spec("torch.nope") is None
        assert importlib.util.find_spec("torch.nn") is not None
        try:
            import torch.nope
        except ImportError as error:
            assert error.name == "torch.nope"
        try:
            from torch.nn import Nope
        except ImportError:
            print("caught")
    """
    assert output(tmp_path, source) == "caught\n"


def test_the_script_sees_what_python_would_show_it(tmp_path: Path) -> None:
    (tmp_path / "neighbor.py").write_text("value = 5\n")
    source = '''
        """The docstring."""
        import os, sys
        import neighbor

        print(sys.argv)
        print(__name__, __file__, __doc__, __spec__, __package__, __builtins__)
        print(sys.path[0], sys.modules["__main__"].neighbor.value, len(sys.argv[0:]))
        print(type(__loader__).__name__, sorted(name for name in globals() if name[:2] != "__"))
    '''
    arguments = ["--lr", "0.1", "-h", "--", "x"]
    result = run(tmp_path, source, *arguments)
    expected = run(tmp_path, source, *arguments, command=[sys.executable])
    assert (result.stdout, result.stderr) == (expected.stdout, expected.stderr)


def test_a_module_runs_with_m(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "part.py").write_text("value = 5\n")
    source = "import sys, torch\nfrom .part import value\n"
    source += "print(__name__, __spec__.name, __package__, sys.argv[1:], value)\n"
    for name in ("train", "__main__"):
        (package / f"{name}.py").write_text(source)
    for name, full_name in (("package.train",) * 2, ("package", "package.__main__")):
        result = subprocess.run(
            [*COMMAND, "-m", name, "-x", "1"], cwd=tmp_path, capture_output=True, text=True
        )
        assert result.stdout == f"__main__ {full_name} package ['-x', '1'] 5\n", result.stderr


@pytest.mark.parametrize(
    ("ending", "status", "printed"),
    [
        ("", 0, ""),
        ("raise SystemExit", 0, ""),
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit('goodbye')", 1, "goodbye\n"),
        ("import os; os._exit(4)", 4, ""),
    ],
)
def test_exit_status(tmp_path: Path, ending: str, status: int, printed: str) -> None:
    result = run(tmp_path, f"import atexit\natexit.register(print, 'end')\n{ending}\n")
    assert (result.returncode, result.stderr) == (status, printed)
    assert result.stdout == ("" if status == 4 else "end\n")


def test_an_interrupt_ends_the_process_as_an_interrupt(tmp_path: Path) -> None:
    result = run(tmp_path, "def wait():\n    raise KeyboardInterrupt\n\nwait()\n")
    assert result.returncode == -signal.SIGINT
    assert result.stderr.count("Traceback") == 1
    assert result.stderr.splitlines()[-1] == "KeyboardInterrupt"
    assert "tidu" not in result.stderr


FAILING = """
    import torch

    class Net(torch.nn.Module):
        def forward(self, x):
            return x @ torch.ones(5, 2)  # the mistake

    def main():
        Net()(torch.ones(2, 3))

    main()
"""


def test_tracebacks_show_the_lines_of_the_script_only(tmp_path: Path) -> None:
    result = run(tmp_path, FAILING)
    assert result.returncode == 1
    lines = [line.strip() for line in result.stderr.splitlines()]
    files = [line for line in lines if line.startswith("File ")]
    assert [re.sub(r'.*line (\d+), in (\S+)"?', r"\1 \2", file) for file in files] == [
        "11 <module>",
        "9 main",
        "6 forward",
    ]
    assert all(f'"{tmp_path / "script.py"}"' in file for file in files)
    assert lines[lines.index(files[-1]) + 1].endswith("# the mistake")
    assert lines[-1].startswith("RuntimeError: ")


def test_the_whole_traceback_is_there_on_demand(tmp_path: Path) -> None:
    result = run(tmp_path, FAILING, TIDU_TRACEBACK="full")
    assert result.returncode == 1
    assert re.search(r"tidu[/\\]nn[/\\]", result.stderr)
    assert result.stderr.splitlines()[-1].startswith("RuntimeError: ")


def test_chained_errors_are_trimmed_as_well(tmp_path: Path) -> None:
    source = """
        import torch

        try:
            torch.ones(2) + torch.ones(3)
        except RuntimeError as error:
            raise ValueError("bad sizes") from error
    """
    result = run(tmp_path, source)
    assert result.stderr.count('File "') == 2
    assert "direct cause" in result.stderr
    assert result.stderr.splitlines()[-1] == "ValueError: bad sizes"


def test_the_scripts_own_excepthook_is_called(tmp_path: Path) -> None:
    source = """
        import sys, traceback

        def hook(kind, error, frames):
            print(kind.__name__, [frame.name for frame in traceback.extract_tb(frames)])

        sys.excepthook = hook
        raise OSError("x")
    """
    result = run(tmp_path, source)
    assert (result.returncode, result.stdout) == (1, "OSError ['<module>']\n")


def test_a_syntax_error_is_shown_as_python_shows_it(tmp_path: Path) -> None:
    result = run(tmp_path, "x = = 1\n")
    expected = run(tmp_path, "x = = 1\n", command=[sys.executable])
    assert (result.returncode, result.stderr) == (1, expected.stderr)


def test_a_script_that_is_not_there(tmp_path: Path) -> None:
    missing = tmp_path / "missing.py"
    result = subprocess.run([*COMMAND, str(missing)], capture_output=True, text=True)
    assert result.returncode == 2
    assert f"can't open file '{missing}': [Errno 2] No such file or directory" in result.stderr


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_the_script_see_tidu_as_well(tmp_path: Path, method: str) -> None:
    source = """
        import multiprocessing
        import sys
        import torch

        class Point:
            def __init__(self, x):
                self.x = x

        def work(point, sender):
            import torch.nn.functional as F
            sender.send((torch.__name__, F.relu(torch.tensor([-point.x])).tolist(), Point(point.x)))

        if __name__ == "__main__":
            context = multiprocessing.get_context(sys.argv[1])
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=work, args=(Point(2.0), sender))
            process.start()
            sender.close()
            name, values, point = receiver.recv()
            process.join()
            print(name, values, type(point) is Point, point.x, process.exitcode)
    """
    assert output(tmp_path, source, method) == "tidu [0.0] True 2.0 0\n"


@pytest.mark.parametrize("workers", ["0", "2"])
def test_data_loader_over_a_dataset_of_the_script(tmp_path: Path, workers: str) -> None:
    source = """
        import sys
        import torch
        from torch.utils.data import DataLoader, Dataset

        class Squares(Dataset):
            def __len__(self):
                return 8

            def __getitem__(self, index):
                return torch.tensor(float(index)), index * index

        if __name__ == "__main__":
            for x, y in DataLoader(Squares(), batch_size=4, num_workers=int(sys.argv[1])):
                print(x.tolist(), y.tolist())
    """
    assert output(tmp_path, source, workers).splitlines() == [
        "[0.0, 1.0, 2.0, 3.0] [0, 1, 4, 9]",
        "[4.0, 5.0, 6.0, 7.0] [16, 25, 36, 49]",
    ]


def test_saving_and_loading_an_object_of_a_class_of_the_script(tmp_path: Path) -> None:
    source = """
        import torch

        class Settings:
            rate = 0.1

        class Net(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = torch.nn.Linear(3, 2)

            def forward(self, x):
                return self.layer(x)

        net = Net()
        torch.save({"net": net, "settings": Settings()}, "all.pt")
        loaded = torch.load("all.pt", weights_only=False)
        x = torch.ones(1, 3)
        assert torch.equal(loaded["net"](x), net(x))
        assert type(loaded["settings"]) is Settings
        print("same")
    """
    assert output(tmp_path, source) == "same\n"


def test_the_classes_of_tensors_shapes_and_dtypes_print_as_those_of_torch(tmp_path: Path) -> None:
    source = """
        import pickle
        import torch

        x = torch.nn.Parameter(torch.ones(2))
        for y in (x.data, x, x.shape, x.dtype, x.device):
            print(type(y))
        classes = torch.Tensor, torch.nn.Parameter, torch.Size
        assert pickle.loads(pickle.dumps(classes)) == classes
    """
    names = ["Tensor", "nn.parameter.Parameter", "Size", "dtype", "device"]
    assert output(tmp_path, source) == "".join(f"<class 'torch.{name}'>\n" for name in names)


def test_layers_losses_optimizers_and_schedules_print_as_those_of_torch(tmp_path: Path) -> None:
    source = """
        import torch
        from torch.optim import swa_utils

        print(type(torch.nn.Linear(1, 1)), torch.nn.Conv2d, torch.nn.InstanceNorm1d)
        print(torch.nn.CrossEntropyLoss, torch.nn.Module, torch.nn.MultiheadAttention)
        print(torch.optim.SGD, torch.optim.LBFGS, torch.optim.Optimizer, swa_utils.SWALR)
        print(torch.optim.lr_scheduler.StepLR)
    """
    assert re.findall(r"'(.*?)'", output(tmp_path, source)) == [
        "torch.nn.modules.linear.Linear",
        "torch.nn.modules.conv.Conv2d",
        "torch.nn.modules.instancenorm.InstanceNorm1d",
        "torch.nn.modules.loss.CrossEntropyLoss",
        "torch.nn.modules.module.Module",
        "torch.nn.modules.activation.MultiheadAttention",
        "torch.optim.sgd.SGD",
        "torch.optim.lbfgs.LBFGS",
        "torch.optim.optimizer.Optimizer",
        "torch.optim.swa_utils.SWALR",
        "torch.optim.lr_scheduler.StepLR",
    ]


def test_what_is_renamed_can_be_imported_by_its_name(tmp_path: Path) -> None:
    source = """
        import importlib
        import pickle
        import sys
        import torch
        from torch import nn, optim
        from torch.optim import lr_scheduler, swa_utils

        count = 0
        for space in (nn, nn.parameter, optim, lr_scheduler, swa_utils):
            for kind in [getattr(space, name) for name in dir(space)]:
                if isinstance(kind, type) and kind.__module__.startswith("torch."):
                    assert pickle.loads(pickle.dumps(kind)) is kind, kind
                    count += 1
        left = [
            kind
            for kind in map(vars(nn).get, dir(nn))
            if isinstance(kind, type) and kind.__module__.startswith("tidu")
        ]
        print(count > 180, left)
    """
    assert output(tmp_path, source) == "True []\n"


def test_a_subclass_of_tensor_is_asked_about_layers(tmp_path: Path) -> None:
    source = """
        import torch

        class Asked(torch.Tensor):
            @classmethod
            def __torch_function__(cls, func, types, args=(), kwargs=None):
                return f"asked with {len(args)}"

        x = torch.ones(1, 2).as_subclass(Asked)
        print(torch.nn.ReLU()(x))
    """
    assert output(tmp_path, source) == "asked with 1\n"
