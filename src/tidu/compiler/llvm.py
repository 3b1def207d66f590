"""LLVM, as the rest of the compiler sees it: IR text in, object code, addresses or PTX out.

The text comes with explicit vectors, so the passes here only clean up; loops are not vectorised.
Most of the time goes into instruction selection, about 20 µs for each vector instruction of the
text, and 1 ms for each module whatever is in it.
"""

from __future__ import annotations

import atexit
import ctypes
import itertools
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import llvmlite
import llvmlite.binding as binding

from tidu.base.locks import pause_in_forks

# In order: helpers and stack slots go away, then repeated arithmetic on addresses and loads. They
# take a tenth of the time of code generation, which hoists invariants and reduces addresses itself.
# On an elementwise kernel, LLVM's own O1 and O2 took five times as long, and it ran no faster.
PASSES = (
    "always_inliner",
    "simplify_cfg",
    "sroa",
    "instruction_combine",
    "new_gvn",
    "simplify_cfg",
)

_PTX_TRIPLE = "nvptx64-nvidia-cuda"


@cache
def _native_target() -> Any:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding.Target.from_default_triple()


@cache
def _host_features() -> dict[str, bool]:
    return dict(binding.get_host_cpu_features())


@cache
def vector_bytes() -> int:
    """The width of this processor's vector registers."""
    features = _host_features()
    if all(features.get(f"avx512{part}") for part in ("f", "bw", "dq", "vl")):
        return 64
    return 32 if features.get("avx2") and features.get("fma") else 16


@cache
def host_fingerprint() -> str:
    """Everything but the text that object code depends on: processor, LLVM, and the passes."""
    _native_target()
    features = ",".join(sorted(name for name, present in _host_features().items() if present))
    version = ".".join(map(str, binding.llvm_version_info))
    parts = (binding.get_default_triple(), binding.get_host_cpu_name(), features)
    return "|".join((*parts, version, llvmlite.__version__, *PASSES))


def _unlocked(name: str, result: Any, arguments: list[Any]) -> Any:
    """A function of llvmlite's library that runs outside the lock llvmlite puts around each call.

    LLVM may be used by several threads at once if each keeps to its own context and target machine.
    """
    function = getattr(ctypes.CDLL(binding.ffi.lib._name), name)
    function.restype, function.argtypes = result, arguments
    return function


class _Compiler:
    """What one thread at a time compiles with."""

    def __init__(self) -> None:
        self.busy = threading.RLock()
        self.machine = _native_target().create_target_machine(
            cpu=binding.get_host_cpu_name(),
            features=binding.get_host_cpu_features().flatten(),
            opt=2,
            reloc="pic",
            codemodel="small",
            jit=True,
        )

    def compile(self, text: str) -> bytes:
        module = binding.parse_assembly(text, binding.create_context())
        module.verify()
        self._optimise(module)
        return self._emit(module)

    def _optimise(self, module: Any) -> None:
        options = binding.create_pipeline_tuning_options(speed_level=2)
        builder = binding.create_pass_builder(self.machine, options)
        manager = binding.create_new_module_pass_manager()
        for name in PASSES:
            getattr(manager, f"add_{name}_pass")()
        _run_passes()(manager._ptr, module._ptr, builder._ptr)

    def _emit(self, module: Any) -> bytes:
        with binding.ffi.OutputString() as error:
            buffer = _emit_to_memory()(self.machine._ptr, module._ptr, 1, error)
            if not buffer:
                raise RuntimeError(f"LLVM could not emit object code: {error}")
        try:
            start = binding.ffi.lib.LLVMPY_GetBufferStart(buffer)
            return ctypes.string_at(start, binding.ffi.lib.LLVMPY_GetBufferSize(buffer))
        finally:
            binding.ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)


@cache
def _run_passes() -> Any:
    ffi = binding.ffi
    arguments = [ffi.LLVMModulePassManagerRef, ffi.LLVMModuleRef, ffi.LLVMPassBuilderRef]
    return _unlocked("LLVMPY_RunNewModulePassManager", None, arguments)


@cache
def _emit_to_memory() -> Any:
    ffi = binding.ffi
    error = ctypes.POINTER(ctypes.c_char_p)
    arguments = [ffi.LLVMTargetMachineRef, ffi.LLVMModuleRef, ctypes.c_int, error]
    return _unlocked("LLVMPY_TargetMachineEmitToMemory", ffi.LLVMMemoryBufferRef, arguments)


_compilers: list[_Compiler] = []
_growing = threading.RLock()


@contextmanager
def _free_compiler() -> Iterator[_Compiler]:
    with _growing:
        compiler = next((c for c in _compilers if c.busy.acquire(blocking=False)), None)
        if compiler is None:
            compiler = _Compiler()
            compiler.busy.acquire()
            _compilers.append(compiler)
    try:
        yield compiler
    finally:
        compiler.busy.release()


def compile_module(text: str) -> bytes:
    """Object code for this processor. Threads may call it at once; the work is done without the
    GIL.

    Raises RuntimeError, with LLVM's message, for text that is not valid IR.
    """
    with _free_compiler() as compiler:
        return compiler.compile(text)


def _quiesce() -> None:
    """Wait until no other thread is inside LLVM, and let none in."""
    _growing.acquire()
    for compiler in _compilers:
        compiler.busy.acquire()
    binding.ffi.lib._lock.__enter__()


def _resume() -> None:
    binding.ffi.lib._lock.__exit__()
    for compiler in _compilers:
        compiler.busy.release()
    _growing.release()


# A child made in the middle of a compilation would find LLVM's locks taken for ever, and a process
# that exits in the middle of one would tear LLVM down under a thread that uses it. The locks are
# reentrant so that exit handlers can still compile and fork.
pause_in_forks(2, _quiesce, _resume)
atexit.register(_quiesce)


@cache
def _linker() -> Any:
    _native_target()
    return binding.create_lljit_compiler(use_jit_link=True)


_library_numbers = itertools.count()
# Unloading a library would leave dangling addresses in the programs that use it.
_libraries: list[Any] = []


def load(objects: Iterable[bytes], names: Iterable[str]) -> dict[str, int]:
    """Link object code into the process, for the rest of its life: the address of each function.

    Names must be unique among `objects`, but may be those of an earlier call. One call with many
    objects is cheaper than many calls. Raises RuntimeError for objects that do not link.
    """
    names = tuple(names)
    builder = binding.JITLibraryBuilder()
    for code in objects:
        builder.add_object_img(code)
    builder.add_current_process()  # LLVM calls memset, memcpy and fmod where it sees fit
    for name in names:
        builder.export_symbol(name)
    library = builder.link(_linker(), f"tidu.{next(_library_numbers)}")
    _libraries.append(library)
    return {name: library[name] for name in names}


@cache
def _ptx_machine(processor: str) -> Any:
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    return binding.Target.from_triple(_PTX_TRIPLE).create_target_machine(cpu=processor, opt=2)


def emit_ptx(text: str, processor: str = "sm_80") -> str:
    """The same IR text for NVIDIA's GPUs (`sm_80` is Ampere). Public functions without a result
    become kernels.
    """
    text = re.sub(r"^define void (?=@)", "define ptx_kernel void ", text, flags=re.MULTILINE)
    machine = _ptx_machine(processor)
    module = binding.parse_assembly(text, binding.create_context())
    module.verify()
    module.triple = _PTX_TRIPLE
    module.data_layout = str(machine.target_data)
    ptx: str = machine.emit_assembly(module)
    return ptx
