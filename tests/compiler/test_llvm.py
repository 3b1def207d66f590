"""Text in, object code, addresses and PTX out; from several threads, and around forks."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tidu.compiler import llvm

ROOT = Path(__file__).parents[2]


def answer(number: int, name: str = "answer") -> str:
    return f"define i64 @{name}() {{\n  ret i64 {number}\n}}\n"


def call(address: int) -> int:
    result: int = ctypes.CFUNCTYPE(ctypes.c_int64)(address)()
    return result


def vector_kernel(name: str, lanes: int = 16) -> str:
    """y[i] = fma(x[i], 3, floor(x[i])) for lanes elements, in vectors of that many lanes."""
    vector = f"<{lanes} x float>"
    return f"""
define void @{name}(ptr %x, ptr %y) {{
  %a = load {vector}, ptr %x, align 4
  %f = call {vector} @llvm.floor.v{lanes}f32({vector} %a)
  %r = call {vector} @llvm.fma.v{lanes}f32({vector} %a, {vector} splat (float 3.0), {vector} %f)
  store {vector} %r, ptr %y, align 4
  ret void
}}
declare {vector} @llvm.floor.v{lanes}f32({vector})
declare {vector} @llvm.fma.v{lanes}f32({vector}, {vector}, {vector})
"""


def check(script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_compiled_text_runs() -> None:
    addresses = llvm.load([llvm.compile_module(answer(42) + answer(7, "other"))], ["answer"])
    assert list(addresses) == ["answer"]
    assert call(addresses["answer"]) == 42


@pytest.mark.parametrize("lanes", [4, 8, 16, 32])
def test_vectors_of_any_width_compute_the_same(lanes: int) -> None:
    address = llvm.load([llvm.compile_module(vector_kernel("k", lanes))], ["k"])["k"]
    x = (ctypes.c_float * lanes)(*(i / 4 - 3 for i in range(lanes)))
    y = (ctypes.c_float * lanes)()
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(address)(
        ctypes.addressof(x), ctypes.addressof(y)
    )
    assert list(y) == [v * 3 + v // 1 for v in x]


def test_one_call_links_many_objects_and_later_calls_may_reuse_names() -> None:
    objects = [llvm.compile_module(answer(n, f"answer{n}")) for n in range(5)]
    first = llvm.load(objects, [f"answer{n}" for n in range(5)])
    second = llvm.load([llvm.compile_module(answer(100, "answer0"))], ["answer0"])
    assert [call(first[f"answer{n}"]) for n in range(5)] == [0, 1, 2, 3, 4]
    assert call(second["answer0"]) == 100


def test_functions_of_the_c_library_that_llvm_itself_calls_are_found() -> None:
    text = """
define double @rest(double %x, double %y) {
  %r = frem double %x, %y
  ret double %r
}
define void @fill(ptr %to, i64 %bytes) {
  call void @llvm.memset.p0.i64(ptr %to, i8 7, i64 %bytes, i1 false)
  ret void
}
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
"""
    addresses = llvm.load([llvm.compile_module(text)], ["rest", "fill"])
    double = ctypes.c_double
    assert ctypes.CFUNCTYPE(double, double, double)(addresses["rest"])(7.5, 2.0) == 1.5
    memory = ctypes.create_string_buffer(5)
    fill = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(addresses["fill"])
    fill(ctypes.addressof(memory), 3)
    assert memory.raw == b"\7\7\7\0\0"


@pytest.mark.parametrize(
    "text, message",
    [
        ("define void @k( {", "expected type"),
        (
            "define i64 @k(i1 %c) {\n  br i1 %c, label %a, label %b\na:\n  %x = add i64 1, 2\n"
            "  br label %b\nb:\n  ret i64 %x\n}",
            "does not dominate",
        ),
    ],
)
def test_wrong_text_raises_with_the_message_of_llvm(text: str, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        llvm.compile_module(text)
    assert llvm.compile_module(answer(1))  # and does no harm


def test_a_missing_name_and_a_damaged_object_raise() -> None:
    code = llvm.compile_module(answer(1))
    with pytest.raises(RuntimeError, match="missing"):
        llvm.load([code], ["missing"])
    with pytest.raises(RuntimeError):
        llvm.load([code[: len(code) // 3]], ["answer"])
    assert call(llvm.load([code], ["answer"])["answer"]) == 1


def test_threads_may_compile_and_load_at_once() -> None:
    def work(number: int) -> int:
        text = answer(number) + vector_kernel(f"k{number}")
        return call(llvm.load([llvm.compile_module(text)], ["answer"])["answer"])

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(60))) == list(range(60))


def test_the_same_text_gives_the_same_code() -> None:
    assert llvm.compile_module(vector_kernel("k")) == llvm.compile_module(vector_kernel("k"))


def test_a_child_forked_while_another_thread_is_inside_llvm_can_compile() -> None:
    check("""
