"""The native side of the worker threads: LLVM IR text of the program runner, waiting and waking.

A program is an array of i64: its width (the units of its widest group) and the number of its
phases. A phase is the number of its words and of its groups; a group is its units, the number of
its kernels, and for each kernel the addresses of function and parameters. Workers meet between
phases. Of each group, worker w of n does its share, the units from units*w/n up to units*(w+1)/n,
both rounded up, so that a single unit belongs to worker 0; what a unit computes does not depend on
n.

Worker 0 is the thread that wants the program run. It may stay from the beginning (`tidu_run`), or
start the others and come later (`tidu_launch`, `tidu_join`): until then, whichever worker has done
its own share of a phase does the one of worker 0 too. Who does that share is settled by a claim, so
that worker 0 can come at any moment. A program that is launched holds the lock until it is joined.

Waiting is spinning for a while, then sleeping on a futex. Every few microseconds of spinning the
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
; One share of every group of a phase.
define internal void @share(ptr %phase, ptr %table, i64 %share, i64 %shares, i64 %worker) nounwind {
entry:
  %groups.at = getelementptr i64, ptr %phase, i64 1
  %groups = load i64, ptr %groups.at
  %group.first = getelementptr i64, ptr %phase, i64 2
  %share.after = add i64 %share, 1
  %round = sub i64 %shares, 1
  br label %groups.loop

groups.loop:
  %group = phi ptr [%group.first, %entry], [%group.next, %group.done]
  %left = phi i64 [%groups, %entry], [%left.next, %group.done]
  %finished = icmp eq i64 %left, 0
  br i1 %finished, label %end, label %group.start

group.start:
  %units = load i64, ptr %group
  %kernels.at = getelementptr i64, ptr %group, i64 1
  %kernels = load i64, ptr %kernels.at
  %kernel.first = getelementptr i64, ptr %group, i64 2
  %kernels.words = mul i64 %kernels, 2
  %group.next = getelementptr i64, ptr %kernel.first, i64 %kernels.words
  %left.next = sub i64 %left, 1
  %low.exact = mul i64 %units, %share
  %low.up = add i64 %low.exact, %round
  %begin = udiv i64 %low.up, %shares
  %high.exact = mul i64 %units, %share.after
  %high.up = add i64 %high.exact, %round
  %stop = udiv i64 %high.up, %shares
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

define internal ptr @phase.after(ptr %phase) alwaysinline nounwind {
  %words = load i64, ptr %phase
  %next = getelementptr i64, ptr %phase, i64 %words
  ret ptr %next
}

define internal i64 @phases(ptr %program) alwaysinline nounwind {
  %phases.at = getelementptr i64, ptr %program, i64 1
  %phases = load i64, ptr %phases.at
  ret i64 %phases
}

; All of a program, by one worker.
define internal void @alone(ptr %program, ptr %table, i64 %worker) nounwind {
entry:
  %phases = call i64 @phases(ptr %program)
  %first = getelementptr i64, ptr %program, i64 2
  br label %loop

loop:
  %number = phi i64 [0, %entry], [%number.next, %work]
  %phase = phi ptr [%first, %entry], [%next, %work]
  %finished = icmp eq i64 %number, %phases
  br i1 %finished, label %end, label %work

work:
  call void @share(ptr %phase, ptr %table, i64 0, i64 1, i64 %worker)
  %next = call ptr @phase.after(ptr %phase)
  %number.next = add i64 %number, 1
  br label %loop

end:
  ret void
}
"""

_ALONE = """
define void @tidu_run(ptr %program, ptr %table) nounwind {
  call void @alone(ptr %program, ptr %table, i64 0)
  ret void
}
"""

