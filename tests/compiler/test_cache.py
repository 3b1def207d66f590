"""The folder of what was compiled: what goes wrong on disks costs time and never a result."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from tests.compiler.folders import read_only
from tidu.compiler import cache, disk, llvm

ROOT = Path(__file__).parents[2]
IR = "define i32 @answer() {\n  ret i32 42\n}\n"


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def run_script(script: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def check(process: subprocess.Popen[str]) -> None:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err


def test_what_was_stored_is_loaded(folder: Path) -> None:
    assert disk.read("key.object") is None
    disk.write("key.object", b"code")
    disk.write("empty.object", b"")
    assert disk.read("key.object") == b"code"
    assert disk.read("empty.object") == b""
    assert disk.read("other") is None


def test_the_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIDU_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert disk.folder() == Path("/somewhere/tidu")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert disk.folder() == Path("/home/me/.cache/tidu")
    monkeypatch.setenv("TIDU_CACHE_DIR", "/elsewhere")
    assert disk.folder() == Path("/elsewhere")


def test_a_text_is_compiled_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = cache.object_code(IR)
    monkeypatch.setattr(llvm, "compile_module", lambda text: pytest.fail("compiled again"))
    assert cache.object_code(IR) == code
    with pytest.raises(pytest.fail.Exception):
        cache.object_code(IR.replace("42", "43"))


def test_code_for_another_processor_is_not_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = cache.object_code(IR)
    key = cache.key_of(IR)
    assert cache.load(key) == code
    monkeypatch.setattr(llvm, "host_fingerprint", lambda: "another processor")
    assert cache.load(key) is None
    cache.object_code(IR)
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("kept", [0, 5, 20, -1])
def test_a_truncated_file_is_a_miss_and_is_removed(folder: Path, kept: int) -> None:
    disk.write("key.object", b"some object code")
    path = only_file(folder)
    path.write_bytes(path.read_bytes()[:kept])
    assert disk.read("key.object") is None
    assert not path.exists()
    disk.write("key.object", b"some object code")
    assert disk.read("key.object") == b"some object code"


def test_a_file_with_any_byte_changed_is_a_miss_and_is_removed(folder: Path) -> None:
    disk.write("key.object", b"code")
    whole = only_file(folder).read_bytes()
    for place in range(len(whole)):
        disk.write("key.object", b"code")
        path = only_file(folder)
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert disk.read("key.object") is None, f"byte {place}"
        assert not path.exists()


def test_a_file_under_the_name_of_another_is_a_miss_and_is_removed(folder: Path) -> None:
    disk.write("key.object", b"code")
    whole = only_file(folder).read_bytes()
    (folder / "other.object").write_bytes(whole)
    assert disk.read("other.object") is None
    assert only_file(folder).name == "key.object"
    assert disk.read("key.object") == b"code"


def test_code_that_was_copied_under_the_key_of_another_is_compiled_anew(folder: Path) -> None:
    other = IR.replace("answer", "question")
    cache.object_code(IR)
    path = only_file(folder)
    whole = path.read_bytes()
    path.unlink()
    code = cache.object_code(other)
    only_file(folder).write_bytes(whole)
    assert cache.object_code(other) == code
    assert llvm.load([cache.object_code(other)], ["question"])["question"]


def test_damaged_code_is_compiled_anew(folder: Path) -> None:
    code = cache.object_code(IR)
    path = only_file(folder)
    path.write_bytes(path.read_bytes()[:-100])
    assert cache.object_code(IR) == code
    assert only_file(folder).read_bytes().endswith(code)


def test_a_folder_that_cannot_be_made_gives_one_warning(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TIDU_CACHE_DIR", str(tmp_path / "file" / "cache"))
    with pytest.warns(RuntimeWarning, match=r"file/cache.*compiled anew.*TIDU_CACHE_DIR") as seen:
        code = cache.object_code(IR)
        assert cache.object_code(IR) == code
        disk.write("key.object", b"code")
    assert len(seen) == 1


def test_a_read_only_folder_is_read_and_gives_one_warning_when_written(folder: Path) -> None:
    """As a user who is not root, for whom permissions mean nothing."""
    disk.write("key.object", b"code")
    script = """
