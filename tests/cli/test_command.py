"""The `tidu` command itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tidu import __version__
from tidu.cli import main


def test_version() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tidu", "--version"], capture_output=True, text=True
    )
    assert (result.returncode, result.stdout) == (0, f"tidu {__version__}\n")


@pytest.mark.parametrize("arguments", [[], ["nope"], ["run"], ["run", "--nope"]])
def test_a_wrong_call_explains_the_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: tidu")


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "run a script written for PyTorch, unchanged, on tidu" in capsys.readouterr().out
