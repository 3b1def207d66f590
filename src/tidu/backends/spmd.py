"""The native side of the worker threads: LLVM IR text of the program runner, waiting and waking.

A program is an array of i64: its width (the units of its widest group), the number of groups, and
for each group its units, whether to meet before it, the number of its kernels, and for each kernel
the addresses of function and parameters. All workers walk through it together; worker w of n does
the units from units*w/n up to units*(w+1)/n, so what a unit computes does not depend on n.

Waiting is spinning for a while, then sleeping on a futex. Every microsecond of spinning the
processor is offered to other threads: the one waited for may be among them. Whoever goes to sleep
counts itself as a sleeper and looks at the word once more; whoever changes the word does so before
it looks for sleepers. Both in sequentially consistent order, so no change goes unnoticed, and
without sleepers no system call is made.
"""

from __future__ import annotations

import platform
import sys

MAX_WORKERS = 256

# Nanoseconds of spinning. Going to sleep and being woken takes some 50 to 100 µs, so waiting costs
# at most twice what the better choice would have.
_PATIENCE = 100_000

_SHARE = """
; What one worker does of a program.
define internal void @share(ptr %program, ptr %table, i64 %worker, i32 %workers) nounwind {
entry:
  %n = zext i32 %workers to i64
  %alone = icmp eq i32 %workers, 1
  %first = icmp eq i64 %worker, 0
  %worker.after = add i64 %worker, 1
  %groups.at = getelementptr i64, ptr %program, i64 1
  %groups = load i64, ptr %groups.at
  %group.first = getelementptr i64, ptr %program, i64 2
  br label %groups.loop

groups.loop:
  %group = phi ptr [%group.first, %entry], [%group.next, %group.done]
  %left = phi i64 [%groups, %entry], [%left.next, %group.done]
  %finished = icmp eq i64 %left, 0
  br i1 %finished, label %end, label %group.start

group.start:
  %units = load i64, ptr %group
  %meet.at = getelementptr i64, ptr %group, i64 1
  %meet.word = load i64, ptr %meet.at
  %kernels.at = getelementptr i64, ptr %group, i64 2
  %kernels = load i64, ptr %kernels.at
  %kernel.first = getelementptr i64, ptr %group, i64 3
  %kernels.words = mul i64 %kernels, 2
  %group.next = getelementptr i64, ptr %kernel.first, i64 %kernels.words
  %left.next = sub i64 %left, 1
  %need.not = icmp eq i64 %meet.word, 0
  %meet.not = or i1 %need.not, %alone
  br i1 %meet.not, label %cut, label %meet

meet:
  call void @barrier(i32 %workers)
  br label %cut

cut:
  %single = icmp eq i64 %units, 1
  br i1 %single, label %cut.single, label %cut.many

cut.single:
  br i1 %first, label %work, label %group.done

cut.many:
  br i1 %alone, label %work, label %cut.shares

cut.shares:
  %share.low = mul i64 %units, %worker
  %share.high = mul i64 %units, %worker.after
  %low = udiv i64 %share.low, %n
  %high = udiv i64 %share.high, %n
  br label %work

work:
  %begin = phi i64 [0, %cut.single], [0, %cut.many], [%low, %cut.shares]
  %stop = phi i64 [1, %cut.single], [%units, %cut.many], [%high, %cut.shares]
  %some = icmp slt i64 %begin, %stop
  br i1 %some, label %choose, label %group.done

choose:
  %one.kernel = icmp eq i64 %kernels, 1
  br i1 %one.kernel, label %range, label %units.loop

range:
  call void @call(ptr %kernel.first, ptr %table, i64 %begin, i64 %stop, i64 %worker)
  br label %group.done

units.loop:
  %unit = phi i64 [%begin, %choose], [%unit.next, %unit.done]
  %unit.next = add i64 %unit, 1
  br label %kernels.loop

kernels.loop:
  %kernel = phi ptr [%kernel.first, %units.loop], [%kernel.next, %kernel.call]
  %no.more = icmp eq ptr %kernel, %group.next
  br i1 %no.more, label %unit.done, label %kernel.call

kernel.call:
  call void @call(ptr %kernel, ptr %table, i64 %unit, i64 %unit.next, i64 %worker)
  %kernel.next = getelementptr i64, ptr %kernel, i64 2
  br label %kernels.loop

unit.done:
  %units.left = icmp slt i64 %unit.next, %stop
  br i1 %units.left, label %units.loop, label %group.done

group.done:
  br label %groups.loop

end:
  ret void
}

define internal void @call(ptr %kernel, ptr %table, i64 %begin, i64 %stop, i64 %worker)
    alwaysinline nounwind {
  %function = load ptr, ptr %kernel
  %params.at = getelementptr i64, ptr %kernel, i64 1
  %params = load ptr, ptr %params.at
  call void %function(ptr %table, ptr %params, i64 %begin, i64 %stop, i64 %worker)
  ret void
}
"""

