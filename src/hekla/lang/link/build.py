"""LLVM text in, product out: what `hekla build` calls.

family            shared   executable          object   flat   image
x86-64            .so      static ELF          .o       yes    -
aarch64, riscv64  .so      static ELF          .o       yes    -
thumb             -        ELF for a debugger  .o       -      flash contents
wasm32            module   WASI command        .o       -      -
bpf               -        -                   .o       instructions   -
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hekla.lang.link import bpf, wasm
from hekla.lang.link.architectures import ARCHITECTURES
from hekla.lang.link.assemble import Making, assemble
from hekla.lang.link.elf_read import read_object
from hekla.lang.link.errors import UnsupportedProductError
from hekla.lang.link.executable import executable
from hekla.lang.link.flat import flat
from hekla.lang.link.image import image
from hekla.lang.link.objects import NOBITS, ObjectFile
from hekla.lang.link.shared import LIBC_IMPORTS, shared
from hekla.lang.link.soft import soft_text
from hekla.lang.link.start_check import BEGIN, load_check, start_check
from hekla.lang.link.start_linux import start_aarch64, start_riscv
from hekla.lang.link.start_thumb import start_thumb
from hekla.lang.link.start_x86 import CHECK, check_x86, start_x86
from hekla.lang.link.support import support_text
from hekla.lang.targets import x86
from hekla.lang.targets.seam import Target

Kind = Literal["shared", "executable", "object", "flat", "image"]
KINDS: dict[str, tuple[str, ...]] = {
    "x86-64": ("shared", "executable", "object", "flat"),
    "aarch64": ("shared", "executable", "object", "flat"),
    "riscv64": ("shared", "executable", "object", "flat"),
    "thumb": ("executable", "object", "image"),
    "wasm32": ("shared", "executable", "object"),
    "bpf": ("object", "flat"),
}
ARENA_BYTES, SMALL_ARENA_BYTES = 1 << 26, 1 << 16  # of zeros: pages that are never touched cost nothing


@dataclass(frozen=True, slots=True)
class BuildResult:
    """A product. `sections` are (name, bytes); `flash_bytes` is what must be stored, `ram_bytes` what is written to.

    For an image `ram_bytes` includes the stack; for the others the system provides it.
    """

    content: bytes
    sections: tuple[tuple[str, int], ...]
    flash_bytes: int
    ram_bytes: int


def build(
    llvm_text: str,
    *,
    entry: str,
    target: Target,
    kind: Kind,
    output: Path | None = None,
    exports: Sequence[str] = (),
    making: Making | None = None,
) -> BuildResult:
    """Return the product of an LLVM module, and write it to `output` where given.

    `entry` is called first (executable, image: `i32 entry()`, its result is the exit status), or lies at byte 0 (flat),
    or is exported with `exports` (shared, object). Text for executables may call hekla_write(i32, ptr, word),
    hekla_exit(i32), hekla_print_i64(i64) and, in images, hekla_write0(ptr).
    Errors: those of errors.py; OSError from writing.
    """
    if kind not in KINDS[target.family]:
        known = ", ".join(KINDS[target.family])
        raise UnsupportedProductError(f"{target.name} has no product {kind!r}", where="--kind", cure=f"it has {known}")
    making = making or Making()
    names = (entry, *(e for e in exports if e != entry))
    if kind == "object":
        made = _object(llvm_text, target, names, making)
    elif target.family == "wasm32":
        made = wasm.link_text(llvm_text, target, names, making, command=kind == "executable")
    elif target.family == "bpf":
        made = bpf.instructions(assemble(llvm_text, target, making, names), entry)
    else:
        made = _link(llvm_text, target, kind, names, making)
    content, sections, flash, ram = made
    if output is not None:
        output.write_bytes(content)
        if kind == "executable":
            output.chmod(0o755)
    return BuildResult(content, sections, flash, ram)


_Made = tuple[bytes, tuple[tuple[str, int], ...], int, int]


def _object(text: str, target: Target, names: Sequence[str], making: Making) -> _Made:
    """An object as LLVM made it, position-independent where there is a choice."""
    movable = Making(making.level, movable=target.family != "thumb", vectorise=making.vectorise)
    code = assemble(text, target, movable, names)
    if target.family == "wasm32":
        return code, (("object", len(code)),), len(code), 0
    sections = read_object(code, target.name).sections
    return code, tuple((s.name, s.size) for s in sections), *_memory([(s.flags, s.kind, s.size) for s in sections])


def _link(text: str, target: Target, kind: str, names: Sequence[str], making: Making) -> _Made:
    architecture = ARCHITECTURES[target.family]
    movable = Making(making.level, movable=kind in ("shared", "flat"), vectorise=making.vectorise)
    objects = [read_object(assemble(text, target, movable, names), "the program")]
    small = target.memory is not None or kind == "flat"
    is_program = kind in ("executable", "image")
    support = support_text(target, SMALL_ARENA_BYTES if small else ARENA_BYTES, is_program=is_program)
    objects.append(read_object(assemble(support, target, Making(1, movable.movable, False)), "support"))
    soft = soft_text(target)
    objects.append(read_object(assemble(soft, target, Making(1, movable.movable, False)), "operations in software"))
    entry = names[0]
    if kind == "shared":
        # a buffer may be freed by who did not make it: all share the process's allocator
        objects[1].symbols = [s for s in objects[1].symbols if s.name not in LIBC_IMPORTS]
        level = x86.level_bit(target.required) if target.family == "x86-64" else 0
        check = check_x86(target) if target.family == "x86-64" else load_check(target)
        content, outputs = shared(
            [*objects, *([check] if check else [])],
            architecture,
            names,
            name=f"{entry}.so",
            imports=LIBC_IMPORTS,
            level=level,
            first=CHECK if check else "",
        )
    elif kind == "flat":
        content, outputs = flat(objects, architecture, entry)
    elif target.memory is not None:
        objects += [start_check(entry, target), start_object(target, entry)]
        content, outputs, flash = image(objects, architecture, target.memory, elf=kind == "executable")
        ram = _memory([(o.flags, NOBITS, o.size) for o in outputs])[1]
        return content, tuple((o.name, o.size) for o in outputs), flash, ram + target.memory.stack_bytes
    else:
        if target.family != "x86-64":
            objects.append(start_check(entry, target))
        content, outputs = executable([*objects, start_object(target, entry)], architecture, "_start")
    flash, ram = _memory([(o.flags, NOBITS if o.is_zeros else 1, o.size) for o in outputs])
    return content, tuple((o.name, o.size) for o in outputs), flash, ram


def start_object(target: Target, entry: str) -> ObjectFile:
    """Return the start code of a program."""
    match target.family:
        case "x86-64":
            return start_x86(entry, target)
        case "aarch64":
            return start_aarch64(BEGIN)
        case "riscv64":
            return start_riscv(BEGIN)
        case _:
            return start_thumb(BEGIN)


def _memory(sections: Sequence[tuple[int, int, int]]) -> tuple[int, int]:
    """Return (bytes stored, bytes written to) of (flags, kind, size) rows."""
    stored = sum(size for _, kind, size in sections if kind != NOBITS)
    return stored, sum(size for flags, _, size in sections if flags & 1)
