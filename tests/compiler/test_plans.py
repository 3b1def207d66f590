"""Plans on disk: a process finds what another has compiled, and is right whatever it finds."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import tidu
from tests.compiler.folders import read_only
from tests.compiler.steps import CASES, digest
from tests.compiler.tiers import forget_programs, tier
from tests.golden.programs import PROGRAMS, graphs
from tidu import programs as programs_module
from tidu.backends import cpu, shelf
from tidu.backends.cpu import CpuProgram, plan_of
from tidu.backends.kernels import kernels
from tidu.backends.shelf import Shelf
from tidu.compiler import disk, edition, plain
from tidu.compiler.kept import Kept
from tidu.ir.op import registry
from tidu.ir.structure import Key
from tidu.programs import programs

ROOT = Path(__file__).parents[2]
# After any change to the source, so that these processes take it for what they have imported.
_ALWAYS = 1e12


class Counts(NamedTuple):
    programs: int
    hits: int
    compiled: int


@contextmanager
def process() -> Iterator[Callable[[], Counts]]:
    """As if a new process had begun, in which everything is compiled at first sight. What it gives
    tells how many programs there have been, how many of them were found, and how many compiled.
    """
    compiled = []

    def counting(*args: Any) -> Any:
        compiled.append(args)
        return compile_graph(*args)

    def counts() -> Counts:
        now = tidu.compiler.stats()
        made = now["programs"] - before["programs"]
        return Counts(made, now["plan_hits"] - before["plan_hits"], len(compiled))

    compile_graph = cpu.compile_graph
    known = Shelf(_ALWAYS)
    with tier(1), pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu, "compile_graph", counting)
        patch.setattr(programs_module, "_shelf", lambda: known)
        patch.setattr(programs, "keeps", True)
        forget_programs(patch)
        patch.setattr(kernels, "addresses", {})
        patch.setattr(kernels, "keys", {})
        before = tidu.compiler.stats()
        yield counts


def step() -> bytes:
    """One training step of a small model; the loss and the parameters afterwards."""
    tidu.manual_seed(0)
    model = tidu.nn.Sequential(tidu.nn.Linear(20, 70), tidu.nn.Tanh(), tidu.nn.Linear(70, 5))
    optimizer = tidu.optim.Adam(model.parameters(), lr=0.01)
    loss = model(tidu.ones(30, 20)).logsumexp(1).mean()
    loss.backward()
    optimizer.step()
    return b"".join(x.detach().numpy().tobytes() for x in (loss, *model.parameters()))


def run(expected: bytes | None = None) -> tuple[Counts, bytes]:
    """A step in a process of its own."""
    with process() as counts:
        result = step()
    assert expected is None or result == expected
    return counts(), result


def plans(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.plan"))


def test_a_second_process_compiles_nothing_and_gives_the_same_bits(folder: Path) -> None:
    first, result = run()
    assert first.hits == 0 and first.compiled == first.programs > 0
    assert len(plans(folder)) == first.programs
    second, _ = run(result)
    assert second == Counts(first.programs, first.programs, 0)


@pytest.mark.parametrize("name", CASES)
def test_models_of_each_kind_are_found_whole(folder: Path, name: str) -> None:
    with process() as counts:
        wanted = digest(name)
    first = counts()
    with process() as counts:
        assert digest(name) == wanted
    assert counts() == Counts(first.programs, first.programs, 0)


def _comparable(x: Any) -> Any:
    if isinstance(x, np.ndarray):
        return x.dtype, x.tolist()
    return tuple(map(_comparable, x)) if isinstance(x, tuple) else x


def _insides(program: CpuProgram) -> list[Any]:
    """All of a program that its runs depend on, besides addresses."""
    parts = [[_comparable(getattr(x, name)) for name in x.__slots__] for x in program.parts]
    constants = {n: _comparable(x) for n, x in program.constants.items()}
    return [
        parts, constants, program.slots, program.floats, program.integers,
        program.places, program.order, program.made, program.nested, program.plan.arena,
        program.plan.offsets, program.plan.outputs, program.work,
    ]  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_from_a_text_is_the_program(folder: Path, name: str) -> None:
    for graph in graphs(PROGRAMS[name]):
        plan = plan_of(graph)
        made = CpuProgram(plan)
        text = Kept(plan, kernels.modules_of(plan.functions)).text()
        read = Kept.read(text.encode())
        assert read.text() == text
        assert _insides(CpuProgram(read.plan)) == _insides(made)


# What may happen to the files between two processes. Some programs may be found all the same.
def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def _change_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _write_anew(data: bytes) -> Callable[[Path], None]:
    return lambda path: disk.write(path.name, data)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "truncated": _truncate,
    "empty": lambda path: path.write_bytes(b""),
    "a byte changed": _change_a_byte,
    "no text": _write_anew(b"\xff\xfe"),
    "another text": _write_anew(b'[[],["list",1,2]]'),
    "a class of others": _write_anew(b'[["os:terminal_size"],[0,["tuple",1,2]]]'),
    "a field too many": _write_anew(b'[["tidu.compiler.kept:Kept"],[0,1,2,3]]'),
    "removed": Path.unlink,
}


@pytest.mark.parametrize(
    "kind, damage",
    [("*.plan", damage) for damage in DAMAGES]
    + [("*.object", damage) for damage in ("truncated", "empty", "a byte changed", "removed")],
)
def test_after_damage_the_program_is_compiled_anew_and_kept_again(
    folder: Path, kind: str, damage: str
) -> None:
    first, result = run()
    for path in folder.glob(kind):
        DAMAGES[damage](path)
    assert run(result)[0] == Counts(first.programs, 0, first.programs)
    assert run(result)[0] == Counts(first.programs, first.programs, 0)


def test_a_plan_without_one_of_its_modules_is_compiled_anew(folder: Path) -> None:
    first, result = run()
    min(folder.glob("*.object"), key=lambda path: path.stat().st_size).unlink()
    second, _ = run(result)
    assert second.programs == first.programs


def test_an_edit_of_the_source_is_another_edition(tmp_path: Path) -> None:
    """A process that began before the edit does not know what it runs."""
    package = tmp_path / "package"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    module = package / "inner" / "module.py"
    module.write_text("x = 1\n")
    for path in (package / "__init__.py", module):
        os.utime(path, (1000, 1000))

    def found(since: float) -> str | None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(edition, "_PACKAGE", str(package))
            value: str | None = edition.edition.__wrapped__(since)
            return value

    before = found(2000.0)
    assert before is not None and found(2000.0) == before
    module.write_text("x = 2\n")
    os.utime(module, (3000, 3000))
    assert found(2000.0) is None
    after = found(4000.0)
    assert after not in (None, before)
    (package / "inner" / "another.py").write_text("")
    os.utime(package / "inner" / "another.py", (3000, 3000))
    assert found(4000.0) not in (None, before, after)


@pytest.mark.parametrize("other", ["edition", "processor", "default dtype", "shapes"])
def test_plans_for_something_else_are_not_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    x = tidu.ones(40, 30)

    def work(x: Any) -> bytes:
        y = x.exp().tanh().sum(1)
        return y.numpy().tobytes()

    with process() as counts:
        wanted = work(x)
    assert counts().compiled == 1
    with process() as counts, monkeypatch.context() as patch:
        if other == "edition":
            patch.setattr(shelf, "edition", lambda since: "0" * 32)
        elif other == "processor":
            patch.setattr(edition, "processor", lambda: b"another")
            patch.setattr(shelf, "edition", edition.edition.__wrapped__)
        elif other == "default dtype":
            tidu.set_default_dtype(tidu.float64)
        try:
            found = work(tidu.ones(40, 31)) if other == "shapes" else work(x)
        finally:
            tidu.set_default_dtype(tidu.float32)
    assert counts() == Counts(1, 0, 1)
    assert other == "shapes" or found == wanted
    with process() as counts:
        assert work(x) == wanted
    assert counts() == Counts(1, 1, 0)


def test_a_processor_without_its_object_code_compiles(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should two kinds of processors look the same, object code is still kept by what LLVM says."""
    first, result = run()
    monkeypatch.setattr(cpu.llvm, "host_fingerprint", lambda: "another")
    assert run(result)[0] == Counts(first.programs, 0, first.programs)


