"""Who does which share of a phase, and when it is over.

The phases of all programs are numbered through. For each share there is the number of the first
phase in which nobody has claimed it yet. A worker claims its own share first; when that is done,
whatever share of the same phase its owner has not begun: because he is still asleep, records the
next step, or has lost his processor to another process. So a phase waits only for what somebody is
in the middle of. Who does the last share moves the phase on. Others get a moment to begin, since
what they have in their caches is of use to them only; but not if they were late the time before.

What belongs to a program may be gone as soon as its last phase is over. A worker that comes late
therefore looks at it only once it has a claim, which keeps the phase from ending; and it copies the
description of the job as a whole, which may be that of the next one meanwhile.
"""

from __future__ import annotations

MAX_WORKERS = 256

_TEXT = """
; The phase that is running: how many have ended, without what does not fit. And how many of its
; shares are done.
@phase = internal global {i32, i32} zeroinitializer, align 128
@arrived = internal global i32 0, align 128
; For each share, on a cache line of its own: the first phase of which nobody has claimed it.
@claimed = internal global [MAX_WORKERS x [16 x i64]] zeroinitializer, align 128
; The job: a program, its table, how many shares its phases have, the number of its first phase and
; how many they are, and the processor of who began it. The edition is odd while that is written.
@job = internal global [6 x i64] zeroinitializer, align 128
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
  %more = icmp ult i64 %word.next, 6
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

; Whether a share of the phase with this number is ours to do.
define internal i1 @claim(i64 %share, i64 %number) alwaysinline nounwind {
entry:
  %at = getelementptr [16 x i64], ptr @claimed, i64 %share
  %seen = load atomic i64, ptr %at monotonic, align 8
  %free = icmp eq i64 %seen, %number
  br i1 %free, label %try, label %end

try:
  %after = add i64 %number, 1
  %claim = cmpxchg ptr %at, i64 %number, i64 %after seq_cst monotonic
  %first = extractvalue {i64, i1} %claim, 1
  br label %end

end:
  %ours = phi i1 [false, %entry], [%first, %try]
  ret i1 %ours
}

; A share is done. The last of all moves the phase on, which lets everybody go.
define internal void @arrive(i64 %shares) nounwind {
  %before = atomicrmw add ptr @arrived, i32 1 acq_rel
  %done = add i32 %before, 1
  %done.long = zext i32 %done to i64
  %last = icmp eq i64 %done.long, %shares
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

; Help with a job until it is over: in each phase with one's own share first, then with others.
define internal void @take.part(ptr %job, i64 %worker) nounwind {
entry:
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
  %first = getelementptr i64, ptr %program, i64 2
  br label %look

look:
  %known = phi i64 [0, %entry], [%known.now, %meet]
  %known.at = phi ptr [%first, %entry], [%known.at.now, %meet]
  %eager = phi i1 [false, %entry], [%eager.now, %meet]
  %now = load atomic i32, ptr @phase seq_cst, align 4
  %number.short = sub i32 %now, %base.short
  %number = zext i32 %number.short to i64
  %finished = icmp uge i64 %number, %phases
  br i1 %finished, label %end, label %begin

begin:
  %number.of.all = add i64 %base, %number
  br label %shares.loop

shares.loop:
  %tried = phi i64 [0, %begin], [%tried.next, %next]
  %known.now = phi i64 [%known, %begin], [%known.then, %next]
  %known.at.now = phi ptr [%known.at, %begin], [%known.at.then, %next]
  %eager.now = phi i1 [false, %begin], [%eager.then, %next]
  %all.tried = icmp eq i64 %tried, %shares
  br i1 %all.tried, label %meet, label %choose

choose:
  %ahead = add i64 %worker, %tried
  %share = urem i64 %ahead, %shares
  %own = icmp eq i64 %share, %worker
  %second = icmp eq i64 %tried, 1
  %calm = xor i1 %eager, true
  %polite = and i1 %second, %calm
  br i1 %polite, label %leave.time, label %try

leave.time:
  call void @linger(ptr @phase, i32 %now)
  br label %try

try:
  %ours = call i1 @claim(i64 %share, i64 %number.of.all)
  br i1 %ours, label %find, label %next

; From the phase whose place is known to the one that is running.
find:
  %near = phi i64 [%known.now, %try], [%near.next, %find.on]
  %near.at = phi ptr [%known.at.now, %try], [%near.at.next, %find.on]
  %found = icmp eq i64 %near, %number
  br i1 %found, label %work, label %find.on

find.on:
  %near.at.next = call ptr @phase.after(ptr %near.at)
  %near.next = add i64 %near, 1
  br label %find

work:
  call void @share(ptr %near.at, ptr %table, i64 %share, i64 %shares, i64 %worker)
  call void @arrive(i64 %shares)
  %helped = xor i1 %own, true
  %eager.more = or i1 %eager.now, %helped
  br label %next

next:
  %known.then = phi i64 [%known.now, %try], [%number, %work]
  %known.at.then = phi ptr [%known.at.now, %try], [%near.at, %work]
  %eager.then = phi i1 [%eager.now, %try], [%eager.more, %work]
  %tried.next = add i64 %tried, 1
  br label %shares.loop

meet:
  call void @wait(ptr @phase, i32 %now)
  br label %look

end:
  ret void
}
"""

TEXT = _TEXT.replace("MAX_WORKERS", str(MAX_WORKERS))
