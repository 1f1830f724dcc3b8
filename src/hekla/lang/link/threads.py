"""Threads of products: the pool of parallel loops (llvm/pool_code.py) in programs and shared objects.

The pool starts at the first loop of two iterations or more, with as many threads as the process may use processors;
HEKLA_THREADS in the environment overrides. A program makes threads by clone(2); a shared object by pthread_create,
because the process it is loaded into needs its own thread records. All of it is part of the program's module.
"""

from hekla.lang.link.system_linux import numbered
from hekla.lang.llvm.environment import POOL
from hekla.lang.llvm.pool_code import HANDS, SPINS, START, TAKE_AND_RUN
from hekla.lang.llvm.threads import FUTEX_CALLS, PAUSES
from hekla.lang.targets.seam import Target

THREAD_FLAGS = 0x50F00  # VM, FS, FILES, SIGHAND, THREAD, SYSVSEM: what pthread_create asks for, less what needs TLS
STACK_BYTES = 1 << 20  # of a thread: four times what the arrays of a kernel may take; untouched pages cost nothing
POOL_TABLE = f"@{POOL} = internal global [2 x ptr] [ptr @hekla_pool_first, ptr @hekla_pool_memory]"
_ARCHES = {"x86-64": "x86_64", "aarch64": "aarch64", "riscv64": "riscv64"}

_HANDS = """
declare i64 @hekla_syscall(i64, i64, i64, i64, i64, i64, i64)
declare i64 @hekla_thread(i64, ptr, ptr, ptr)
@hekla_stack = internal global ptr null

define internal void @wait(ptr %word, i32 %seen) {
  %at = ptrtoint ptr %word to i64
  %value = zext i32 %seen to i64
  %r = call i64 @hekla_syscall(i64 FUTEX, i64 %at, i64 128, i64 %value, i64 0, i64 0, i64 0)
  ret void
}

define internal void @wake(ptr %word) {
  %at = ptrtoint ptr %word to i64
  %r = call i64 @hekla_syscall(i64 FUTEX, i64 %at, i64 129, i64 2147483647, i64 0, i64 0, i64 0)
  ret void
}

define internal i32 @hekla_pool_start(ptr %pool, i32 %count) {
entry:
  %workers.at = getelementptr i8, ptr %pool, i64 260
  br label %head
head:
  %i = phi i32 [ 0, %entry ], [ %i.next, %made ]
  %more = icmp slt i32 %i, %count
  br i1 %more, label %room, label %done
room:
  %memory = call i64 @hekla_syscall(i64 MMAP, i64 0, i64 STACK, i64 3, i64 131106, i64 -1, i64 0)
  %none = icmp ugt i64 %memory, -4096
  br i1 %none, label %done, label %make
make:
  %end = add i64 %memory, STACK
  %top = inttoptr i64 %end to ptr
  %r = call i64 @hekla_thread(i64 FLAGS, ptr %top, ptr @worker, ptr %pool)
  %good = icmp sgt i64 %r, 0
  br i1 %good, label %made, label %done
made:
  %i.next = add i32 %i, 1
  br label %head
done:
  store i32 %i, ptr %workers.at
  ret i32 %i
}

define internal i64 @hekla_affinity(ptr %bits) {
  %at = ptrtoint ptr %bits to i64
  %r = call i64 @hekla_syscall(i64 AFFINITY, i64 0, i64 128, i64 %at, i64 0, i64 0, i64 0)
  ret i64 %r
}

@hekla_threads_name = internal constant [14 x i8] c"HEKLA_THREADS="

define internal ptr @hekla_threads_text() {
entry:
  %stack = load ptr, ptr @hekla_stack
  %arguments = load i64, ptr %stack
  %skip = add i64 %arguments, 2
  %environment = getelementptr i64, ptr %stack, i64 %skip
  br label %variables
variables:
  %at = phi ptr [ %environment, %entry ], [ %after, %other ]
  %variable = load ptr, ptr %at
  %after = getelementptr i64, ptr %at, i64 1
  %last = icmp eq ptr %variable, null
  br i1 %last, label %none, label %compare
compare:
  %i = phi i64 [ 0, %variables ], [ %i.next, %same ]
  %text.at = getelementptr i8, ptr %variable, i64 %i
  %text = load i8, ptr %text.at
  %wanted.at = getelementptr i8, ptr @hekla_threads_name, i64 %i
  %wanted = load i8, ptr %wanted.at
  %equal = icmp eq i8 %text, %wanted
  br i1 %equal, label %same, label %other
same:
  %i.next = add i64 %i, 1
  %whole = icmp eq i64 %i.next, 14
  br i1 %whole, label %found, label %compare
other:
  br label %variables
found:
  %value = getelementptr i8, ptr %variable, i64 14
  ret ptr %value
none:
  ret ptr null
}
"""

_LIBRARY_HANDS = """
declare ptr @getenv(ptr)
declare i32 @sched_getaffinity(i32, i64, ptr)
@hekla_threads_name = internal constant [14 x i8] c"HEKLA_THREADS\\00"

define internal ptr @hekla_threads_text() {
  %value = call ptr @getenv(ptr @hekla_threads_name)
  ret ptr %value
}

define internal i64 @hekla_affinity(ptr %bits) {
  %r = call i32 @sched_getaffinity(i32 0, i64 128, ptr %bits)
  %wide = sext i32 %r to i64
  ret i64 %wide
}
"""

