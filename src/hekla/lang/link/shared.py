"""A shared object that `dlopen` and ctypes load (System V ABI, "Dynamic Linking").

.dynsym   symbols: entry 0 empty, then exports and imports; 24 bytes each (elf_read.py)
.dynstr   their names, the object's own name, the libraries needed
.hash     u32 buckets, u32 symbols, buckets (first symbol of each), chains (next symbol with the same bucket)
.rela.dyn what the loader writes: 8 place, 8 symbol << 32 | kind, 8 addend; the relative ones first
.dynamic  pairs of 8 bytes, tag and value: see _dynamic
.note.gnu.property   x86 only: the level of processor without which the loader refuses (x86 ABI, "Program Property")
          4 name size (4), 4 size (16), 4 type (5), "GNU\\0", 4 c0008002 (ISA_1_NEEDED), 4 data size (4),
          4 bits (1 baseline, 2 v2, 4 v3, 8 v4), 4 padding
"""

import struct
from collections.abc import Collection, Sequence

from hekla.lang.link.architecture import Architecture
from hekla.lang.link.elf_write import (
    DYNAMIC,
    LOAD,
    NOTE,
    PROPERTY,
    SHARED,
    STACK,
    SectionInfo,
    Segment,
    elf_file,
    load_segments,
)
from hekla.lang.link.layout import Output, gather
from hekla.lang.link.objects import ALLOC, WRITE, ObjectFile, Section, Symbol
from hekla.lang.link.program import Base, DynamicRelocation, Program, prepare

LIBC = "libc.so.6"
LIBC_IMPORTS = frozenset({
    "aligned_alloc", "free", "memcpy", "memmove", "memset", "memcmp", "bcmp", "write", "read", "open", "close",
    "syscall", "pthread_create", "pthread_detach", "getenv", "sched_getaffinity",
    "getauxval", "_exit",
})  # fmt: skip
_NEEDED, _HASH, _STRTAB, _SYMTAB, _RELA, _RELASZ, _RELAENT, _STRSZ, _SYMENT, _SONAME = 1, 4, 5, 6, 7, 8, 9, 10, 11, 14
_INIT = 12
_FLAGS, _BIND_NOW, _RELACOUNT = 30, 8, 0x6FFFFFF9
_FUNCTION, _OBJECT = 2, 1
_READ, _READ_WRITE = 4, 6


def sysv_hash(name: str) -> int:
    """Return the ABI's hash of a symbol name."""
    value = 0
    for byte in name.encode():
        value = (value << 4) + byte
        high = value & 0xF0000000
        value = (value ^ (high >> 24)) & ~high & 0xFFFFFFFF
    return value


