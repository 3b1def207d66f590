"""Waiting for another thread, and waking it.

Waiting is spinning for a while, then sleeping on a futex. Every few microseconds of spinning the
processor is offered to other threads: the one waited for may be among them. Whoever goes to sleep
counts itself as a sleeper and looks at the word once more; whoever changes the word does so before
it looks for sleepers. Both in sequentially consistent order, so no change goes unnoticed, and
without sleepers no system call is made.
"""

from __future__ import annotations

# Nanoseconds of spinning. Going to sleep and being woken takes some 50 to 100 µs, so waiting costs
# at most twice what the better choice would have.
_PATIENCE = 100_000

# The number of the system call on Linux, and how to tell the processor that we only wait.
FUTEX = {"x86_64": "202", "aarch64": "98", "riscv64": "98"}
_PAUSE = {"x86_64": "llvm.x86.sse2.pause()", "aarch64": "llvm.aarch64.hint(i32 1)"}

# A word followed by the number of its sleepers is a futex. Each is on a cache line of its own.
_TEXT = """
@lock = internal global {i32, i32} zeroinitializer, align 128

declare i64 @syscall(i64, ...)
declare i32 @clock_gettime(i32, ptr)
declare i32 @sched_yield()

define internal i64 @now() nounwind {
  %time = alloca {i64, i64}
  call i32 @clock_gettime(i32 1, ptr %time)
  %seconds = load i64, ptr %time
  %rest.at = getelementptr {i64, i64}, ptr %time, i32 0, i32 1
  %rest = load i64, ptr %rest.at
  %whole = mul i64 %seconds, 1000000000
  %nanoseconds = add i64 %whole, %rest
  ret i64 %nanoseconds
}

; Until the futex is no longer `old`: spin for some nanoseconds, then sleep.
define internal void @wait.for(ptr %futex, i32 %old, i64 %patience) nounwind {
entry:
  %sleepers = getelementptr i32, ptr %futex, i64 1
  br label %spin

spin:
  %tries = phi i32 [0, %entry], [%tries.next, %spin.on], [0, %time.left]
  %until = phi i64 [0, %entry], [%until, %spin.on], [%deadline, %time.left]
  %seen = load atomic i32, ptr %futex acquire, align 4
  %changed = icmp ne i32 %seen, %old
  br i1 %changed, label %end, label %spin.on

spin.on:
  PAUSE
  %tries.next = add i32 %tries, 1
  %look = icmp eq i32 %tries.next, 256
  br i1 %look, label %clock, label %spin

clock:
  %now = call i64 @now()
  %first = icmp eq i64 %until, 0
  %fresh = add i64 %now, %patience
  %deadline = select i1 %first, i64 %fresh, i64 %until
  %early = icmp slt i64 %now, %deadline
  br i1 %early, label %time.left, label %drowsy

time.left:
  call i32 @sched_yield()
  br label %spin

drowsy:
  atomicrmw add ptr %sleepers, i32 1 seq_cst
  br label %doze

doze:
  %still = load atomic i32, ptr %futex seq_cst, align 4
  %same = icmp eq i32 %still, %old
  br i1 %same, label %sleep, label %awake

sleep:
  call i64 (i64, ...) @syscall(i64 FUTEX, ptr %futex, i32 128, i32 %old, ptr null)
  br label %doze

awake:
  atomicrmw sub ptr %sleepers, i32 1 seq_cst
  br label %end

end:
  ret void
}

; A microsecond or two, or until the futex is no longer `old`.
define internal void @linger(ptr %futex, i32 %old) nounwind {
entry:
  br label %spin

spin:
  %tries = phi i32 [0, %entry], [%tries.next, %spin.on]
  %seen = load atomic i32, ptr %futex monotonic, align 4
  %same = icmp eq i32 %seen, %old
  %few = icmp ult i32 %tries, 64
  %on = and i1 %same, %few
  br i1 %on, label %spin.on, label %end

spin.on:
  PAUSE
  %tries.next = add i32 %tries, 1
  br label %spin

end:
  ret void
}

define internal void @wait(ptr %futex, i32 %old) nounwind {
  call void @wait.for(ptr %futex, i32 %old, i64 PATIENCE)
  ret void
}

; To be called after the futex has changed.
define internal void @wake(ptr %futex, i32 %count) nounwind {
  %sleepers.at = getelementptr i32, ptr %futex, i64 1
  %sleepers = load atomic i32, ptr %sleepers.at seq_cst, align 4
  %none = icmp eq i32 %sleepers, 0
  br i1 %none, label %end, label %some

some:
  call i64 (i64, ...) @syscall(i64 FUTEX, ptr %futex, i32 129, i32 %count)
  br label %end

end:
  ret void
}

define internal void @lock.take() nounwind {
entry:
  br label %enter

enter:
  %taken = cmpxchg ptr @lock, i32 0, i32 1 seq_cst monotonic
  %entered = extractvalue {i32, i1} %taken, 1
  br i1 %entered, label %end, label %busy

busy:
  call void @wait.for(ptr @lock, i32 1, i64 0)
  br label %enter

end:
  ret void
}

define internal void @lock.leave() nounwind {
  store atomic i32 0, ptr @lock seq_cst, align 4
  call void @wake(ptr @lock, i32 1)
  ret void
}
"""


def text(machine: str) -> str:
    """These functions for a processor by its name."""
    made = _TEXT.replace("i64 FUTEX", f"i64 {FUTEX[machine]}")
    made = made.replace("i64 PATIENCE", f"i64 {_PATIENCE}")
    pause = _PAUSE.get(machine)
    if pause is None:
        return made.replace("  PAUSE\n", "")
    declaration = f"declare void @{pause.replace(' 1', '')}\n"
    return declaration + made.replace("  PAUSE\n", f"  call void @{pause}\n")
