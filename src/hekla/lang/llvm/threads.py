"""LLVM for waiting on other threads: futexes, mutexes, the hint of a spinning loop.

A mutex is Drepper's ("Futexes Are Tricky", 2011, mutex2): 0 free, 1 held, 2 held and perhaps waited for. Who finds it
held spins briefly and then sleeps; who gives it back wakes one sleeper, and makes no system call where nobody waits.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from hekla.base.errors import UnsupportedError
from hekla.lang.ir.core import Op
from hekla.lang.llvm.names import commas
from hekla.lang.llvm.target import Target

if TYPE_CHECKING:
    from hekla.lang.llvm.text import FunctionText

FUTEX_CALLS = {"x86_64": 202, "aarch64": 98, "riscv64": 98}
YIELD_CALLS = {"x86_64": 24, "aarch64": 124, "riscv64": 124}
PAUSES = {
    "x86_64": "call void @llvm.x86.sse2.pause()",
    "aarch64": "call void @llvm.aarch64.hint(i32 1)",
    "riscv64": "fence syncscope(\"singlethread\") seq_cst",
}  # fmt: skip
LOCK_SPINS = 100  # pauses before a thread sleeps: some microseconds
LOCK, UNLOCK, WAIT, WAKE = "hekla.lock", "hekla.unlock", "hekla.wait", "hekla.wake"

SYSCALL = "hekla_syscall"  # a program's linker provides it (link/system_linux.py), elsewhere the C library (system.py)

_TEXT = """
define internal void @hekla.wait(ptr %word, i32 %seen) noinline {
  %at = ptrtoint ptr %word to i64
  %value = zext i32 %seen to i64
  %r = call i64 @hekla_syscall(i64 FUTEX, i64 %at, i64 128, i64 %value, i64 0, i64 0, i64 0)
  ret void
}

define internal void @hekla.wake(ptr %word, i32 %count) noinline {
  %at = ptrtoint ptr %word to i64
  %value = zext i32 %count to i64
  %r = call i64 @hekla_syscall(i64 FUTEX, i64 %at, i64 129, i64 %value, i64 0, i64 0, i64 0)
  ret void
}

define internal void @hekla.yield() noinline {
  %r = call i64 @hekla_syscall(i64 YIELD, i64 0, i64 0, i64 0, i64 0, i64 0, i64 0)
  ret void
}

define internal void @hekla.lock.slowly(ptr %state) noinline {
entry:
  br label %spin
spin:
  %turn = phi i32 [ 0, %entry ], [ %turn.next, %spinning ]
  %seen = load atomic i32, ptr %state monotonic, align 4
  %free = icmp eq i32 %seen, 0
  br i1 %free, label %try, label %spinning
try:
  %pair = cmpxchg ptr %state, i32 0, i32 1 acquire monotonic
  %won = extractvalue { i32, i1 } %pair, 1
  br i1 %won, label %out, label %spinning
spinning:
  PAUSE
  %turn.next = add i32 %turn, 1
  %tired = icmp sgt i32 %turn.next, SPINS
  br i1 %tired, label %sleep, label %spin
sleep:
  %old = atomicrmw xchg ptr %state, i32 2 acquire
  %mine = icmp eq i32 %old, 0
  br i1 %mine, label %out, label %doze
doze:
  call void @hekla.wait(ptr %state, i32 2)
  br label %sleep
out:
  ret void
}

define internal void @hekla.lock(ptr %state) alwaysinline {
entry:
  %pair = cmpxchg ptr %state, i32 0, i32 1 acquire monotonic
  %won = extractvalue { i32, i1 } %pair, 1
  br i1 %won, label %out, label %slowly
slowly:
  call void @hekla.lock.slowly(ptr %state)
  br label %out
out:
  ret void
}

define internal void @hekla.unlock(ptr %state) alwaysinline {
entry:
  %old = atomicrmw xchg ptr %state, i32 0 release
  %waited = icmp eq i32 %old, 2
  br i1 %waited, label %wake, label %out
wake:
  call void @hekla.wake(ptr %state, i32 1)
  br label %out
out:
  ret void
}
"""


def thread_text(target: Target) -> str:
    """Return the functions that wait and wake. Errors: UnsupportedError where there are no futexes."""
    machine, _, system = target.triple.partition("-")
    if machine not in FUTEX_CALLS or "linux" not in system:
        raise UnsupportedError(f"waiting for threads needs futexes of Linux, not {target.triple}")
    text = _TEXT.replace("YIELD", str(YIELD_CALLS[machine])).replace("FUTEX", str(FUTEX_CALLS[machine]))
    text = text.replace("SPINS", str(LOCK_SPINS))
    return text.replace("PAUSE", PAUSES[machine])


def _lock(f: "FunctionText", op: Op) -> None:
    _may_wait(f, op)
    pointer, _ = f.address(op, 1)
    f.line(f"call void @{LOCK}(ptr {pointer})")
    f.held.append(pointer)


def _unlock(f: "FunctionText", op: Op) -> None:
    f.line(f"call void @{UNLOCK}(ptr {f.held.pop()})")


def _wait(f: "FunctionText", op: Op) -> None:
    _may_wait(f, op)
    name = WAIT if op.name == "memref.atomic_wait" else WAKE
    pointer, _ = f.address(op, 1)
    f.line(f"call void @{name}(ptr {pointer}, {f.typed(op.operands[-1])})")


def _pause(f: "FunctionText", op: Op) -> None:
    text = PAUSES.get(f.text.target.triple.partition("-")[0])
    if text is not None:
        f.line(text)
        if text.startswith("call"):
            name, params = ("llvm.x86.sse2.pause", "") if "x86" in text else ("llvm.aarch64.hint", "i32")
            f.text.declare(name, "void", params)


def _yield(f: "FunctionText", op: Op) -> None:
    _may_wait(f, op)
    f.line("call void @hekla.yield()")


def _may_wait(f: "FunctionText", op: Op) -> None:
    f.text.waits = f.text.waits or op.span
    f.text.declare(SYSCALL, "i64", commas(["i64"] * 7))


THREADS: Mapping[str, Callable[["FunctionText", Op], None]] = {
    "memref.lock": _lock,
    "memref.unlock": _unlock,
    "memref.atomic_wait": _wait,
    "memref.atomic_wake": _wait,
    "hekla.pause": _pause,
    "hekla.yield": _yield,
}