import os, warnings
from tidu.compiler import disk
if os.getuid() == 0:
    os.setuid(65534)
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    assert disk.read("key.object") == b"code"
    assert not seen
    disk.write("another", b"code")
    disk.write("a third", b"code")
assert len(seen) == 1 and "Permission denied" in str(seen[0].message), seen
assert disk.read("another") is None
"""
    with read_only(folder):
        check(run_script(script))


def test_a_full_disk_gives_one_warning_and_leaves_nothing_behind(folder: Path) -> None:
    """A limit on the size of files stops a write halfway, as a full disk does."""
    script = """
import os, resource, warnings
from tidu.compiler import disk
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    disk.write("big", bytes(100_000))
    disk.write("bigger", bytes(200_000))
assert len(seen) == 1 and "File too large" in str(seen[0].message), seen
assert disk.read("big") is None
assert os.listdir(os.environ["TIDU_CACHE_DIR"]) == []
"""
    check(run_script(script))


def test_an_error_while_a_file_takes_its_name_leaves_nothing_behind(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(source: str, target: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", no_space)
    with pytest.warns(RuntimeWarning, match="No space left on device"):
        disk.write("key.object", b"code")
    assert list(folder.iterdir()) == []


def test_without_a_home_there_is_one_warning(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("TIDU_CACHE_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.warns(RuntimeWarning, match="no home folder") as seen:
        assert cache.object_code(IR) == cache.object_code(IR)
    assert len(seen) == 1


def test_processes_that_write_and_read_the_same_keys_see_whole_files(folder: Path) -> None:
    script = """
import random, sys
from tidu.compiler import disk
for step in range(300):
    key = str(random.randrange(5))
    data = key.encode() * 50_000
    if random.random() < 0.5:
        disk.write(key, data)
    else:
        assert disk.read(key) in (None, data)
"""
    processes = [run_script(f"import random; random.seed({n})\n{script}") for n in range(3)]
    for process in processes:
        check(process)
    assert len(list(folder.iterdir())) == 5
    for n in range(5):
        assert disk.read(str(n)) == str(n).encode() * 50_000


def test_what_was_used_least_recently_makes_room(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDU_CACHE_SIZE", "10000")
    for n in range(8):
        disk.write(f"old {n}.object", bytes(1000))
    for path in folder.iterdir():
        os.utime(path, (1_000_000, 1_000_000))
    assert disk.read("old 3.object") == bytes(1000)  # which makes it recent
    for n in range(4):
        disk.write(f"new {n}.plan", bytes(1000))
    total = sum(path.stat().st_size for path in folder.iterdir())
    assert total <= 10_000
    assert disk.read("old 3.object") == bytes(1000)
    assert disk.read("new 3.plan") == bytes(1000)
    assert sum(disk.read(f"old {n}.object") is not None for n in range(8)) < 7


def test_what_a_killed_writer_left_is_removed_after_a_while(folder: Path) -> None:
    folder.mkdir()
    old, fresh = folder / "a.partial", folder / "b.partial"
    for path in (old, fresh):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200, time.time() - 7200))
    stranger = folder / "notes.txt"
    stranger.write_text("not ours")
    os.utime(stranger, (0, 0))
    disk._state.written = 1 << 40  # it is time to look at the folder
    disk.write("key.object", b"code")
    assert not old.exists()
    assert fresh.exists()
    assert stranger.exists()


def test_a_process_that_forked_while_the_cache_was_locked_can_store(folder: Path) -> None:
    script = """
import os
from tidu.compiler import disk
with disk._state.lock:
    child = os.fork()
    if not child:
        disk.write("key.object", b"code")
        assert disk.read("key.object") == b"code"
        os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    check(run_script(script))


def test_a_cache_that_works_warns_of_nothing(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in range(3):
            disk.write(str(n), b"code")
            disk.read(str(n))
            disk.read("missing")
