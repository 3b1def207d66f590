"""The examples do what they promise, run as a newcomer runs them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_digits_reaches_its_accuracy_and_writes_what_it_says(tmp_path: Path) -> None:
    for name in ("sklearn", "matplotlib", "rich", "safetensors"):
        pytest.importorskip(name)
    out = tmp_path / "new" / "digits"
    result = subprocess.run(
        [sys.executable, "-m", "tidu", "run", str(EXAMPLES / "digits.py"), "--out", str(out)],
        env={**os.environ, "MPLCONFIGDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    accuracy = dict(re.findall(r"(MLP|CNN) .* test (\d+\.\d+)%", result.stdout))
    assert float(accuracy["MLP"]) >= 97
    assert float(accuracy["CNN"]) >= 98
    for name in ("mlp.safetensors", "cnn.safetensors", "curves.png"):
        assert str(out / name) in result.stdout
        assert (out / name).stat().st_size > 10_000
