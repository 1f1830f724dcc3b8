"""The code of the thread pool (llvm/pool.py): LLVM's text of its worker and of its launch, and the image made of it."""

import platform

from hekla.base.errors import UnsupportedError
from hekla.lang import types as t
from hekla.lang.interface import Interface
from hekla.lang.llvm.built import Built
from hekla.lang.llvm.cache import CodeCache
from hekla.lang.llvm.codegen import Flags, object_code
from hekla.lang.llvm.link_image import link_image
from hekla.lang.llvm.target import host_target
from hekla.lang.llvm.threads import FUTEX_CALLS, PAUSES

SPINS = 2000  # pauses before a thread sleeps

HANDS = """
declare i64 @syscall(i64, ...)
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_detach(i64)

define internal void @wait(ptr %word, i32 %seen) {
  %r = call i64 (i64, ...) @syscall(i64 FUTEX, ptr %word, i32 128, i32 %seen, ptr null, ptr null, i32 0)
  ret void
}

define internal void @wake(ptr %word) {
  %r = call i64 (i64, ...) @syscall(i64 FUTEX, ptr %word, i32 129, i32 2147483647, ptr null, ptr null, i32 0)
  ret void
}
"""

# what does not depend on how threads are made: products have it too, with hands of their own (link/threads.py)
TAKE_AND_RUN = """
define internal void @take(ptr %pool) {
entry:
  %next = getelementptr i8, ptr %pool, i64 64
  %task.at = getelementptr i8, ptr %pool, i64 192
  %task = load ptr, ptr %task.at
  %context.at = getelementptr i8, ptr %pool, i64 200
  %context = load ptr, ptr %context.at
  %n.at = getelementptr i8, ptr %pool, i64 208
  %n = load i64, ptr %n.at
  %size.at = getelementptr i8, ptr %pool, i64 216
  %size = load i64, ptr %size.at
  br label %again
again:
  %begin = atomicrmw add ptr %next, i64 %size monotonic
  %more = icmp slt i64 %begin, %n
  br i1 %more, label %work, label %done
work:
  %sum = add i64 %begin, %size
  %over = icmp sgt i64 %sum, %n
  %end = select i1 %over, i64 %n, i64 %sum
  call void %task(ptr %context, i64 %begin, i64 %end)
  br label %again
done:
  ret void
}

define internal ptr @worker(ptr %pool) {
entry:
  %state = getelementptr i8, ptr %pool, i64 128
  %sleeps = getelementptr i8, ptr %pool, i64 132
  %asleep = getelementptr i8, ptr %pool, i64 320
  br label %idle
idle:
  %seen = phi i32 [ 0, %entry ], [ %now, %last ], [ %now, %not.last ], [ %now, %tell ]
  br label %spin
spin:
  %turn = phi i32 [ 0, %idle ], [ %turn.next, %spinning ]
  %epoch = load atomic i32, ptr %pool acquire, align 4
  %changed = icmp ne i32 %epoch, %seen
  br i1 %changed, label %start, label %spinning
spinning:
  PAUSE
  %turn.next = add i32 %turn, 1
  %tired = icmp sgt i32 %turn.next, SPINS
  br i1 %tired, label %sleep, label %spin
sleep:
  %a = atomicrmw add ptr %asleep, i32 1 seq_cst
  call void @wait(ptr %pool, i32 %seen)
  %b = atomicrmw sub ptr %asleep, i32 1 seq_cst
  %epoch.then = load atomic i32, ptr %pool acquire, align 4
  %woken = icmp ne i32 %epoch.then, %seen
  br i1 %woken, label %start, label %sleep
start:
  %now = phi i32 [ %epoch, %spin ], [ %epoch.then, %sleep ]
  %joined = atomicrmw add ptr %state, i32 1 seq_cst
  %open = and i32 %joined, 1073741824
  %is.open = icmp ne i32 %open, 0
  br i1 %is.open, label %help, label %leave
help:
  call void @take(ptr %pool)
  br label %leave
leave:
  %left = atomicrmw sub ptr %state, i32 1 seq_cst
  %is.last = icmp eq i32 %left, 1
  br i1 %is.last, label %last, label %not.last
not.last:
  br label %idle
last:
  %caller.sleeps = load atomic i32, ptr %sleeps seq_cst, align 4
  %tells = icmp ne i32 %caller.sleeps, 0
  br i1 %tells, label %tell, label %idle
tell:
  call void @wake(ptr %state)
  br label %idle
}

define void @hekla_pool_run(ptr %pool, ptr %task, ptr %context, i64 %n) {
entry:
  %state = getelementptr i8, ptr %pool, i64 128
  %sleeps = getelementptr i8, ptr %pool, i64 132
  %busy = getelementptr i8, ptr %pool, i64 256
  %workers.at = getelementptr i8, ptr %pool, i64 260
  %asleep = getelementptr i8, ptr %pool, i64 320
  %any = icmp sgt i64 %n, 0
  br i1 %any, label %some, label %out
some:
  %workers = load i32, ptr %workers.at
  %many = icmp sgt i64 %n, 1
  %hands = icmp sgt i32 %workers, 0
  %worth = and i1 %many, %hands
  br i1 %worth, label %lock, label %alone
lock:
  %pair = cmpxchg ptr %busy, i32 0, i32 1 acquire monotonic
  %mine = extractvalue { i32, i1 } %pair, 1
  br i1 %mine, label %launch, label %alone
alone:
  call void %task(ptr %context, i64 0, i64 %n)
  br label %out
launch:
  %task.at = getelementptr i8, ptr %pool, i64 192
  store ptr %task, ptr %task.at
  %context.at = getelementptr i8, ptr %pool, i64 200
  store ptr %context, ptr %context.at
  %n.at = getelementptr i8, ptr %pool, i64 208
  store i64 %n, ptr %n.at
  %workers.wide = sext i32 %workers to i64
  %heads = add i64 %workers.wide, 1
  %ranges = mul i64 %heads, 4
  %size.raw = udiv i64 %n, %ranges
  %size = call i64 @llvm.umax.i64(i64 %size.raw, i64 1)
  %size.at = getelementptr i8, ptr %pool, i64 216
  store i64 %size, ptr %size.at
  %next = getelementptr i8, ptr %pool, i64 64
  store i64 0, ptr %next
  store i32 0, ptr %sleeps
  %o = atomicrmw add ptr %state, i32 1073741824 seq_cst
  %e = atomicrmw add ptr %pool, i32 1 seq_cst
  %sleeping = load atomic i32, ptr %asleep seq_cst, align 4
  %must.wake = icmp ne i32 %sleeping, 0
  br i1 %must.wake, label %rouse, label %join
rouse:
  call void @wake(ptr %pool)
  br label %join
join:
  call void @take(ptr %pool)
  %closed = atomicrmw sub ptr %state, i32 1073741824 seq_cst
  br label %spin
spin:
  %turn = phi i32 [ 0, %join ], [ %turn.next, %spinning ]
  %left = load atomic i32, ptr %state acquire, align 4
  %all = icmp eq i32 %left, 0
  br i1 %all, label %free, label %spinning
spinning:
  PAUSE
  %turn.next = add i32 %turn, 1
  %tired = icmp sgt i32 %turn.next, SPINS
  br i1 %tired, label %sleep, label %spin
sleep:
  store atomic i32 1, ptr %sleeps seq_cst, align 4
  %left.then = load atomic i32, ptr %state seq_cst, align 4
  %all.then = icmp eq i32 %left.then, 0
  br i1 %all.then, label %free, label %doze
doze:
  call void @wait(ptr %state, i32 %left.then)
  br label %sleep
free:
  store atomic i32 0, ptr %busy release, align 4
  br label %out
out:
  ret void
}

declare i64 @llvm.umax.i64(i64, i64)
"""

