"""LLVM for what speaks to the system: calls of hekla_write, hekla_read, hekla_open, hekla_close.

A program's linker provides them (link/system_*.py); in this process, in a shared object and in an object they are
these few lines over the C library's functions.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from hekla.lang import types as t
from hekla.lang.ir.core import Op
from hekla.lang.llvm.views import Parts

if TYPE_CHECKING:
    from hekla.lang.llvm.text import FunctionText, Text

PATH_BYTES = 1024  # of the longest path, its 0 included

OPEN = """
define internal i32 @hekla_open(ptr %path, WORD %count, i32 %writing) {
entry:
  %copy = alloca [PATH x i8]
  %fits = icmp ult WORD %count, PATH
  br i1 %fits, label %start, label %refuse
start:
  br label %head
head:
  %i = phi WORD [ 0, %start ], [ %next, %more ]
  %end = icmp eq WORD %i, %count
  br i1 %end, label %done, label %more
more:
  %from = getelementptr i8, ptr %path, WORD %i
  %byte = load i8, ptr %from
  %to = getelementptr i8, ptr %copy, WORD %i
  store i8 %byte, ptr %to
  %next = add WORD %i, 1
  br label %head
done:
  %last = getelementptr i8, ptr %copy, WORD %count
  store i8 0, ptr %last
  %writes = icmp ne i32 %writing, 0
  %flags = select i1 %writes, i32 577, i32 0
CALL
  ret i32 %file
refuse:
  ret i32 -1
}
""".replace("PATH", str(PATH_BYTES))  # 577: write only, create, truncate, on every processor of Linux

_C = {
    "hekla_write": """
declare WORD @write(i32, ptr, WORD)
define internal WORD @hekla_write(i32 %file, ptr %from, WORD %count) {
  %r = call WORD @write(i32 %file, ptr %from, WORD %count)
  ret WORD %r
}
""",
    "hekla_read": """
declare WORD @read(i32, ptr, WORD)
define internal WORD @hekla_read(i32 %file, ptr %to, WORD %count) {
  %r = call WORD @read(i32 %file, ptr %to, WORD %count)
  ret WORD %r
}
""",
    "hekla_open": "\ndeclare i32 @open(ptr, i32, ...)"
    + OPEN.replace("CALL", "  %file = call i32 (ptr, i32, ...) @open(ptr %copy, i32 %flags, i32 420)"),
    "hekla_close": """
declare i32 @close(i32)
define internal void @hekla_close(i32 %file) {
  %r = call i32 @close(i32 %file)
  ret void
}
""",
    "hekla_syscall": """
declare i64 @syscall(i64, ...)
define internal i64 @hekla_syscall(i64 %number, i64 %a, i64 %b, i64 %c, i64 %d, i64 %e, i64 %f) {
  %r = call i64 (i64, ...) @syscall(i64 %number, i64 %a, i64 %b, i64 %c, i64 %d, i64 %e, i64 %f)
  ret i64 %r
}
""",
}


def over_c_library(text: "Text") -> None:
    """Define the functions a module calls of the system by those of the C library."""
    for name, code in _C.items():
        if text.declared.pop(name, None) is not None:
            text.add(code.replace("WORD", f"i{text.target.pointer_bits}"))


def _constant_text(f: "FunctionText", op: Op) -> None:
    assert op.result is not None
    content: bytes = op.attrs["bytes"]
    f.views[op.result] = Parts(f.text.constant(content), [str(len(content))], ["1"])


def _transfer(f: "FunctionText", op: Op) -> None:
    file, view = op.operands
    assert isinstance(view.type, t.ViewType)
    word = f"i{f.text.target.pointer_bits}"
    name = f.text.declare(f"hekla_{op.name.removeprefix('system.')}", word, f"i32, ptr, {word}")
    parts, size = f.views[view], t.size_and_align(view.type.element)[0]
    count = f.make(f"mul i64 {parts.shape[0]}, {size}")
    if word != "i64":
        count = f.make(f"trunc i64 {count} to {word}")
    moved = f.make(f"call {word} @{name}({f.typed(file)}, ptr {parts.pointer}, {word} {count})")
    if word != "i64":
        moved = f.make(f"sext {word} {moved} to i64")
    f.set(op, f.intrinsic("llvm.smax.i64", "i64", [f"i64 {moved}", "i64 -1"]))


def _open(f: "FunctionText", op: Op) -> None:
    parts, word = f.views[op.operands[0]], f"i{f.text.target.pointer_bits}"
    name = f.text.declare("hekla_open", "i32", f"ptr, {word}, i32")
    count = parts.shape[0] if word == "i64" else f.make(f"trunc i64 {parts.shape[0]} to {word}")
    file = f.make(f"call i32 @{name}(ptr {parts.pointer}, {word} {count}, i32 {int(op.attrs['writing'])})")
    f.set(op, f.intrinsic("llvm.smax.i32", "i32", [f"i32 {file}", "i32 -1"]))


def _close(f: "FunctionText", op: Op) -> None:
    name = f.text.declare("hekla_close", "void", "i32")
    f.line(f"call void @{name}({f.typed(op.operands[0])})")


SYSTEM: Mapping[str, Callable[["FunctionText", Op], None]] = {
    "memref.text": _constant_text, "system.write": _transfer, "system.read": _transfer,
    "system.open": _open, "system.close": _close,
}  # fmt: skip