class _Tables:
    """The linker's own sections; sizes are known before addresses, contents after."""

    def __init__(self, program: Program, exports: Sequence[Symbol], name: str, level: int) -> None:
        imports = list(program.names.imported.values())
        self.program, self.symbols = program, [*exports, *imports]
        self.strings = bytearray(1)
        self.name_at = [self._text(s.name) for s in self.symbols]
        self.soname = self._text(name)
        self.needed = [self._text(LIBC)] if imports else []
        count = len(self.symbols) + 1
        self.buckets = max(1, count // 2)
        relocations = program.dynamic_count()
        self.dynsym = _section(".dynsym", 24 * count)
        self.dynstr = _section(".dynstr", len(self.strings), align=1)
        self.hash = _section(".hash", 4 * (2 + self.buckets + count))
        self.rela = _section(".rela.dyn", 24 * relocations)
        self.note = _section(".note.gnu.property", 32 if level else 0)
        if level:
            self.note.data[:] = struct.pack("<III4sIIII", 4, 16, 5, b"GNU\0", 0xC0008002, 4, level, 0)
        self.first: Symbol | None = None  # what the loader calls
        self.dynamic = _section(".dynamic", 16 * (len(self._dynamic(0)) + 1), WRITE)

    def _text(self, text: str) -> int:
        at = len(self.strings)
        self.strings += text.encode() + b"\0"
        return at

    def read_only(self) -> list[Section]:
        return [s for s in (self.note, self.hash, self.dynsym, self.dynstr, self.rela) if s.size]

    def fill(self, left: list[DynamicRelocation], outputs: list[Output]) -> None:
        """Write the tables, addresses being known."""
        for number, symbol in enumerate(self.symbols, 1):
            kind = _FUNCTION if symbol.is_function or not symbol.is_defined else _OBJECT
            index = next((i for i, o in enumerate(outputs, 1) if symbol.section in o.inputs), 0)
            row = (self.name_at[number - 1], 1 << 4 | kind, 0, index, symbol.address, symbol.size)
            struct.pack_into("<IBBHQQ", self.dynsym.data, 24 * number, *row)
        self.dynstr.data[:] = self.strings
        self._fill_hash()
        left.sort(key=lambda r: (r.symbol is not None, r.place))
        for number, item in enumerate(left):
            index = 1 + self.symbols.index(item.symbol) if item.symbol is not None else 0
            row3 = (item.place, index << 32 | item.kind, item.addend)
            struct.pack_into("<QQq", self.rela.data, 24 * number, *row3)
        relative = sum(r.symbol is None for r in left)
        for number, pair in enumerate(self._dynamic(relative)):
            struct.pack_into("<QQ", self.dynamic.data, 16 * number, *pair)

    def _fill_hash(self) -> None:
        count = len(self.symbols) + 1
        heads, chains = [0] * self.buckets, [0] * count
        for number, symbol in enumerate(self.symbols, 1):
            bucket = sysv_hash(symbol.name) % self.buckets
            heads[bucket], chains[number] = number, heads[bucket]
        self.hash.data[:] = struct.pack(f"<{2 + len(heads) + count}I", self.buckets, count, *heads, *chains)

    def _dynamic(self, relative: int) -> list[tuple[int, int]]:
        pairs = [(_NEEDED, at) for at in self.needed]
        pairs += [(_SONAME, self.soname), (_HASH, self.hash.address), (_STRTAB, self.dynstr.address)]
        pairs += [(_SYMTAB, self.dynsym.address), (_STRSZ, len(self.strings)), (_SYMENT, 24)]
        if self.rela.size:
            pairs += [(_RELA, self.rela.address), (_RELASZ, self.rela.size), (_RELAENT, 24), (_RELACOUNT, relative)]
        if self.first is not None:
            pairs.append((_INIT, self.first.address))
        return [*pairs, (_FLAGS, _BIND_NOW)]


def _section(name: str, size: int, flags: int = 0, align: int = 8) -> Section:
    return Section(name, bytearray(size), size, align, ALLOC | flags)


def shared(
    objects: Sequence[ObjectFile],
    architecture: Architecture,
    exports: Sequence[str],
    *,
    name: str,
    imports: Collection[str] = LIBC_IMPORTS,
    level: int = 0,
    first: str = "",
) -> tuple[bytes, list[Output]]:
    """Return the file and what is in it; `level` is the x86 ABI's bit of the processor it needs, 0 for none;
    `first` a function that the loader calls.
    """
    program = prepare(objects, architecture, Base.LOADED, [*exports, *([first] if first else [])], {}, imports)
    tables = _Tables(program, [program.names.find(e, "the product") for e in exports], name, level)
    tables.first = program.names.find(first, "the product") if first else None
    tables.dynamic = _section(".dynamic", 16 * (len(tables._dynamic(0)) + 1), WRITE)
    own = [Output(s.name, [s]) for s in tables.read_only()]
    found = {o.name: o for o in gather(program.sections)}
    dynamic = Output(".dynamic", [tables.dynamic])
    rest = [found[n] for n in (".rodata", ".text") if n in found]
    outputs = [*own, *rest, dynamic, *(found[n] for n in (".data", ".bss") if n in found)]
    loads = 2 + (".text" in found)
    notes = 2 if level else 0
    segments = load_segments(architecture, outputs, 0, loads + 2 + notes)
    assert len(segments) == loads
    assert all(s.kind == LOAD for s in segments)
    tables.fill(program.relocate(), outputs)
    segments.append(_over(DYNAMIC, _READ_WRITE, dynamic))
    if level:
        segments += [_over(NOTE, _READ, own[0]), _over(PROPERTY, _READ, own[0])]
    segments.append(Segment(STACK, _READ_WRITE, 0, 0, 0, 0, 0, 16))
    return elf_file(architecture, SHARED, 0, segments, outputs, _INFOS), outputs


def _over(kind: int, flags: int, output: Output) -> Segment:
    return Segment(kind, flags, output.offset, output.address, output.address, output.size, output.size, output.align)


_INFOS = {
    ".dynsym": SectionInfo(11, ".dynstr", 1, 24),
    ".dynstr": SectionInfo(3),
    ".hash": SectionInfo(5, ".dynsym", 0, 4),
    ".rela.dyn": SectionInfo(4, ".dynsym", 0, 24),
    ".dynamic": SectionInfo(6, ".dynstr", 0, 16),
    ".note.gnu.property": SectionInfo(7),
}
