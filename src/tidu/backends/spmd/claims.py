"""Who does which pieces of a phase, and when it is over.

The phases of all programs are numbered through. Each worker has a share of 16 pieces of a phase,
and takes them from the first on. When they are done, it helps others: of each it takes pieces from
the last on. So a phase waits only for what somebody is in the middle of, although one worker may be
asleep, record the next step, or have lost its processor to another process. In a short phase,
whoever takes a piece of a share takes all that is left of that. Who does the last piece of all
moves the phase on. Others get a moment to begin, since what they have in their caches is of use to
them only; but not if they were late the time before.

What belongs to a program may be gone as soon as its last phase is over. A worker that comes late
therefore looks at it only once it has a claim, which keeps the phase from ending; and it copies the
description of the job as a whole, which may be that of the next one meanwhile.
"""

from __future__ import annotations

MAX_WORKERS = 256
# Into how many pieces the share of each worker is cut: a worker that gets a tenth less done than
# another leaves one or two.
_PIECES = 16

_TEXT = """
; The phase that is running: how many have ended, without what does not fit. And how many of its
; pieces are done.
@phase = internal global {i32, i32} zeroinitializer, align 128
@arrived = internal global i32 0, align 128
; For each share, on a cache line of its own: the number of a phase, and in the lowest 16 bits how
; many pieces of it were taken from the first on, and how many from the last on. Where the number is
; that of the phase before, none was taken of this one yet.
@claimed = internal global [MAX_WORKERS x [16 x i64]] zeroinitializer, align 128
; The job: a program, its table, how many shares its phases have, the number of its first phase and
; how many they are, and the processor and the mode of who began it. The edition is odd while that
; is written.
@job = internal global [7 x i64] zeroinitializer, align 128
@edition = internal global i32 0, align 128

; A whole copy of the job, which may be over by now.
define internal void @job.read(ptr %copy) nounwind {
entry:
  br label %again

again:
  %before = load atomic i32, ptr @edition acquire, align 4
  %odd = trunc i32 %before to i1
  br i1 %odd, label %later, label %copying

copying:
  %word = phi i64 [0, %again], [%word.next, %copying]
  %from = getelementptr i64, ptr @job, i64 %word
  %to = getelementptr i64, ptr %copy, i64 %word
  %seen = load atomic i64, ptr %from monotonic, align 8
  store i64 %seen, ptr %to
  %word.next = add i64 %word, 1
  %more = icmp ult i64 %word.next, 7
  br i1 %more, label %copying, label %compare

compare:
  fence acquire
  %after = load atomic i32, ptr @edition monotonic, align 4
  %same = icmp eq i32 %before, %after
  br i1 %same, label %end, label %later

later:
  call i32 @sched_yield()
  br label %again

end:
  ret void
}

; Claim pieces of a share in the phase with this number: the first that is left for its owner, the
; last for others, or all that are left. They are from the first number to before the second.
define internal {i64, i64} @claim(i64 %share, i64 %number, i1 %own, i1 %all) nounwind {
entry:
  %at = getelementptr [16 x i64], ptr @claimed, i64 %share
  %number.before = sub i64 %number, 1
  br label %try

try:
  %seen = load atomic i64, ptr %at monotonic, align 8
  %seen.number = lshr i64 %seen, 16
  %of.this = icmp eq i64 %seen.number, %number
  %of.before = icmp eq i64 %seen.number, %number.before
  %running = or i1 %of.this, %of.before
  br i1 %running, label %count, label %none

count:
  %high = lshr i64 %seen, 8
  %head.seen = and i64 %high, 255
  %tail.seen = and i64 %seen, 255
  %head = select i1 %of.this, i64 %head.seen, i64 0
  %tail = select i1 %of.this, i64 %tail.seen, i64 0
  %end = sub i64 PIECES, %tail
  %some = icmp ult i64 %head, %end
  br i1 %some, label %choose, label %none

choose:
  %left = sub i64 %end, %head
  %wanted = select i1 %all, i64 %left, i64 1
  %head.further = add i64 %head, %wanted
  %tail.further = add i64 %tail, %wanted
  %head.next = select i1 %own, i64 %head.further, i64 %head
  %tail.next = select i1 %own, i64 %tail, i64 %tail.further
  %number.high = shl i64 %number, 16
  %head.high = shl i64 %head.next, 8
  %taken = or i64 %head.high, %tail.next
  %new = or i64 %number.high, %taken
  %exchange = cmpxchg ptr %at, i64 %seen, i64 %new seq_cst monotonic
  %claimed = extractvalue {i64, i1} %exchange, 1
  br i1 %claimed, label %ours, label %try

ours:
  %last = sub i64 %end, %wanted
  %from = select i1 %own, i64 %head, i64 %last
  %to = add i64 %from, %wanted
  %first = insertvalue {i64, i64} poison, i64 %from, 0
  %both = insertvalue {i64, i64} %first, i64 %to, 1
  ret {i64, i64} %both

none:
  ret {i64, i64} zeroinitializer
}

; So many pieces are done. Who does the last of all moves the phase on, which lets everybody go.
define internal void @arrive(i32 %count, i32 %pieces) nounwind {
  %before = atomicrmw add ptr @arrived, i32 %count acq_rel
  %done = add i32 %before, %count
  %last = icmp eq i32 %done, %pieces
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

; Do pieces of a share, and count them.
define internal void @do.claimed(ptr %phase, ptr %table, i64 %share, i64 %from, i64 %to,
                                 i64 %pieces, i64 %worker, ptr %done) nounwind {
  %begin = mul i64 %share, PIECES
  %from.of.all = add i64 %begin, %from
  %to.of.all = add i64 %begin, %to
  call void @do(ptr %phase, ptr %table, i64 %from.of.all, i64 %to.of.all, i64 %pieces, i64 %worker)
  %before = load i64, ptr %done
  %count = sub i64 %to, %from
  %now = add i64 %before, %count
  store i64 %now, ptr %done
  ret void
}

; Help with a job until it is over: in each phase with one's own share first, then with others. The
; thread is left in the mode of who began it.
define internal void @take.part(ptr %job, i64 %worker) nounwind {
entry:
  %known = alloca i64 ; a phase of the program
  %known.at = alloca ptr ; and where it is
  %done = alloca i64 ; how many pieces of a share
  %eager = alloca i1 ; whether others were late in the phase before
  %late = alloca i1 ; and in this one
  %program.word = load i64, ptr %job
  %program = inttoptr i64 %program.word to ptr
  %table.at = getelementptr i64, ptr %job, i64 1
  %table.word = load i64, ptr %table.at
  %table = inttoptr i64 %table.word to ptr
  %shares.at = getelementptr i64, ptr %job, i64 2
  %shares = load i64, ptr %shares.at
  %base.at = getelementptr i64, ptr %job, i64 3
  %base = load i64, ptr %base.at
  %base.short = trunc i64 %base to i32
  %phases.at = getelementptr i64, ptr %job, i64 4
  %phases = load i64, ptr %phases.at
  %mode.at = getelementptr i64, ptr %job, i64 6
  %mode = load i64, ptr %mode.at
  call void @mode.set(i64 %mode)
  %pieces = mul i64 %shares, PIECES
  %first = getelementptr i64, ptr %program, i64 2
  store i64 0, ptr %known
  store ptr %first, ptr %known.at
  store i1 false, ptr %late
  br label %look

look:
  %now = load atomic i32, ptr @phase seq_cst, align 4
  %number.short = sub i32 %now, %base.short
  %number = zext i32 %number.short to i64
  %finished = icmp uge i64 %number, %phases
  br i1 %finished, label %end, label %begin

begin:
  %number.of.all = add i64 %base, %number
  %were.late = load i1, ptr %late
  store i1 %were.late, ptr %eager
  store i1 false, ptr %late
  store i64 0, ptr %done
  br label %shares.loop

shares.loop:
  %tried = phi i64 [0, %begin], [%tried.next, %next]
  %all.tried = icmp eq i64 %tried, %shares
  br i1 %all.tried, label %meet, label %choose

choose:
  %ahead = add i64 %worker, %tried
  %share = urem i64 %ahead, %shares
  %own = icmp eq i64 %share, %worker
  %second = icmp eq i64 %tried, 1
  %hurry = load i1, ptr %eager
  %calm = xor i1 %hurry, true
  %polite = and i1 %second, %calm
  br i1 %polite, label %leave.time, label %try

leave.time:
  call void @linger(ptr @phase, i32 %now)
  br label %try

try:
  %one = call {i64, i64} @claim(i64 %share, i64 %number.of.all, i1 %own, i1 false)
  %one.from = extractvalue {i64, i64} %one, 0
  %one.to = extractvalue {i64, i64} %one, 1
  %ours = icmp ult i64 %one.from, %one.to
  br i1 %ours, label %find, label %report

; From the phase whose place is known to the one that is running.
find:
  %near = load i64, ptr %known
  %near.at = load ptr, ptr %known.at
  %found = icmp eq i64 %near, %number
  br i1 %found, label %measure, label %find.on

find.on:
  %near.at.next = call ptr @phase.after(ptr %near.at)
  %near.next = add i64 %near, 1
  store i64 %near.next, ptr %known
  store ptr %near.at.next, ptr %known.at
  br label %find

measure:
  %long = call i1 @is.long(ptr %near.at)
  br i1 %long, label %work, label %rest

; In a short phase, all that is left. It lies beside what was taken, unless another helper has come
; between.
rest:
  %more = call {i64, i64} @claim(i64 %share, i64 %number.of.all, i1 %own, i1 true)
  %more.from = extractvalue {i64, i64} %more, 0
  %more.to = extractvalue {i64, i64} %more, 1
  %above = icmp eq i64 %more.from, %one.to
  %below = icmp eq i64 %more.to, %one.from
  %to.above = select i1 %above, i64 %more.to, i64 %one.to
  %from.below = select i1 %below, i64 %more.from, i64 %one.from
  %some.more = icmp ult i64 %more.from, %more.to
  %beside = or i1 %above, %below
  %not.beside = xor i1 %beside, true
  %separate = and i1 %some.more, %not.beside
  br i1 %separate, label %apart, label %work

apart:
  call void @do.claimed(ptr %near.at, ptr %table, i64 %share, i64 %more.from, i64 %more.to,
                        i64 %pieces, i64 %worker, ptr %done)
  br label %work

work:
  %from = phi i64 [%one.from, %measure], [%from.below, %rest], [%one.from, %apart]
  %to = phi i64 [%one.to, %measure], [%to.above, %rest], [%one.to, %apart]
  call void @do.claimed(ptr %near.at, ptr %table, i64 %share, i64 %from, i64 %to,
                        i64 %pieces, i64 %worker, ptr %done)
  %not.own = xor i1 %own, true
  %not.begun = icmp eq i64 %from, 0
  %owner.late = and i1 %not.own, %not.begun
  %late.before = load i1, ptr %late
  %late.now = or i1 %late.before, %owner.late
  store i1 %late.now, ptr %late
  br label %try

; Nothing is left of this share. Others may be waiting for what we did of it.
report:
  %all.done = load i64, ptr %done
  %some.done = icmp ne i64 %all.done, 0
  br i1 %some.done, label %tell, label %next

tell:
  %all.done.short = trunc i64 %all.done to i32
  %pieces.short = trunc i64 %pieces to i32
  call void @arrive(i32 %all.done.short, i32 %pieces.short)
  store i64 0, ptr %done
  br label %next

next:
  %tried.next = add i64 %tried, 1
  br label %shares.loop

meet:
  call void @wait(ptr @phase, i32 %now)
  br label %look

end:
  ret void
}
"""

TEXT = _TEXT.replace("MAX_WORKERS", str(MAX_WORKERS)).replace("PIECES", str(_PIECES))
