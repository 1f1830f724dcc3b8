"""From LLVM text to a WebAssembly module: the program and its support become one object, then one module.

A command (product `executable`) follows WASI preview 1: it exports `_start` and `memory`, and imports what it uses of
fd_write, fd_read, path_open (relative to the first folder it is given, file 3), fd_close, args_get and proc_exit.
"""

from collections.abc import Sequence

from hekla.lang.link.assemble import Making, assemble_here, parse
from hekla.lang.link.errors import AssembleError
from hekla.lang.link.soft import SOFT_NAMES, soft_text
from hekla.lang.link.support import support_text
from hekla.lang.link.wasm_link import link_wasm
from hekla.lang.link.wasm_read import read_wasm
from hekla.lang.targets.seam import Target

ARENA_BYTES = 1 << 18
# Code generation makes calls to these after every pass has run, so none may be dropped before.
_LIBRARY = ("memcpy", "memmove", "memset", "memcmp", "bcmp", "fmaf")

_SYSTEM = """
declare i32 @hekla_wasi_write(i32, ptr, i32, ptr) #0
declare void @hekla_wasi_exit(i32) #1

define i32 @hekla_write(i32 %file, ptr %from, i32 %count) {
  %parts = alloca [3 x i32], align 4
  %size = getelementptr i8, ptr %parts, i32 4
  %done = getelementptr i8, ptr %parts, i32 8
  store ptr %from, ptr %parts
  store i32 %count, ptr %size
  store i32 0, ptr %done
  %error = call i32 @hekla_wasi_write(i32 %file, ptr %parts, i32 1, ptr %done)
  %written = load i32, ptr %done
  %bad = icmp ne i32 %error, 0
  %result = select i1 %bad, i32 -1, i32 %written
  ret i32 %result
}

define void @hekla_exit(i32 %status) {
  call void @hekla_wasi_exit(i32 %status)
  unreachable
}

define i32 @hekla_read(i32 %file, ptr %to, i32 %count) {
  %parts = alloca [3 x i32], align 4
  %size = getelementptr i8, ptr %parts, i32 4
  %done = getelementptr i8, ptr %parts, i32 8
  store ptr %to, ptr %parts
  store i32 %count, ptr %size
  store i32 0, ptr %done
  %error = call i32 @hekla_wasi_read(i32 %file, ptr %parts, i32 1, ptr %done)
  %moved = load i32, ptr %done
  %bad = icmp ne i32 %error, 0
  %result = select i1 %bad, i32 -1, i32 %moved
  ret i32 %result
}

define i32 @hekla_open(ptr %path, i32 %count, i32 %writing) {
  %file = alloca i32, align 4
  store i32 -1, ptr %file
  %writes = icmp ne i32 %writing, 0
  %flags = select i1 %writes, i32 9, i32 0
  %rights = select i1 %writes, i64 64, i64 2
  %error = call i32 @hekla_wasi_open(i32 3, i32 1, ptr %path, i32 %count, i32 %flags, i64 %rights, i64 0, i32 0,
                                     ptr %file)
  %made = load i32, ptr %file
  %bad = icmp ne i32 %error, 0
  %result = select i1 %bad, i32 -1, i32 %made
  ret i32 %result
}

define void @hekla_close(i32 %file) {
  %error = call i32 @hekla_wasi_close(i32 %file)
  ret void
}

@hekla_line = internal global [LINE x i8] zeroinitializer

define { ptr, i64 } @hekla_arguments(ptr %stack) {
entry:
  %count = alloca i32, align 4
  %size = alloca i32, align 4
  %places = alloca [WORDS x ptr], align 4
  store i32 0, ptr %count
  %bad = call i32 @hekla_wasi_sizes(ptr %count, ptr %size)
  %n = load i32, ptr %count
  %bytes = load i32, ptr %size
  %few = icmp ult i32 %n, WORDS
  %fits = icmp ule i32 %bytes, LINE
  %some = icmp ugt i32 %n, 1
  %sane = and i1 %few, %fits
  %good = and i1 %sane, %some
  br i1 %good, label %get, label %none
get:
  %error = call i32 @hekla_wasi_arguments(ptr %places, ptr @hekla_line)
  %second.at = getelementptr i8, ptr %places, i32 4
  %second = load ptr, ptr %second.at
  %from = ptrtoint ptr %second to i32
  %base = ptrtoint ptr @hekla_line to i32
  %skipped = sub i32 %from, %base
  %length = sub i32 %bytes, %skipped
  %wide = zext i32 %length to i64
  %one = insertvalue { ptr, i64 } poison, ptr %second, 0
  %both = insertvalue { ptr, i64 } %one, i64 %wide, 1
  ret { ptr, i64 } %both
none:
  %empty = insertvalue { ptr, i64 } poison, ptr @hekla_line, 0
  %nothing = insertvalue { ptr, i64 } %empty, i64 0, 1
  ret { ptr, i64 } %nothing
}

declare i32 @hekla_wasi_read(i32, ptr, i32, ptr) #2
declare i32 @hekla_wasi_open(i32, i32, ptr, i32, i32, i64, i64, i32, ptr) #3
declare i32 @hekla_wasi_close(i32) #4
declare i32 @hekla_wasi_sizes(ptr, ptr) #5
declare i32 @hekla_wasi_arguments(ptr, ptr) #6
attributes #2 = { "wasm-import-module"="wasi_snapshot_preview1" "wasm-import-name"="fd_read" }
attributes #3 = { "wasm-import-module"="wasi_snapshot_preview1" "wasm-import-name"="path_open" }
attributes #4 = { "wasm-import-module"="wasi_snapshot_preview1" "wasm-import-name"="fd_close" }
attributes #5 = { "wasm-import-module"="wasi_snapshot_preview1" "wasm-import-name"="args_sizes_get" }
attributes #6 = { "wasm-import-module"="wasi_snapshot_preview1" "wasm-import-name"="args_get" }
attributes #0 = { "wasm-import-module"="wasi_snapshot_preview1" "wasm-import-name"="fd_write" }
attributes #1 = { "wasm-import-module"="wasi_snapshot_preview1" "wasm-import-name"="proc_exit" }
""".replace("LINE", "4096").replace("WORDS", "256")  # bytes and number of arguments; a program given more sees none

_START = """
declare i32 @ENTRY()
declare void @hekla_exit(i32)

define void @_start() {
  %status = call i32 @ENTRY()
  call void @hekla_exit(i32 %status)
  ret void
}
"""


def link_text(
    text: str, target: Target, names: Sequence[str], making: Making, *, command: bool
) -> tuple[bytes, tuple[tuple[str, int], ...], int, int]:
    """Return (module, sections, bytes of the module, bytes of memory it writes to)."""
    module = parse(text, target)
    parts = [support_text(target, ARENA_BYTES), soft_text(target), _SYSTEM]
    exports = list(names)
    if command:
        parts.append(_START.replace("ENTRY", names[0]))
        exports = ["_start", *names[1:]]
    for part in parts:
        try:
            module.link_in(parse(part, target))
        except RuntimeError as error:
            problem = f"the program defines what the linker provides: {str(error).strip()}"
            raise AssembleError(problem, where=target.name) from error
    code = assemble_here(str(module), target, making, (*exports, *_LIBRARY, *SOFT_NAMES))
    content, sections, memory = link_wasm(read_wasm(code, "the program"), exports)
    return content, sections, len(content), memory