import os, signal, threading, time
from tests.compiler.test_llvm import answer, call
from tidu.compiler import llvm
stop = threading.Event()
long_text = "".join(answer(n, f"answer{n}") for n in range(5000))
def work():
    while not stop.is_set():
        llvm.binding.parse_assembly(long_text, llvm.binding.create_context())
        llvm.compile_module(answer(1))
worker = threading.Thread(target=work)
worker.start()
try:
    for n in range(8):
        time.sleep(0.005)
        child = os.fork()
        if not child:
            signal.alarm(30)  # ends a child that waits for ever
            assert call(llvm.load([llvm.compile_module(answer(n))], ["answer"])["answer"]) == n
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
finally:
    stop.set()
    worker.join()
""")


def test_the_interpreter_exits_in_the_middle_of_a_compilation() -> None:
    check("""
import atexit, threading, time
from tests.compiler.test_llvm import answer, vector_kernel
atexit.register(lambda: llvm.compile_module(answer(1)))  # runs after the compiler's own
from tidu.compiler import llvm
def work():
    while True:
        llvm.compile_module(vector_kernel("k", 32))
for _ in range(2):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.2)
""")


def test_the_fingerprint_names_processor_and_versions() -> None:
    fingerprint = llvm.host_fingerprint()
    assert llvm.binding.get_host_cpu_name() in fingerprint
    assert llvm.llvmlite.__version__ in fingerprint
    for name in llvm.PASSES:
        assert name in fingerprint


@pytest.mark.parametrize(
    "features, width",
    [
        ({"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx2", "fma"}, 64),
        ({"avx512f", "avx2", "fma"}, 32),
        ({"avx2", "fma"}, 32),
        ({"avx"}, 16),
        (set(), 16),
    ],
)
def test_the_width_of_vectors_follows_the_processor(
    features: set[str], width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llvm, "_host_features", lambda: dict.fromkeys(features, True))
    assert llvm.vector_bytes.__wrapped__() == width


def test_the_same_text_becomes_a_kernel_for_a_gpu(tmp_path: Path) -> None:
    text = vector_kernel("kernel") + "define internal i64 @helper() noinline {\n  ret i64 1\n}\n"
    ptx = llvm.emit_ptx(text)
    assert ".target sm_80" in ptx
    assert ".visible .entry kernel(" in ptx
    assert ".entry helper" not in ptx
    assert "fma.rn.f32" in ptx
    assert ".target sm_90" in llvm.emit_ptx(text, "sm_90")
    if assembler := shutil.which("ptxas"):
        source = tmp_path / "kernel.ptx"
        source.write_text(ptx)
        subprocess.run(
            [assembler, "-arch=sm_80", str(source), "-o", os.devnull], check=True, timeout=120
        )


SMALL = llvm.compile_module(answer(1))


def test_compiling_leaves_the_interpreter_to_other_threads() -> None:
    """While one thread compiles a large module, this one goes on."""
    body = "\n".join(
        f"  %x{i + 1} = call <16 x float> @llvm.fma.v16f32(<16 x float> %x{i}, <16 x float> %x0, "
        f"<16 x float> splat (float {i}.0))"
        for i in range(3000)
    )
    text = f"""
define <16 x float> @k(<16 x float> %x0) {{
{body}
  ret <16 x float> %x3000
}}
declare <16 x float> @llvm.fma.v16f32(<16 x float>, <16 x float>, <16 x float>)
"""
    compiler = threading.Thread(target=llvm.compile_module, args=(text,))
    compiler.start()
    steps = 0
    while compiler.is_alive():
        call(llvm.load([SMALL], ["answer"])["answer"])
        steps += 1
    assert steps > 10