def test_a_structure_that_has_no_text_is_compiled_and_not_kept(folder: Path) -> None:
    x = tidu.ones(50, 3)
    with process() as counts, pytest.MonkeyPatch.context() as patch:
        patch.delitem(plain._WRITERS, tidu.float32.__class__)
        result = (x.exp() + x).numpy()
    assert counts() == Counts(1, 0, 1)
    assert plans(folder) == []
    np.testing.assert_allclose(result, np.exp(1) + 1, rtol=1e-6)


def test_the_size_limit_holds_for_plans(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDU_CACHE_SIZE", "20000")
    with process():
        for n in range(1, 25):
            x = tidu.ones(n, 30)
            for _ in range(6):
                x = (x.exp() + n).tanh()
            x.numpy()
    assert 0 < len(plans(folder)) < 24
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 20_000


def test_reading_makes_nothing_but_dataclasses_and_named_tuples_of_the_package() -> None:
    for name in ("os:system", "builtins:eval", "subprocess:Popen", "tidu.programs:Programs"):
        with pytest.raises((ValueError, plain.NotPlainError)):
            plain.loads(json.dumps([[name], [0, "true"]]))
    with pytest.raises(KeyError):
        plain.loads('[[], ["no such kind", 1]]')


def test_numbers_mean_the_same_after_reading() -> None:
    numbers = [0.1, -0.0, float("inf"), float("-inf"), 5e-324, 1 << 62, -1, True, None, "ä\0"]
    read = plain.loads(plain.dumps((numbers, {(1, "a"): frozenset({3, 1})}, tidu.bfloat16, float)))
    assert repr(read) == repr((numbers, {(1, "a"): frozenset({1, 3})}, tidu.bfloat16, float))
    assert str(plain.loads(plain.dumps(float("nan")))) == "nan"
    array = np.arange(6, dtype=tidu.bfloat16.numpy).reshape(2, 3)
    again = plain.loads(plain.dumps(array))
    assert again.dtype == array.dtype and again.tolist() == array.tolist()


@pytest.mark.parametrize("strange", [lambda: 0, re.compile("x"), object(), int, {1, 2}, 1j])
def test_what_has_no_meaning_elsewhere_is_not_written(strange: Any) -> None:
    if strange is int:
        assert plain.loads(plain.dumps(strange)) is int
        return
    with pytest.raises(plain.NotPlainError, match="cannot be written"):
        plain.dumps([1, (strange,)])


def test_operations_declared_elsewhere_are_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest of the source does not tell when they change."""
    exp = registry["exp"]
    assert plain.loads(plain.dumps(exp)) is exp
    monkeypatch.setattr(exp, "emit", lambda s, x: s.exp(x))
    with pytest.raises(plain.NotPlainError, match="'exp'"):
        plain.dumps(exp)


def test_regions_that_differ_have_names_that_differ(folder: Path) -> None:
    """Also where Python would say that they are equal: 1, 1.0 and True, 0.0 and -0.0."""
    known = Shelf(_ALWAYS)

    def name(attribute: Any) -> str | None:
        instruction = (registry["exp"], (attribute,), -1)
        return known._name(Key(((instruction,), (((3,), tidu.float32),), (0,))))

    names = [name(x) for x in (1, 1.0, True, 0.0, -0.0, "1", (1,), None)]
    assert None not in names and len(set(names)) == len(names)
    assert name(1) == names[0]


_SCRIPT = """
import hashlib, json, sys, warnings
import tidu
from tidu.programs import programs
seen = []
warnings.simplefilter("always")
warnings.showwarning = lambda message, *_: seen.append(str(message))
{before}
tidu.use_deterministic_algorithms({deterministic})
tidu.manual_seed(0)
model = tidu.nn.Sequential(tidu.nn.Linear(20, 70), tidu.nn.Tanh(), tidu.nn.Linear(70, 5))
optimizer = tidu.optim.SGD(model.parameters(), lr=0.01, momentum={momentum})
x = tidu.ones(300, 20)
for _ in range({steps}):
    optimizer.zero_grad()
    loss = model(x).logsumexp(1).mean()
    loss.backward()
    optimizer.step()
    loss.item()
    programs.wait()
digest = hashlib.blake2b(b"".join(x.detach().numpy().tobytes() for x in model.parameters()))
stats = tidu.compiler.stats()
print(json.dumps([digest.hexdigest(), loss.item(), stats, seen]))
"""


def start(
    steps: int = 3,
    before: str = "",
    deterministic: bool = True,
    momentum: float = 0.0,
    **environment: str,
) -> subprocess.Popen[str]:
    script = _SCRIPT.format(
        steps=steps, before=before, deterministic=deterministic, momentum=momentum
    )
    names = ("TIDU_TIER", "TIDU_VERIFY", "TIDU_LOG", "TIDU_BACKEND")
    given = {name: value for name, value in os.environ.items() if name not in names}
    # An editor at work beside the tests must not come between two processes.
    script = f"from tidu.backends import shelf; shelf.edition = lambda since: '0' * 32\n{script}"
    return subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**given, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[str, float, dict[str, Any], list[str]]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    digest, loss, stats, seen = json.loads(out)
    return digest, loss, stats, seen


_NO_PASSES = """
from tidu.compiler import pipeline
pipeline.PASSES = ()
"""


def test_another_process_runs_no_pass_of_the_compiler(folder: Path) -> None:
    wanted, _, first, seen = finish(start())
    assert first["plan_hits"] == 0 and first["cache_misses"] > 0 and not seen
    got, _, second, seen = finish(start(before=_NO_PASSES))
    assert got == wanted and not seen
    assert second["plan_hits"] == second["programs"] == first["programs"]
    assert second["kernels"] == first["kernels"]
    assert second["cache_misses"] == 0


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_loop_runs_compiled_from_its_second_step_on_if_it_did_before(
    folder: Path, momentum: float
) -> None:
    """Also where the second step is the first of its kind, since it is what finds momenta."""
    _, wanted, first, _ = finish(start(deterministic=False, momentum=momentum, steps=4))
    assert first["programs"] == 1 and first["plan_hits"] == 0
    _, _, second, _ = finish(
        start(deterministic=False, momentum=momentum, steps=2, before=_NO_PASSES)
    )
    assert second["programs"] == second["plan_hits"] == second["tiers"]["compiled"] == 1
    _, got, _, _ = finish(start(deterministic=False, momentum=momentum, steps=4))
    assert got == pytest.approx(wanted, rel=1e-5)


def test_a_script_that_finds_no_plans_does_not_load_the_compiler(folder: Path) -> None:
    folder.mkdir()
    (folder / "1111111111111111-1.1.1-00.plan").write_bytes(b"of another edition")
    regions = "for n in (300, 301): tidu.ones(n, n).exp().sum().item()"
    module = "'tidu.backends.cpu'"
    check = f"import atexit; atexit.register(lambda: {module} in sys.modules and print('loaded'))"
    process = start(steps=1, deterministic=False, before=f"{regions}\n{check}")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0 and "loaded" not in out, out + err


def test_processes_at_once_agree_and_leave_what_a_third_can_use(folder: Path) -> None:
    both = [finish(process) for process in [start(), start()]]
    third = finish(start())
    assert both[0][0] == both[1][0] == third[0]
    assert third[2]["plan_hits"] == third[2]["programs"] > 0
    assert not any(seen for *_, seen in (*both, third))


_NOBODY = """
import os
from tidu.compiler import llvm
llvm.host_fingerprint()
if os.getuid() == 0:
    os.setuid(65534)
"""


def test_a_folder_that_may_only_be_read_is_used_and_warned_of_once(folder: Path) -> None:
    wanted, *_ = finish(start())
    with read_only(folder):
        got, _, stats, seen = finish(start(before=_NOBODY))
    assert got == wanted and not seen
    assert stats["plan_hits"] == stats["programs"] > 0
    for path in plans(folder):
        path.unlink()
    with read_only(folder):
        got, _, stats, seen = finish(start(before=_NOBODY))
    assert got == wanted and stats["plan_hits"] == 0
    assert len(seen) == 1 and "Permission denied" in seen[0]


def test_a_full_disk_is_warned_of_once_and_changes_no_result(folder: Path) -> None:
    """A limit on the size of files stops a write halfway, as a full disk does."""
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))"
    got, _, _, seen = finish(start(before=full))
    assert len(seen) == 1 and "File too large" in seen[0]
    assert all(path.suffix == ".object" for path in folder.iterdir())  # those that are small
    wanted, *_ = finish(start())
    assert got == wanted


def test_what_the_verifier_looks_at_is_not_taken_from_disk(folder: Path) -> None:
    wanted, *_ = finish(start())
    got, _, stats, _ = finish(start(TIDU_VERIFY="1"))
    assert got == wanted and stats["plan_hits"] == 0
    got, _, stats, _ = finish(start(TIDU_LOG="kernels"))
    assert got == wanted and stats["plan_hits"] == 0


def test_finding_plans_warns_of_nothing(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, result = run()
        run(result)