_FIRST = """
@hekla_pool_memory = internal global [384 x i8] zeroinitializer, align 64
@hekla_pool_begun = internal global i32 0

define internal i64 @hekla_threads() {
entry:
  %bits = alloca [16 x i64]
  call void @llvm.memset.p0.i64(ptr %bits, i8 0, i64 128, i1 false)
  %text = call ptr @hekla_threads_text()
  %given = icmp ne ptr %text, null
  br i1 %given, label %digits, label %count
digits:
  %at = phi ptr [ %text, %entry ], [ %at.next, %digit ]
  %sum = phi i64 [ 0, %entry ], [ %sum.next, %digit ]
  %byte = load i8, ptr %at
  %value = sub i8 %byte, 48
  %is.digit = icmp ult i8 %value, 10
  br i1 %is.digit, label %digit, label %decide
digit:
  %ten = mul i64 %sum, 10
  %wide = zext i8 %value to i64
  %sum.next = add i64 %ten, %wide
  %at.next = getelementptr i8, ptr %at, i64 1
  br label %digits
decide:
  %is.good = icmp eq i8 %byte, 0
  %is.some = icmp ne ptr %at, %text
  %is.number = and i1 %is.good, %is.some
  br i1 %is.number, label %chosen, label %count
chosen:
  %least = call i64 @llvm.umax.i64(i64 %sum, i64 1)
  %most = call i64 @llvm.umin.i64(i64 %least, i64 1024)
  ret i64 %most
count:
  %r = call i64 @hekla_affinity(ptr %bits)
  br label %words
words:
  %i = phi i64 [ 0, %count ], [ %i.next, %words ]
  %total = phi i64 [ 0, %count ], [ %total.next, %words ]
  %word.at = getelementptr i64, ptr %bits, i64 %i
  %word = load i64, ptr %word.at
  %ones = call i64 @llvm.ctpop.i64(i64 %word)
  %total.next = add i64 %total, %ones
  %i.next = add i64 %i, 1
  %end = icmp eq i64 %i.next, 16
  br i1 %end, label %done, label %words
done:
  %threads = call i64 @llvm.umax.i64(i64 %total.next, i64 1)
  ret i64 %threads
}

define internal void @hekla_pool_first(ptr %pool, ptr %task, ptr %context, i64 %n) {
entry:
  %few = icmp slt i64 %n, 2
  br i1 %few, label %alone, label %try
try:
  %pair = cmpxchg ptr @hekla_pool_begun, i32 0, i32 1 acq_rel monotonic
  %mine = extractvalue { i32, i1 } %pair, 1
  br i1 %mine, label %begin, label %run
begin:
  %threads = call i64 @hekla_threads()
  %workers = sub i64 %threads, 1
  %small = trunc i64 %workers to i32
  %made = call i32 @hekla_pool_start(ptr %pool, i32 %small)
  store atomic ptr @hekla_pool_run, ptr @hekla_pool release, align 8
  br label %run
run:
  call void @hekla_pool_run(ptr %pool, ptr %task, ptr %context, i64 %n)
  ret void
alone:
  %any = icmp sgt i64 %n, 0
  br i1 %any, label %one, label %out
one:
  call void %task(ptr %context, i64 0, i64 %n)
  br label %out
out:
  ret void
}

declare i64 @llvm.umin.i64(i64, i64)
declare i64 @llvm.ctpop.i64(i64)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
"""


def has_threads(target: Target, kind: str) -> bool:
    """True where a product of this kind runs parallel loops on several threads."""
    return target.family in _ARCHES and kind in ("executable", "shared")


def may_wait(target: Target, kind: str) -> bool:
    """True where code of a product of this kind may sleep until another thread wakes it: futexes of Linux."""
    return target.family in _ARCHES and kind in ("executable", "shared", "object")


def pool_text(target: Target, kind: str) -> str:
    """Return the LLVM text of the pool; a program stores the stack it was started with in `@hekla_stack`."""
    arch = _ARCHES[target.family]
    if kind == "shared":
        hands = HANDS + START.replace("define i32", "define internal i32") + _LIBRARY_HANDS
    else:
        hands = _HANDS.replace("i64 STACK", f"i64 {STACK_BYTES}").replace(", STACK", f", {STACK_BYTES}")
        hands = numbered(hands.replace("FLAGS", str(THREAD_FLAGS)), target)
    text = hands + TAKE_AND_RUN.replace("define void", "define internal void") + _FIRST
    text = text.replace("FUTEX", str(FUTEX_CALLS[arch])).replace("SPINS", str(SPINS)).replace("PAUSE", PAUSES[arch])
    for name in ("wait", "wake", "take", "worker"):  # an author's kernel may have one of these names
        text = text.replace(f"@{name}(", f"@hekla_pool_{name}(").replace(f"@{name},", f"@hekla_pool_{name},")
    return text
