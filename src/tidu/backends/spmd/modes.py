"""Whether a thread takes numbers too small to be normal for zero: flags in its control register.

They belong to the thread that wants a program run, and go with the program to those that help.
"""

from __future__ import annotations

_X86 = """
declare void @llvm.x86.sse.stmxcsr(ptr)
declare void @llvm.x86.sse.ldmxcsr(ptr)

define internal i64 @mode() alwaysinline nounwind {
  %at = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %at)
  %short = load i32, ptr %at
  %mode = zext i32 %short to i64
  ret i64 %mode
}

define internal void @mode.set(i64 %mode) alwaysinline nounwind {
  %at = alloca i32
  %short = trunc i64 %mode to i32
  store i32 %short, ptr %at
  call void @llvm.x86.sse.ldmxcsr(ptr %at)
  ret void
}
"""
_ARM = """
declare i64 @llvm.aarch64.get.fpcr()
declare void @llvm.aarch64.set.fpcr(i64)

define internal i64 @mode() alwaysinline nounwind {
  %mode = call i64 @llvm.aarch64.get.fpcr()
  ret i64 %mode
}

define internal void @mode.set(i64 %mode) alwaysinline nounwind {
  call void @llvm.aarch64.set.fpcr(i64 %mode)
  ret void
}
"""
_FLUSH = """
; Whether it was on before.
define i32 @tidu_flush_denormal(i32 %on) nounwind {
  %mode = call i64 @mode()
  %flags = and i64 %mode, FLAGS
  %flushed = icmp ne i64 %flags, 0
  %without = and i64 %mode, KEPT
  %with = or i64 %mode, FLAGS
  %asked = icmp ne i32 %on, 0
  %new = select i1 %asked, i64 %with, i64 %without
  call void @mode.set(i64 %new)
  %before = zext i1 %flushed to i32
  ret i32 %before
}
"""
_WITHOUT = """
define internal i64 @mode() alwaysinline nounwind {
  ret i64 0
}

define internal void @mode.set(i64 %mode) alwaysinline nounwind {
  ret void
}
"""
# Results and operands are taken for zero: FTZ and DAZ of MXCSR, FZ of FPCR.
_KINDS = {"x86_64": (_X86, 0x8040), "aarch64": (_ARM, 1 << 24)}
_NAMES = {"amd64": "x86_64", "arm64": "aarch64"}


def can_flush(machine: str) -> bool:
    """Whether such a processor has flags for it that are known here."""
    return _name(machine) in _KINDS


def text(machine: str) -> str:
    if not can_flush(machine):
        return _WITHOUT
    functions, flags = _KINDS[_name(machine)]
    return functions + _FLUSH.replace("FLAGS", str(flags)).replace("KEPT", str(~flags))


def _name(machine: str) -> str:
    return _NAMES.get(machine.lower(), machine)
