"""What programs ask of Linux without any library, as LLVM text: files, arguments, a lock.

The start code gives two functions in machine code: `hekla_syscall(number, six arguments)`, and
`hekla_thread(flags, top of a stack, function, argument)`, which is clone(2) for a thread that calls the function and
ends. Everything else is LLVM text on top of them: here, and in threads.py.

The stack at the start of a program: see start_check.py. The bytes of the arguments lie one behind the other there,
each ended by a 0, so that the arguments of a program are one view of them; its own name, the first, is left out.
"""

from hekla.lang.llvm.system import OPEN
from hekla.lang.targets.seam import Target

# system call numbers: x86-64 has its own table, the others share one (asm-generic/unistd.h)
X86 = {"READ": 0, "OPENAT": 257, "CLOSE": 3, "MMAP": 9, "YIELD": 24, "FUTEX": 202, "AFFINITY": 204}
OTHERS = {"READ": 63, "OPENAT": 56, "CLOSE": 57, "MMAP": 222, "YIELD": 124, "FUTEX": 98, "AFFINITY": 123}

_FILES = """
declare i64 @hekla_syscall(i64, i64, i64, i64, i64, i64, i64)

define i64 @hekla_read(i32 %file, ptr %to, i64 %count) #0 section ".text.hekla_read" {
  %number = sext i32 %file to i64
  %place = ptrtoint ptr %to to i64
  %r = call i64 @hekla_syscall(i64 READ, i64 %number, i64 %place, i64 %count, i64 0, i64 0, i64 0)
  ret i64 %r
}

define void @hekla_close(i32 %file) #0 section ".text.hekla_close" {
  %number = sext i32 %file to i64
  %r = call i64 @hekla_syscall(i64 CLOSE, i64 %number, i64 0, i64 0, i64 0, i64 0, i64 0)
  ret void
}
"""
_OPEN_CALL = """  %place = ptrtoint ptr %copy to i64
  %flags.wide = zext i32 %flags to i64
  %r = call i64 @hekla_syscall(i64 OPENAT, i64 -100, i64 %place, i64 %flags.wide, i64 420, i64 0, i64 0)
  %file = trunc i64 %r to i32"""

_ARGUMENTS = """
define { ptr, i64 } @hekla_arguments(ptr %stack) #0 section ".text.hekla_arguments" {
entry:
  %count = load i64, ptr %stack
  %first.at = getelementptr i64, ptr %stack, i64 2
  %some = icmp ugt i64 %count, 1
  br i1 %some, label %find, label %none
find:
  %first = load ptr, ptr %first.at
  %last.at = getelementptr i64, ptr %stack, i64 %count
  %last = load ptr, ptr %last.at
  br label %loop
loop:
  %at = phi ptr [ %last, %find ], [ %next, %loop ]
  %byte = load i8, ptr %at
  %next = getelementptr i8, ptr %at, i64 1
  %end = icmp eq i8 %byte, 0
  br i1 %end, label %done, label %loop
done:
  %from = ptrtoint ptr %first to i64
  %to = ptrtoint ptr %next to i64
  %size = sub i64 %to, %from
  %one = insertvalue { ptr, i64 } poison, ptr %first, 0
  %both = insertvalue { ptr, i64 } %one, i64 %size, 1
  ret { ptr, i64 } %both
none:
  %empty = insertvalue { ptr, i64 } poison, ptr %stack, 0
  %nothing = insertvalue { ptr, i64 } %empty, i64 0, 1
  ret { ptr, i64 } %nothing
}
"""


def numbered(text: str, target: Target) -> str:
    """Return a text with the numbers of a target's system calls for their names."""
    for word, number in (X86 if target.family == "x86-64" else OTHERS).items():
        text = text.replace(f"i64 {word},", f"i64 {number},")
    return text


def system_text(target: Target) -> str:
    """Return the LLVM text of files and arguments for a target."""
    opening = OPEN.replace("WORD", "i64").replace("CALL", _OPEN_CALL)
    opening = opening.replace("define internal", "define").replace(") {", ') #0 section ".text.hekla_open" {', 1)
    return numbered(_FILES + opening + _ARGUMENTS, target)


# around the allocator of a program with threads
LOCK_TEXT = """
@hekla_arena_busy = internal global i32 0, section ".bss.hekla_arena_busy"

define internal void @hekla_lock() #0 section ".text.hekla_lock" {
entry:
  br label %try
try:
  %before = atomicrmw xchg ptr @hekla_arena_busy, i32 1 acquire
  %mine = icmp eq i32 %before, 0
  br i1 %mine, label %done, label %wait
wait:
  %r = call i64 @hekla_syscall(i64 YIELD, i64 0, i64 0, i64 0, i64 0, i64 0, i64 0)
  br label %try
done:
  ret void
}

define internal void @hekla_unlock() #0 section ".text.hekla_unlock" {
  store atomic i32 0, ptr @hekla_arena_busy release, align 4
  ret void
}
"""