_ALONE = """
define internal void @barrier(i32 %workers) nounwind {
  ret void
}

define void @tidu_run(ptr %program, ptr %table) nounwind {
  call void @share(ptr %program, ptr %table, i64 0, i32 1)
  ret void
}
"""

_TOGETHER = """
; Each on a cache line of its own. What is followed by `.sleepers` is a futex.
@lock = internal global {i32, i32} zeroinitializer, align 128
@phase = internal global {i32, i32} zeroinitializer, align 128
@arrived = internal global i32 0, align 128
@tickets = internal global [MAX_WORKERS x [32 x i32]] zeroinitializer, align 128
; The program that is running, and how many workers run it.
@job = internal global {ptr, ptr, i32} zeroinitializer, align 128
; How many workers there may be, and how many threads were made.
@size = internal global i32 1, align 128
@started = internal global i32 1

declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare i64 @syscall(i64, ...)
declare i32 @clock_gettime(i32, ptr)
declare i32 @sched_yield()
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_detach(i64)
declare i32 @pthread_sigmask(i32, ptr, ptr)
declare i32 @sigfillset(ptr)

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
define internal void @wait(ptr %futex, i32 %old, i64 %patience) nounwind {
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
  %look = icmp eq i32 %tries.next, 32
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

; The last to arrive moves the phase on, which lets the others go.
define internal void @barrier(i32 %workers) noinline nounwind {
  %old = load atomic i32, ptr @phase acquire, align 4
  %before = atomicrmw add ptr @arrived, i32 1 acq_rel
  %rank = add i32 %before, 1
  %last = icmp eq i32 %rank, %workers
  br i1 %last, label %release, label %await

release:
  store atomic i32 0, ptr @arrived monotonic, align 4
  %new = add i32 %old, 1
  store atomic i32 %new, ptr @phase seq_cst, align 4
  call void @wake(ptr @phase, i32 2147483647)
  ret void

await:
  call void @wait(ptr @phase, i32 %old, i64 PATIENCE)
  ret void
}

define internal ptr @work(ptr %number) nounwind {
entry:
  %worker = ptrtoint ptr %number to i64
  %ticket = getelementptr [32 x i32], ptr @tickets, i64 %worker
  br label %next

next:
  %old = phi i32 [0, %entry], [%new, %next]
  call void @wait(ptr %ticket, i32 %old, i64 PATIENCE)
  %new = add i32 %old, 1
  %program = load ptr, ptr @job
  %table.at = getelementptr {ptr, ptr, i32}, ptr @job, i32 0, i32 1
  %table = load ptr, ptr %table.at
  %workers.at = getelementptr {ptr, ptr, i32}, ptr @job, i32 0, i32 2
  %workers = load i32, ptr %workers.at
  call void @share(ptr %program, ptr %table, i64 %worker, i32 %workers)
  call void @barrier(i32 %workers)
  br label %next
}

define void @tidu_run(ptr %program, ptr %table) nounwind {
entry:
  %width.long = load i64, ptr %program
  br label %enter

enter:
  %taken = cmpxchg ptr @lock, i32 0, i32 1 seq_cst monotonic
  %entered = extractvalue {i32, i1} %taken, 1
  br i1 %entered, label %start, label %busy

busy:
  call void @wait(ptr @lock, i32 1, i64 0)
  br label %enter

start:
  %size = load i32, ptr @size
  %size.long = zext i32 %size to i64
  %narrow = icmp ult i64 %width.long, %size.long
  %workers.long = select i1 %narrow, i64 %width.long, i64 %size.long
  %workers = trunc i64 %workers.long to i32
  %together = icmp ugt i32 %workers, 1
  br i1 %together, label %publish, label %alone

alone:
  call void @share(ptr %program, ptr %table, i64 0, i32 1)
  br label %leave

publish:
  store ptr %program, ptr @job
  %table.at = getelementptr {ptr, ptr, i32}, ptr @job, i32 0, i32 1
  store ptr %table, ptr %table.at
  %workers.at = getelementptr {ptr, ptr, i32}, ptr @job, i32 0, i32 2
  store i32 %workers, ptr %workers.at
  br label %hand.out

hand.out:
  %worker = phi i64 [1, %publish], [%worker.next, %hand.out]
  %ticket = getelementptr [32 x i32], ptr @tickets, i64 %worker
  atomicrmw add ptr %ticket, i32 1 seq_cst
  call void @wake(ptr %ticket, i32 1)
  %worker.next = add i64 %worker, 1
  %more = icmp ult i64 %worker.next, %workers.long
  br i1 %more, label %hand.out, label %join.in

join.in:
  call void @share(ptr %program, ptr %table, i64 0, i32 %workers)
  call void @barrier(i32 %workers)
  br label %leave

leave:
  store atomic i32 0, ptr @lock seq_cst, align 4
  call void @wake(ptr @lock, i32 1)
  ret void
}

; Have as many workers as asked for, the caller of a program being one of them. Threads that there
; are too many of stay asleep. Returns how many workers there are: fewer if the system made fewer.
define i32 @tidu_resize(i32 %wanted) nounwind {
entry:
  %thread = alloca i64
  %all = alloca [32 x i64]
  %former = alloca [32 x i64]
  br label %enter

enter:
  %taken = cmpxchg ptr @lock, i32 0, i32 1 seq_cst monotonic
  %entered = extractvalue {i32, i1} %taken, 1
  br i1 %entered, label %start, label %busy

busy:
  call void @wait(ptr @lock, i32 1, i64 0)
  br label %enter

start:
  ; Signals are for the threads that Python knows of.
  call i32 @sigfillset(ptr %all)
  call i32 @pthread_sigmask(i32 2, ptr %all, ptr %former)
  br label %next

next:
  %number = load i32, ptr @started
  %enough = icmp sge i32 %number, %wanted
  br i1 %enough, label %done, label %create

create:
  %number.long = zext i32 %number to i64
  %argument = inttoptr i64 %number.long to ptr
  %failed = call i32 @pthread_create(ptr %thread, ptr null, ptr @work, ptr %argument)
  %worked = icmp eq i32 %failed, 0
  br i1 %worked, label %created, label %done

created:
  %handle = load i64, ptr %thread
  call i32 @pthread_detach(i64 %handle)
  %number.next = add i32 %number, 1
  store i32 %number.next, ptr @started
  br label %next

done:
  call i32 @pthread_sigmask(i32 2, ptr %former, ptr null)
  %started = load i32, ptr @started
  %short = icmp slt i32 %started, %wanted
  %size = select i1 %short, i32 %started, i32 %wanted
  store i32 %size, ptr @size
  store atomic i32 0, ptr @lock seq_cst, align 4
  call void @wake(ptr @lock, i32 1)
  ret i32 %size
}

; In the child of a fork, which has only the thread that forked.
define void @tidu_forget() nounwind {
  store {i32, i32} zeroinitializer, ptr @lock
  store {i32, i32} zeroinitializer, ptr @phase
  store i32 0, ptr @arrived
  store i32 1, ptr @size
  store i32 1, ptr @started
  call void @llvm.memset.p0.i64(ptr @tickets, i8 0, i64 TICKET_BYTES, i1 false)
  ret void
}
"""

