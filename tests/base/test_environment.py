"""What is set in the environment, and what is said of values that mean nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tidu.base.environment import setting

WRONG = [
    ("TIDU_BACKEND", "rubbish", "numpy or null"),
    ("TIDU_CACHE_SIZE", "abc", "a number of bytes"),
    ("TIDU_CACHE_SIZE", "-1", "a number of bytes"),
    ("TIDU_LOG", "rubbish", "kernels"),
    ("TIDU_NUM_THREADS", "0", "a positive number"),
    ("TIDU_NUM_THREADS", "many", "a positive number"),
    ("TIDU_TIER", "7", "0 or 1"),
    ("TIDU_VERIFY", "yes", "0 or 1"),
]
RIGHT = [
    ("TIDU_BACKEND", "null"),
    ("TIDU_CACHE_SIZE", "10000"),
    ("TIDU_LOG", "kernels"),
    ("TIDU_NUM_THREADS", "10"),
    ("TIDU_TIER", "0"),
    ("TIDU_VERIFY", "1"),
]


@pytest.mark.parametrize(("name", "value", "allowed"), WRONG)
def test_a_value_that_means_nothing_is_refused(
    name: str, value: str, allowed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=re.escape(f"{name} must be {allowed}, got '{value}'")):
        setting(name)


@pytest.mark.parametrize(("name", "value"), RIGHT)
def test_a_setting_is_what_was_set_or_nothing(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert setting(name) == value
    monkeypatch.setenv(name, "")
    assert setting(name) == ""
    monkeypatch.delenv(name)
    assert setting(name) == ""


@pytest.mark.parametrize(
    ("name", "value"), [("TIDU_BACKEND", "x"), ("TIDU_CACHE_SIZE", "x"), ("TIDU_TIER", "7")]
)
def test_importing_the_package_says_so(name: str, value: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import tidu"],
        env={**os.environ, name: value},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert f"ValueError: {name} must be " in done.stderr


def test_empty_values_are_as_good_as_none() -> None:
    empty = dict.fromkeys([name for name, _ in RIGHT], "")
    done = subprocess.run(
        [sys.executable, "-c", "import tidu; print(tidu.ones(3).sum().item())"],
        env={**os.environ, **empty},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == "3.0\n", done.stderr