_TOGETHER = """
; Each on a cache line of its own. What is followed by `.sleepers` is a futex.
@lock = internal global {i32, i32} zeroinitializer, align 128
@phase = internal global {i32, i32} zeroinitializer, align 128
@arrived = internal global i32 0, align 128
@tickets = internal global [MAX_WORKERS x [32 x i32]] zeroinitializer, align 128
; The program that is running, its table, how many workers run it, the phase it began with, and the
; processor of who began it.
@job = internal global {ptr, ptr, i32, i32, i32} zeroinitializer, align 128
; Of how many phases somebody has claimed the share of worker 0.
@claimed = internal global i64 0, align 128
; Whether worker 0 is there, and whether a program was launched that nobody has joined yet.
@present = internal global i32 0, align 128
@flying = internal global i32 0, align 128
; How many workers there may be, and how many threads were made.
@size = internal global i32 1, align 128
@started = internal global i32 1

declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare i64 @llvm.umin.i64(i64, i64)
declare i64 @llvm.umax.i64(i64, i64)
declare i32 @llvm.umax.i32(i32, i32)
declare i64 @syscall(i64, ...)
declare i32 @clock_gettime(i32, ptr)
declare i32 @sched_yield()
declare i32 @sched_getcpu()
declare i32 @sched_getaffinity(i32, i64, ptr)
declare i32 @sched_setaffinity(i32, i64, ptr)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
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
  call void @wait(ptr @lock, i32 1, i64 0)
  br label %enter

end:
  ret void
}

define internal void @lock.leave() nounwind {
  store atomic i32 0, ptr @lock seq_cst, align 4
  call void @wake(ptr @lock, i32 1)
  ret void
}

; So many shares of the phase are done. The last of all moves the phase on, which lets everybody go.
define internal void @arrive(i32 %shares, i32 %workers) noinline nounwind {
  %before = atomicrmw add ptr @arrived, i32 %shares acq_rel
  %done = add i32 %before, %shares
  %last = icmp eq i32 %done, %workers
  br i1 %last, label %release, label %end

release:
  store atomic i32 0, ptr @arrived monotonic, align 4
  %old = load atomic i32, ptr @phase monotonic, align 4
  %new = add i32 %old, 1
  store atomic i32 %new, ptr @phase seq_cst, align 4
  call void @wake(ptr @phase, i32 2147483647)
  br label %end

end:
  ret void
}

; Whether the share of worker 0 in this phase is ours to do.
define internal i1 @claim(i64 %number) nounwind {
  %after = add i64 %number, 1
  %claim = cmpxchg ptr @claimed, i64 %number, i64 %after seq_cst monotonic
  %ours = extractvalue {i64, i1} %claim, 1
  ret i1 %ours
}

; Until the phase with this number in a program that began with phase `base` is over.
define internal void @await(i32 %base, i64 %number) nounwind {
  %short = trunc i64 %number to i32
  %old = add i32 %base, %short
  call void @wait(ptr @phase, i32 %old, i64 PATIENCE)
  ret void
}

; What a worker other than worker 0 does of a program.
define internal void @assist(ptr %program, ptr %table, i64 %worker, i32 %workers, i32 %base)
    nounwind {
entry:
  %shares = zext i32 %workers to i64
  %phases = call i64 @phases(ptr %program)
  %first = getelementptr i64, ptr %program, i64 2
  br label %work

work:
  %number = phi i64 [0, %entry], [%number.next, %meet]
  %phase = phi ptr [%first, %entry], [%next, %meet]
  call void @share(ptr %phase, ptr %table, i64 %worker, i64 %shares, i64 %worker)
  %present = load atomic i32, ptr @present seq_cst, align 4
  %absent = icmp eq i32 %present, 0
  br i1 %absent, label %offer, label %own

own:
  br label %done

offer:
  %ours = call i1 @claim(i64 %number)
  br i1 %ours, label %substitute, label %own

substitute:
  call void @share(ptr %phase, ptr %table, i64 0, i64 %shares, i64 %worker)
  br label %done

done:
  %count = phi i32 [1, %own], [2, %substitute]
  %next = call ptr @phase.after(ptr %phase)
  %number.next = add i64 %number, 1
  %last = icmp eq i64 %number.next, %phases
  call void @arrive(i32 %count, i32 %workers)
  br i1 %last, label %end, label %meet

meet:
  call void @await(i32 %base, i64 %number)
  br label %work

end:
  ret void
}

; What worker 0 does of the program that is running, from now to its end.
define internal void @attend() nounwind {
entry:
  store atomic i32 1, ptr @present seq_cst, align 4
  %program = load ptr, ptr @job
  %table.at = getelementptr {ptr, ptr, i32, i32, i32}, ptr @job, i32 0, i32 1
  %table = load ptr, ptr %table.at
  %workers.at = getelementptr {ptr, ptr, i32, i32, i32}, ptr @job, i32 0, i32 2
  %workers = load i32, ptr %workers.at
  %base.at = getelementptr {ptr, ptr, i32, i32, i32}, ptr @job, i32 0, i32 3
  %base = load i32, ptr %base.at
  %shares = zext i32 %workers to i64
  %phases = call i64 @phases(ptr %program)
  %first = getelementptr i64, ptr %program, i64 2
  %now = load atomic i32, ptr @phase seq_cst, align 4
  %over = sub i32 %now, %base
  %over.long = zext i32 %over to i64
  br label %loop

loop:
  %number = phi i64 [0, %entry], [%number.next, %on]
  %phase = phi ptr [%first, %entry], [%next, %on]
  %finished = icmp eq i64 %number, %phases
  br i1 %finished, label %end, label %look

look:
  %behind = icmp ult i64 %number, %over.long
  br i1 %behind, label %on, label %try

try:
  %ours = call i1 @claim(i64 %number)
  br i1 %ours, label %work, label %meet

work:
  call void @share(ptr %phase, ptr %table, i64 0, i64 %shares, i64 0)
  call void @arrive(i32 1, i32 %workers)
  br label %meet

meet:
  call void @await(i32 %base, i64 %number)
  br label %on

on:
  %next = call ptr @phase.after(ptr %phase)
  %number.next = add i64 %number, 1
  br label %loop

end:
  ret void
}

; Move to another processor if this is the one given. The system often wakes a thread where the one
; that wakes it runs, and leaves it there for milliseconds, although another processor is idle.
define internal void @move.from(i32 %processor) nounwind {
entry:
  %all = alloca [128 x i8]
  %others = alloca [128 x i8]
  %here = call i32 @sched_getcpu()
  %same = icmp eq i32 %here, %processor
  %known = icmp ult i32 %here, 1024
  %both = and i1 %same, %known
  br i1 %both, label %ask, label %end

ask:
  %failed = call i32 @sched_getaffinity(i32 0, i64 128, ptr %all)
  %asked = icmp eq i32 %failed, 0
  br i1 %asked, label %move, label %end

move:
  call void @llvm.memcpy.p0.p0.i64(ptr %others, ptr %all, i64 128, i1 false)
  %place = lshr i32 %here, 3
  %byte = getelementptr i8, ptr %others, i32 %place
  %bit.number = and i32 %here, 7
  %bit.number.byte = trunc i32 %bit.number to i8
  %bit = shl i8 1, %bit.number.byte
  %without = xor i8 %bit, -1
  %mask = load i8, ptr %byte
  %rest = and i8 %mask, %without
  store i8 %rest, ptr %byte
  call i32 @sched_setaffinity(i32 0, i64 128, ptr %others)
  call i32 @sched_setaffinity(i32 0, i64 128, ptr %all)
  br label %end

end:
  ret void
}

define internal ptr @work(ptr %number) nounwind {
entry:
  %worker = ptrtoint ptr %number to i64
  %ticket = getelementptr [32 x i32], ptr @tickets, i64 %worker
  br label %next

next:
  %old = phi i32 [0, %entry], [%new, %over]
  call void @wait(ptr %ticket, i32 %old, i64 PATIENCE)
  %new = add i32 %old, 1
  %program = load ptr, ptr @job
  %table.at = getelementptr {ptr, ptr, i32, i32, i32}, ptr @job, i32 0, i32 1
  %table = load ptr, ptr %table.at
  %workers.at = getelementptr {ptr, ptr, i32, i32, i32}, ptr @job, i32 0, i32 2
  %workers = load i32, ptr %workers.at
  %base.at = getelementptr {ptr, ptr, i32, i32, i32}, ptr @job, i32 0, i32 3
  %base = load i32, ptr %base.at
  %processor.at = getelementptr {ptr, ptr, i32, i32, i32}, ptr @job, i32 0, i32 4
  %processor = load i32, ptr %processor.at
  call void @move.from(i32 %processor)
  %narrow = icmp eq i32 %workers, 1
  br i1 %narrow, label %only, label %together

only:
  call void @alone(ptr %program, ptr %table, i64 %worker)
  call void @arrive(i32 1, i32 1)
  br label %over

together:
  call void @assist(ptr %program, ptr %table, i64 %worker, i32 %workers, i32 %base)
  br label %over

over:
  br label %next
}

; How many workers a program gets.
define internal i32 @workers.for(ptr %program) nounwind {
  %width = load i64, ptr %program
  %size = load i32, ptr @size
  %size.long = zext i32 %size to i64
  %most = call i64 @llvm.umin.i64(i64 %width, i64 %size.long)
  %some = call i64 @llvm.umax.i64(i64 %most, i64 1)
  %workers = trunc i64 %some to i32
  ret i32 %workers
}

; Make it the program that is running and wake the others who have a share of it. What has only one
; share is for worker 1.
define internal void @publish(ptr %program, ptr %table, i32 %workers, i32 %present) nounwind {
entry:
  store ptr %program, ptr @job
  %table.at = getelementptr {ptr, ptr, i32, i32, i32}, ptr @job, i32 0, i32 1
  store ptr %table, ptr %table.at
  %workers.at = getelementptr {ptr, ptr, i32, i32, i32}, ptr @job, i32 0, i32 2
  store i32 %workers, ptr %workers.at
  %base.at = getelementptr {ptr, ptr, i32, i32, i32}, ptr @job, i32 0, i32 3
  %base = load atomic i32, ptr @phase monotonic, align 4
  store i32 %base, ptr %base.at
  %processor.at = getelementptr {ptr, ptr, i32, i32, i32}, ptr @job, i32 0, i32 4
  %processor = call i32 @sched_getcpu()
  store i32 %processor, ptr %processor.at
  store atomic i64 0, ptr @claimed monotonic, align 8
  store atomic i32 %present, ptr @present seq_cst, align 4
  %after = call i32 @llvm.umax.i32(i32 %workers, i32 2)
  %after.long = zext i32 %after to i64
  br label %hand.out

hand.out:
  %worker = phi i64 [1, %entry], [%worker.next, %hand.out]
  %ticket = getelementptr [32 x i32], ptr @tickets, i64 %worker
  atomicrmw add ptr %ticket, i32 1 seq_cst
  call void @wake(ptr %ticket, i32 1)
  %worker.next = add i64 %worker, 1
  %more = icmp ult i64 %worker.next, %after.long
  br i1 %more, label %hand.out, label %end

end:
  ret void
}

; Bring to its end what was launched, if it was not joined yet.
define internal void @land() nounwind {
entry:
  %flying = atomicrmw xchg ptr @flying, i32 0 seq_cst
  %nothing = icmp eq i32 %flying, 0
  br i1 %nothing, label %end, label %join

join:
  %workers.at = getelementptr {ptr, ptr, i32, i32, i32}, ptr @job, i32 0, i32 2
  %workers = load i32, ptr %workers.at
  %narrow = icmp eq i32 %workers, 1
  br i1 %narrow, label %wait, label %help

wait:
  %base.at = getelementptr {ptr, ptr, i32, i32, i32}, ptr @job, i32 0, i32 3
  %base = load i32, ptr %base.at
  call void @await(i32 %base, i64 0)
  br label %leave

help:
  call void @attend()
  br label %leave

leave:
  call void @lock.leave()
  br label %end

end:
  ret void
}

define void @tidu_run(ptr %program, ptr %table) nounwind {
entry:
  call void @land()
  call void @lock.take()
  %workers = call i32 @workers.for(ptr %program)
  %together = icmp ugt i32 %workers, 1
  br i1 %together, label %publish, label %alone

alone:
  call void @alone(ptr %program, ptr %table, i64 0)
  br label %leave

publish:
  call void @publish(ptr %program, ptr %table, i32 %workers, i32 1)
  call void @attend()
  br label %leave

leave:
  call void @lock.leave()
  ret void
}

; Have the other workers run a program; without any, run it now. Whatever belongs to it must be left
; alone until `tidu_join` has returned.
define void @tidu_launch(ptr %program, ptr %table) nounwind {
entry:
  call void @land()
  call void @lock.take()
  %size = load i32, ptr @size
  %workers = call i32 @workers.for(ptr %program)
  %others = icmp ugt i32 %size, 1
  br i1 %others, label %publish, label %alone

alone:
  call void @alone(ptr %program, ptr %table, i64 0)
  call void @lock.leave()
  ret void

publish:
  call void @publish(ptr %program, ptr %table, i32 %workers, i32 0)
  store atomic i32 1, ptr @flying seq_cst, align 4
  ret void
}

; Wait for what was launched, and help with it. Another thread may be joining it: who has come by
; the lock knows that it is over.
define void @tidu_join() nounwind {
  call void @land()
  call void @lock.take()
  call void @lock.leave()
  ret void
}

; Have as many workers as asked for, the caller of a program being one of them. Threads that there
; are too many of stay asleep. Returns how many workers there are: fewer if the system made fewer.
define i32 @tidu_resize(i32 %wanted) nounwind {
entry:
  %thread = alloca i64
  %all = alloca [32 x i64]
  %former = alloca [32 x i64]
  call void @land()
  call void @lock.take()
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
  call void @lock.leave()
  ret i32 %size
}

; In the child of a fork, which has only the thread that forked.
define void @tidu_forget() nounwind {
  store {i32, i32} zeroinitializer, ptr @lock
  store {i32, i32} zeroinitializer, ptr @phase
  store i32 0, ptr @flying
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
