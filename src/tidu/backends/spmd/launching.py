"""Running a program, by its caller together with the workers or by them alone.

Worker 0 is the thread that wants the program run. It may stay from the beginning (`tidu_run`), or
publish the program for the others and come later (`tidu_launch`, `tidu_join`). A program that is
launched holds the lock until it is joined.
"""

from __future__ import annotations

from tidu.backends.spmd.claims import MAX_WORKERS

_TEXT = """
; What each worker waits on until there is something for it, on a cache line of its own.
@tickets = internal global [MAX_WORKERS x [32 x i32]] zeroinitializer, align 128
; The number of the first phase of the next program that is published.
@begun = internal global i64 0, align 128
; Whether a program was launched that nobody has joined yet.
@flying = internal global i32 0, align 128
; How many workers there may be, and how many threads were made.
@size = internal global i32 1, align 128
@started = internal global i32 1

declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare i64 @llvm.umin.i64(i64, i64)
declare i64 @llvm.umax.i64(i64, i64)
declare i32 @sched_getcpu()
declare i32 @sched_getaffinity(i32, i64, ptr)
declare i32 @sched_setaffinity(i32, i64, ptr)
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_detach(i64)
declare i32 @pthread_sigmask(i32, ptr, ptr)
declare i32 @sigfillset(ptr)

; Move to another processor if this is the one given. The system often wakes a thread where the one
; that wakes it runs, and leaves it there for milliseconds, although another processor is idle.
define internal void @move.from(i64 %processor) nounwind {
entry:
  %all = alloca [128 x i8]
  %others = alloca [128 x i8]
  %here = call i32 @sched_getcpu()
  %here.long = sext i32 %here to i64
  %same = icmp eq i64 %here.long, %processor
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

; What the thread of a worker does. Where it slept through a job, it goes on with the latest.
define internal ptr @work(ptr %number) nounwind {
entry:
  %job = alloca [7 x i64]
  %worker = ptrtoint ptr %number to i64
  %ticket = getelementptr [32 x i32], ptr @tickets, i64 %worker
  %processor.at = getelementptr i64, ptr %job, i64 5
  br label %next

next:
  %old = phi i32 [0, %entry], [%new, %next]
  call void @wait(ptr %ticket, i32 %old)
  %new = load atomic i32, ptr %ticket acquire, align 4
  call void @job.read(ptr %job)
  %processor = load i64, ptr %processor.at
  call void @move.from(i64 %processor)
  call void @take.part(ptr %job, i64 %worker)
  br label %next
}

; How many workers a program gets.
define internal i64 @workers.for(ptr %program) nounwind {
  %width = load i64, ptr %program
  %size = load i32, ptr @size
  %size.long = zext i32 %size to i64
  %most = call i64 @llvm.umin.i64(i64 %width, i64 %size.long)
  %workers = call i64 @llvm.umax.i64(i64 %most, i64 1)
  ret i64 %workers
}

define internal void @job.set(i64 %word, i64 %value) alwaysinline nounwind {
  %at = getelementptr i64, ptr @job, i64 %word
  store atomic i64 %value, ptr %at monotonic, align 8
  ret void
}

; Make a program the job and wake the workers who have a share of it: all but worker 0. What has
; only one share is for worker 1 too.
define internal void @publish(ptr %program, ptr %table, i64 %shares) nounwind {
entry:
  %base = load i64, ptr @begun
  %phases = call i64 @phases(ptr %program)
  %base.next = add i64 %base, %phases
  store i64 %base.next, ptr @begun
  %no.claims = shl i64 %base, 16
  br label %release

release:
  %share = phi i64 [0, %entry], [%share.next, %release]
  %claimed = getelementptr [16 x i64], ptr @claimed, i64 %share
  store atomic i64 %no.claims, ptr %claimed monotonic, align 8
  %share.next = add i64 %share, 1
  %release.more = icmp ult i64 %share.next, %shares
  br i1 %release.more, label %release, label %write

write:
  %edition = load atomic i32, ptr @edition monotonic, align 4
  %edition.odd = add i32 %edition, 1
  store atomic i32 %edition.odd, ptr @edition monotonic, align 4
  fence release
  %program.word = ptrtoint ptr %program to i64
  %table.word = ptrtoint ptr %table to i64
  %processor.short = call i32 @sched_getcpu()
  %processor = sext i32 %processor.short to i64
  call void @job.set(i64 0, i64 %program.word)
  call void @job.set(i64 1, i64 %table.word)
  call void @job.set(i64 2, i64 %shares)
  call void @job.set(i64 3, i64 %base)
  call void @job.set(i64 4, i64 %phases)
  %mode = call i64 @mode()
  call void @job.set(i64 5, i64 %processor)
  call void @job.set(i64 6, i64 %mode)
  %edition.even = add i32 %edition, 2
  store atomic i32 %edition.even, ptr @edition seq_cst, align 4
  %after = call i64 @llvm.umax.i64(i64 %shares, i64 2)
  br label %hand.out

hand.out:
  %worker = phi i64 [1, %write], [%worker.next, %hand.out]
  %ticket = getelementptr [32 x i32], ptr @tickets, i64 %worker
  atomicrmw add ptr %ticket, i32 1 seq_cst
  call void @wake(ptr %ticket, i32 1)
  %worker.next = add i64 %worker, 1
  %more = icmp ult i64 %worker.next, %after
  br i1 %more, label %hand.out, label %end

end:
  ret void
}

; What worker 0 does of the job, from now to its end. Another thread may have begun it.
define internal void @attend() nounwind {
  %job = alloca [7 x i64]
  %mode = call i64 @mode()
  call void @job.read(ptr %job)
  call void @take.part(ptr %job, i64 0)
  call void @mode.set(i64 %mode)
  ret void
}

; Bring to its end what was launched, if it was not joined yet.
define internal void @land() nounwind {
entry:
  %flying = atomicrmw xchg ptr @flying, i32 0 seq_cst
  %nothing = icmp eq i32 %flying, 0
  br i1 %nothing, label %end, label %join

join:
  call void @attend()
  call void @lock.leave()
  br label %end

end:
  ret void
}

define void @tidu_run(ptr %program, ptr %table) nounwind {
entry:
  call void @land()
  call void @lock.take()
  %workers = call i64 @workers.for(ptr %program)
  %together = icmp ugt i64 %workers, 1
  br i1 %together, label %publish, label %alone

alone:
  call void @alone(ptr %program, ptr %table)
  br label %leave

publish:
  call void @publish(ptr %program, ptr %table, i64 %workers)
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
  %workers = call i64 @workers.for(ptr %program)
  %others = icmp ugt i32 %size, 1
  br i1 %others, label %publish, label %alone

alone:
  call void @alone(ptr %program, ptr %table)
  call void @lock.leave()
  ret void

publish:
  call void @publish(ptr %program, ptr %table, i64 %workers)
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
  store i32 0, ptr @arrived
  store i32 0, ptr @edition
  store i64 0, ptr @begun
  store i32 0, ptr @flying
  store i32 1, ptr @size
  store i32 1, ptr @started
  call void @llvm.memset.p0.i64(ptr @tickets, i8 0, i64 TICKET_BYTES, i1 false)
  ret void
}
"""

TEXT = _TEXT.replace("MAX_WORKERS", str(MAX_WORKERS)).replace(
    "TICKET_BYTES", str(MAX_WORKERS * 32 * 4)
)
