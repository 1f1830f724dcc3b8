"""From LLVM text to a WebAssembly module: the program and its support become one object, then one module.

A command (product `executable`) follows WASI preview 1: it exports `_start` and `memory`, and imports fd_write and
proc_exit where it prints and exits.
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

attributes #0 = { "wasm-import-module"="wasi_snapshot_preview1" "wasm-import-name"="fd_write" }
attributes #1 = { "wasm-import-module"="wasi_snapshot_preview1" "wasm-import-name"="proc_exit" }
"""

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