# The number of the system call on Linux, and how to tell the processor that we only wait.
_FUTEX = {"x86_64": "202", "aarch64": "98", "riscv64": "98"}
_PAUSE = {"x86_64": "llvm.x86.sse2.pause()", "aarch64": "llvm.aarch64.hint(i32 1)"}


def can_work_together() -> bool:
    """Whether this system has what the workers wait with: Linux, on a processor known here."""
    return sys.platform == "linux" and platform.machine() in _FUTEX and sys.maxsize > 2**32


def text() -> str:
    """The module for this machine. Without worker threads, its one function is `tidu_run`."""
    if not can_work_together():
        return _SHARE + _ALONE
    pause = _PAUSE.get(platform.machine())
    together = _TOGETHER.replace("MAX_WORKERS", str(MAX_WORKERS))
    together = together.replace("PATIENCE", str(_PATIENCE))
    together = together.replace("TICKET_BYTES", str(MAX_WORKERS * 32 * 4))
    together = together.replace("i64 FUTEX", f"i64 {_FUTEX[platform.machine()]}")
    if pause is None:
        return _SHARE + together.replace("  PAUSE\n", "")
    declaration = f"declare void @{pause.replace(' 1', '')}\n"
    return declaration + _SHARE + together.replace("  PAUSE\n", f"  call void @{pause}\n")
