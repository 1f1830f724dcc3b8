"""A linker for one ELF relocatable object: a static executable for 64-bit Linux, without any tool of the system.

Read-only and writable sections are laid out in two segments; relocations of x86-64, AArch64 and RISC-V that LLVM's
small code model emits are applied. Anything else is refused by number.

    offset  size  ELF64 file header                 offset  size  program header (one for each segment)
    0       16    identification                    0       4     type, 1 is "load"
    16      2     type, 2 is "executable"           4       4     flags, 1 run, 2 write, 4 read
    18      2     machine                           8       8     offset in the file
    24      8     entry address                     16      16    address, twice
    32      8     offset of the program headers     32      16    size in the file, size in memory
    54      4     size and number of them           48      8     alignment

Source: System V ABI, chapter 4, and its supplements for x86-64, AArch64 (IHI 0056) and RISC-V.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hekla.base.errors import UnsupportedError

BASE, PAGE = 0x400000, 0x10000
WRITE, ALLOCATE = 1, 2
X86_64, AARCH64, RISCV = 62, 183, 243


@dataclass(slots=True)
class Section:
    """A section of the object that takes memory, and where it will lie."""

    name: str
    kind: int
    flags: int
    content: bytearray
    align: int
    address: int = 0


@dataclass(frozen=True, slots=True)
class Relocation:
    """A place to mend: `content[offset]` of a section shall refer to `symbol + addend`."""

    section: int
    offset: int
    kind: int
    symbol: int
    addend: int


@dataclass(frozen=True, slots=True)
class Symbol:
    """A name and its place: section 0 is "defined elsewhere"."""

    name: str
    section: int
    value: int


class Object:
    """A parsed ELF64 little-endian relocatable object."""

    def __init__(self, data: bytes) -> None:
        assert data[:6] == b"\x7fELF\x02\x01", "LLVM made this object"
        self.machine = struct.unpack_from("<H", data, 18)[0]
        self.flags = struct.unpack_from("<I", data, 48)[0]
        table, size, count, names_at = *struct.unpack_from("<Q", data, 40), *struct.unpack_from("<HHH", data, 58)
        headers = [struct.unpack_from("<IIQQQQIIQQ", data, table + i * size) for i in range(count)]
        texts = headers[names_at][4]
        self.sections: dict[int, Section] = {}
        self.symbols: list[Symbol] = []
        self.relocations: list[Relocation] = []
        for number, (name, kind, flags, _, offset, length, link, info, align, _entry) in enumerate(headers):
            if flags & ALLOCATE:
                content = bytearray(length) if kind == 8 else bytearray(data[offset : offset + length])
                self.sections[number] = Section(_text(data, texts + name), kind, flags, content, max(1, align))
            elif kind == 2:
                self._read_symbols(data, offset, length, headers[link][4])
            elif kind == 4:
                for at in range(offset, offset + length, 24):
                    place, what, addend = struct.unpack_from("<QQq", data, at)
                    self.relocations.append(Relocation(info, place, what & 0xFFFFFFFF, what >> 32, addend))
        self.relocations = [r for r in self.relocations if r.section in self.sections]

    def _read_symbols(self, data: bytes, offset: int, length: int, names: int) -> None:
        for at in range(offset, offset + length, 24):
            name, _, section, value, _size = struct.unpack_from("<IHHQQ", data, at)
            self.symbols.append(Symbol(_text(data, names + name), section, value))


def _text(data: bytes, at: int) -> str:
    return data[at : data.index(0, at)].decode()


def link(data: bytes, entry: str) -> bytes:
    """Return a static executable that starts at symbol `entry`.

    Errors: UnsupportedError for a symbol that is nowhere and a relocation that is not known.
    """
    found = Object(data)
    read_only = [s for s in found.sections.values() if not s.flags & WRITE]
    writable = [s for s in found.sections.values() if s.flags & WRITE]
    segments = 2 if writable else 1
    end = _place(read_only, BASE + 64 + 56 * segments)
    data_start = end + PAGE  # the next page in memory, the next byte in the file
    data_end = _place(writable, data_start)
    for relocation in found.relocations:
        _apply(found, relocation)
    file = bytearray((data_end - PAGE if writable else end) - BASE)
    for section in (*read_only, *writable):
        at = section.address - BASE - (PAGE if section.flags & WRITE else 0)
        file[at : at + len(section.content)] = section.content
    start = next((s for s in found.symbols if s.name == entry), None)
    assert start is not None, entry
    identification = b"\x7fELF\x02\x01\x01" + bytes(9)
    file[:64] = identification + struct.pack(
        "<HHIQQQIHHHHHH", 2, found.machine, 1, _address(found, start), 64, 0, found.flags, 64, 56, segments, 0, 0, 0
    )
    first = end - BASE
    file[64:120] = struct.pack("<IIQQQQQQ", 1, 5, 0, BASE, BASE, first, first, PAGE)
    if writable:
        rest = data_end - data_start
        file[120:176] = struct.pack("<IIQQQQQQ", 1, 6, first, data_start, data_start, rest, rest, PAGE)
    return bytes(file)


def _place(sections: list[Section], at: int) -> int:
    for section in sections:
        section.address = -(-at // section.align) * section.align
        at = section.address + len(section.content)
    return at


def _address(found: Object, symbol: Symbol) -> int:
    if symbol.section == 0xFFF1:
        return symbol.value
    if symbol.section not in found.sections:
        raise UnsupportedError(f"the symbol {symbol.name!r} is nowhere", cure="a static program has no C library")
    return found.sections[symbol.section].address + symbol.value


def _apply(found: Object, relocation: Relocation) -> None:
    table = {X86_64: _X86_64, AARCH64: _AARCH64, RISCV: _RISCV}[found.machine]
    section = found.sections[relocation.section]
    mend = table.get(relocation.kind)
    if mend is None:
        raise UnsupportedError(f"relocation {relocation.kind} of machine {found.machine} in {section.name}")
    if mend is _nothing:
        return
    place = section.address + relocation.offset
    symbol = found.symbols[relocation.symbol]
    target = _address(found, symbol) + relocation.addend
    if found.machine == RISCV and relocation.kind in (24, 25):
        target = _high_part(found, _address(found, symbol))
        place = 0
    mend(section.content, relocation.offset, target, place)


def _high_part(found: Object, at: int) -> int:
    """Return the distance that the AUIPC at an address was given: its LO12 partner names the instruction."""
    for relocation in found.relocations:
        section = found.sections[relocation.section]
        if relocation.kind in (23, 20) and section.address + relocation.offset == at:
            return _address(found, found.symbols[relocation.symbol]) + relocation.addend - at
    raise UnsupportedError("a low part without its high part")


# --- how places are mended: (content, offset, target, place) -------------------------------------------------

Mend = Callable[[bytearray, int, int, int], None]


def _nothing(content: bytearray, offset: int, target: int, place: int) -> None:
    """A hint for linkers that shorten code."""


def _number(size: int, *, relative: bool) -> Mend:
    def mend(content: bytearray, offset: int, target: int, place: int) -> None:
        value = target - place if relative else target
        content[offset : offset + size] = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")

    return mend


def _sum(size: int, sign: int) -> Mend:
    def mend(content: bytearray, offset: int, target: int, place: int) -> None:
        value = int.from_bytes(content[offset : offset + size], "little") + sign * target
        content[offset : offset + size] = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")

    return mend


def _word(content: bytearray, offset: int, clear: int, put: int) -> None:
    word = struct.unpack_from("<I", content, offset)[0]
    struct.pack_into("<I", content, offset, (word & ~clear & 0xFFFFFFFF) | (put & clear))


def _aarch64_branch(content: bytearray, offset: int, target: int, place: int) -> None:
    _word(content, offset, 0x03FFFFFF, (target - place) >> 2)


def _aarch64_page(content: bytearray, offset: int, target: int, place: int) -> None:
    pages = (target >> 12) - (place >> 12)
    _word(content, offset, 0x60FFFFE0, ((pages & 3) << 29) | (((pages >> 2) & 0x7FFFF) << 5))


def _aarch64_low(scale: int) -> Mend:
    def mend(content: bytearray, offset: int, target: int, place: int) -> None:
        _word(content, offset, 0x003FFC00, ((target & 0xFFF) >> scale) << 10)

    return mend


def _aarch64_conditional(content: bytearray, offset: int, target: int, place: int) -> None:
    _word(content, offset, 0x00FFFFE0, ((target - place) >> 2) << 5)


def _riscv_call(content: bytearray, offset: int, target: int, place: int) -> None:
    distance = target - place
    _word(content, offset, 0xFFFFF000, distance + 0x800)
    _word(content, offset + 4, 0xFFF00000, (distance & 0xFFF) << 20)


def _riscv_high(content: bytearray, offset: int, target: int, place: int) -> None:
    _word(content, offset, 0xFFFFF000, target - place + 0x800)


def _riscv_low_load(content: bytearray, offset: int, target: int, place: int) -> None:
    _word(content, offset, 0xFFF00000, (target & 0xFFF) << 20)


def _riscv_low_store(content: bytearray, offset: int, target: int, place: int) -> None:
    low = target & 0xFFF
    _word(content, offset, 0xFE000F80, ((low >> 5) << 25) | ((low & 31) << 7))


def _riscv_branch(content: bytearray, offset: int, target: int, place: int) -> None:
    d = target - place
    bits = ((d >> 12) & 1) << 31 | ((d >> 5) & 63) << 25 | ((d >> 1) & 15) << 8 | ((d >> 11) & 1) << 7
    _word(content, offset, 0xFE000F80, bits)


def _riscv_jump(content: bytearray, offset: int, target: int, place: int) -> None:
    d = target - place
    bits = ((d >> 20) & 1) << 31 | ((d >> 1) & 1023) << 21 | ((d >> 11) & 1) << 20 | ((d >> 12) & 255) << 12
    _word(content, offset, 0xFFFFF000, bits)


def _half(content: bytearray, offset: int, clear: int, put: int) -> None:
    half = struct.unpack_from("<H", content, offset)[0]
    struct.pack_into("<H", content, offset, (half & ~clear & 0xFFFF) | (put & clear))


def _riscv_short_branch(content: bytearray, offset: int, target: int, place: int) -> None:
    d = target - place
    bits = (d >> 8 & 1) << 12 | (d >> 3 & 3) << 10 | (d >> 6 & 3) << 5 | (d >> 1 & 3) << 3 | (d >> 5 & 1) << 2
    _half(content, offset, 0x1C7C, bits)


def _riscv_short_jump(content: bytearray, offset: int, target: int, place: int) -> None:
    d = target - place
    bits = (d >> 11 & 1) << 12 | (d >> 4 & 1) << 11 | (d >> 8 & 3) << 9 | (d >> 10 & 1) << 8
    bits |= (d >> 6 & 1) << 7 | (d >> 7 & 1) << 6 | (d >> 1 & 7) << 3 | (d >> 5 & 1) << 2
    _half(content, offset, 0x1FFC, bits)


_X86_64: Mapping[int, Mend] = {
    1: _number(8, relative=False), 2: _number(4, relative=True), 4: _number(4, relative=True),
    10: _number(4, relative=False), 11: _number(4, relative=False), 24: _number(8, relative=True),
}  # fmt: skip
_AARCH64: Mapping[int, Mend] = {
    257: _number(8, relative=False), 258: _number(4, relative=False), 260: _number(8, relative=True),
    261: _number(4, relative=True), 275: _aarch64_page, 276: _aarch64_page, 277: _aarch64_low(0),
    278: _aarch64_low(0), 280: _aarch64_conditional, 282: _aarch64_branch, 283: _aarch64_branch,
    284: _aarch64_low(1), 285: _aarch64_low(2), 286: _aarch64_low(3), 299: _aarch64_low(4),
}  # fmt: skip
_RISCV: Mapping[int, Mend] = {
    1: _number(4, relative=False), 2: _number(8, relative=False), 16: _riscv_branch, 17: _riscv_jump,
    18: _riscv_call, 19: _riscv_call, 23: _riscv_high, 24: _riscv_low_load, 25: _riscv_low_store,
    35: _sum(4, 1), 36: _sum(8, 1), 39: _sum(4, -1), 40: _sum(8, -1), 43: _nothing, 44: _riscv_short_branch,
    45: _riscv_short_jump, 51: _nothing, 57: _number(4, relative=True),
}  # fmt: skip