START = """
define i32 @hekla_pool_start(ptr %pool, i32 %count) {
entry:
  %thread = alloca i64
  %workers.at = getelementptr i8, ptr %pool, i64 260
  br label %head
head:
  %i = phi i32 [ 0, %entry ], [ %i.next, %made ]
  %more = icmp slt i32 %i, %count
  br i1 %more, label %make, label %done
make:
  %r = call i32 @pthread_create(ptr %thread, ptr null, ptr @worker, ptr %pool)
  %good = icmp eq i32 %r, 0
  br i1 %good, label %made, label %done
made:
  %id = load i64, ptr %thread
  %d = call i32 @pthread_detach(i64 %id)
  %i.next = add i32 %i, 1
  br label %head
done:
  store i32 %i, ptr %workers.at
  ret i32 %i
}
"""


def build_pool(exports: tuple[str, ...], cache: CodeCache) -> Built:
    """Return the code of a pool, linked. Errors: UnsupportedError off Linux, and on a processor it does not know."""
    machine = platform.machine()
    if platform.system() != "Linux" or machine not in FUTEX_CALLS:
        raise UnsupportedError(f"parallel loops need futexes of Linux, not {platform.system()} on {machine}")
    text = (HANDS + TAKE_AND_RUN + START).replace("FUTEX", str(FUTEX_CALLS[machine])).replace("SPINS", str(SPINS))
    target = host_target()
    text = f'target triple = "{target.triple}"\n' + text.replace("PAUSE", PAUSES[machine])
    code, _ = object_code(text, target, Flags(), cache)
    return Built(Interface("the pool", (), t.none), link_image(code, exports))
