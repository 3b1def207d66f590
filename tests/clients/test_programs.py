"""Whole programs, written for PyTorch by its users, print under `tidu run` what they print there.

Text must agree character for character, numbers with a decimal point up to rounding.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")

FOLDER = Path(__file__).parent
PROGRAMS = sorted((FOLDER / "programs").glob("*.py"))

NUMBER = re.compile(r"(?<![\w.])[+-]?(\d+\.\d*(?:e[+-]?\d+)?|\d+e[+-]?\d+)(?![\w.])")
NEGATIVE_ZERO = re.compile(r"-(?=0\.0+(?![\d.e]))")
# What differs by nature: addresses, the package in the name of a class, and the line of the program
# that tidu adds to messages.
SAME = [
    (re.compile(r"\b0x[0-9a-f]+"), "0x"),
    (re.compile(r"<class 'tidu\."), "<class 'torch."),
    (re.compile(r" \(at \w+\.py:\d+: .*\)$"), ""),
]

RELATIVE = 1e-4
ABSOLUTE = 1e-6  # of numbers that are zero but for rounding


def last_place(number: str) -> float:
    """The value of one unit in the last digit that `number` shows."""
    mantissa, _, exponent = number.partition("e")
    decimals = len(mantissa.partition(".")[2])
    return 10.0 ** (int(exponent or 0) - decimals)


def difference(expected: str, actual: str) -> str | None:
    """What is different in the two lines, None if nothing is."""
    for pattern, replacement in SAME:
        expected, actual = pattern.sub(replacement, expected), pattern.sub(replacement, actual)
    if NEGATIVE_ZERO.search(expected) or NEGATIVE_ZERO.search(actual):
        # Rounded to 0.0000 or to -0.0000: which of the two is chance, and so are the widths.
        expected, actual = ("".join(NEGATIVE_ZERO.sub("", x).split()) for x in (expected, actual))
    if NUMBER.sub("#", expected) != NUMBER.sub("#", actual):
        return "text"
    for left, right in zip(NUMBER.finditer(expected), NUMBER.finditer(actual), strict=True):
        a, b = float(left.group()), float(right.group())
        allowed = max(RELATIVE * abs(a), ABSOLUTE)
        if not left.group().endswith("."):  # "1." stands for exactly 1
            allowed = max(allowed, 1.01 * last_place(left.group(1)))
        elif a == 0:
            allowed = 0 if left.group() == right.group() else -1  # 0. or -0.
        if abs(a - b) > allowed:
            return f"{left.group()} is {right.group()}"
    return None


def compare(expected: str, actual: str) -> list[str]:
    """The lines that differ, in words."""
    report = []
    pairs = zip_longest(expected.splitlines(), actual.splitlines(), fillvalue="(no such line)")
    for number, (left, right) in enumerate(pairs, start=1):
        if what := difference(left, right):
            report.append(f"line {number}, {what}:\n  PyTorch: {left}\n  tidu:    {right}")
    return report


@pytest.fixture(scope="module")
def under_pytorch() -> Iterator[Callable[[Path, Path], str]]:
    """Runs a program under PyTorch in a folder; gives what it prints."""
    server = subprocess.Popen(
        [sys.executable, str(FOLDER / "pytorch_runner.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin is not None and server.stdout is not None
    requests, answers = server.stdin, server.stdout

    def run(program: Path, folder: Path) -> str:
        output = folder / "pytorch.txt"
        requests.write(f"{program} {output}\n")
        requests.flush()
        assert answers.readline() == "0\n", f"{program.name} fails under PyTorch"
        return output.read_text()

    yield run
    requests.close()
    answers.close()
    server.wait()


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_program(program: Path, tmp_path: Path, under_pytorch: Callable[[Path, Path], str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tidu", "run", str(program)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as ours:
        expected = under_pytorch(program, tmp_path)  # while the other one runs
        actual, errors = ours.communicate(timeout=120)
    differences = compare(expected, actual)
    if ours.returncode:
        differences.insert(0, errors[-2000:])
    assert not differences, "\n".join(differences[:12])


@pytest.mark.parametrize(
    ("expected", "actual", "what"),
    [
        ("loss 0.1234, 3 of 7", "loss 0.1235, 3 of 7", None),
        ("loss 0.1234, 3 of 7", "loss 0.1236, 3 of 7", "0.1234 is 0.1236"),
        ("loss 0.1234, 3 of 7", "loss 0.1234, 4 of 7", "text"),
        ("tensor([ 0.0000, -0.1000])", "tensor([-0.0000, -0.1000])", None),
        ("tensor([-0.])", "tensor([0.])", "-0. is 0."),
        ("tensor([0.])", "tensor([0.0000])", "0. is 0.0000"),
        ("tensor([1., 2.])", "tensor([1., 2.1])", "2. is 2.1"),
        ("tensor([1., 2.])", "tensor([1.0000, 2.0000])", None),
        ("1.0000e+10", "1.0001e+10", None),
        ("1.0000e+10", "1.0003e+10", "1.0000e+10 is 1.0003e+10"),
        ("grad_fn=<MulBackward0>", "grad_fn=<MulBackward1>", "text"),
        ("<A object at 0x7f01>", "<A object at 0x55ab>", None),
        ("nan", "inf", "text"),
    ],
)
def test_what_counts_as_different(expected: str, actual: str, what: str | None) -> None:
    assert difference(expected, actual) == what
