"""Read a relocatable ELF file, little-endian, 32 or 64 bits (System V ABI, "Object Files").

Header                     Section header             Symbol                     Relocation
 32  64 size                32  64 size                32  64 size                32  64 size
  0   0  4  7f 45 4c 46      0   0  4   name            0   0  4   name            0   0  4 8 offset
  4   4  1  1: 32, 2: 64     4   4  4   kind            4   8  4 8 value           4   8  4 8 symbol << 8 | kind,
  5   5  1  1: little        8   8  4 8 flags           8  16  4 8 size                          64: symbol << 32 | kind
 16  16  2  1: relocatable  12  16  4 8 address        12   4  1   binding << 4 | type  8  16  4 8 addend (RELA only)
 18  18  2  machine         16  24  4 8 offset         13   5  1   visibility
 32  40 4 8 section table   20  32  4 8 size           14   6  2   section, 0 undefined, fff1 absolute, fff2 common
 46  58  2  its entry size  24  40  4   link
 48  60  2  its entries     28  44  4   info
 50  62  2  names' section  32  48  4 8 align
                            36  56  4 8 entry size

Whatever the bytes, only ObjectFormatError leaves this file.
"""

import struct
from dataclasses import dataclass

from hekla.lang.link.errors import ObjectFormatError
from hekla.lang.link.objects import (
    ALLOC,
    EXECUTE,
    LOCAL,
    NOBITS,
    NULL,
    REL,
    RELA,
    SYMTAB,
    WEAK,
    WRITE,
    ObjectFile,
    Relocation,
    Section,
    Symbol,
)

MAX_ALIGN, MAX_ZEROS = 1 << 16, 1 << 40
_ABSOLUTE, _COMMON = 0xFFF1, 0xFFF2
_FUNCTION = 2


@dataclass(frozen=True, slots=True)
class _Header:
    name: int
    kind: int
    flags: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    entry: int


class _Reader:
    def __init__(self, data: bytes, where: str) -> None:
        self.data, self.where = data, where
        if data[:4] != b"\x7fELF":
            self.wrong("it does not start with 7f 45 4c 46")
        if len(data) < 52 or data[4] not in (1, 2) or data[5] != 1:
            self.wrong("it is not a little-endian ELF file of 32 or 64 bits")
        self.wide = data[4] == 2

    def wrong(self, problem: str) -> None:
        raise ObjectFormatError(self.where, problem)

    def fields(self, layout: str, offset: int) -> tuple[int, ...]:
        size = struct.calcsize(layout)
        if offset < 0 or offset + size > len(self.data):
            self.wrong(f"it ends before byte {offset + size}")
        return struct.unpack_from(layout, self.data, offset)

    def part(self, offset: int, size: int) -> bytes:
        if offset + size > len(self.data):
            self.wrong(f"it ends before byte {offset + size}")
        return self.data[offset : offset + size]

    def text(self, table: bytes, offset: int) -> str:
        end = table.find(b"\0", offset)
        if offset >= len(table) or end < 0:
            self.wrong(f"a name at {offset} lies outside its table")
        return table[offset:end].decode("utf-8", "backslashreplace")

    # --- the four tables ---------------------------------------------------------------------------------

    def headers(self) -> tuple[int, list[_Header], int]:
        """Return (machine, section headers, which section holds their names)."""
        kind, machine = self.fields("<HH", 16)
        if kind != 1:
            self.wrong(f"it is of type {kind}, not relocatable (1)")
        (start,) = self.fields("<Q", 40) if self.wide else self.fields("<I", 32)
        entry, count, names = self.fields("<HHH", 58 if self.wide else 46)
        layout = "<IIQQQQIIQQ" if self.wide else "<IIIIIIIIII"
        if entry != struct.calcsize(layout):
            self.wrong(f"its section headers have {entry} bytes")
        rows = [self.fields(layout, start + i * entry) for i in range(count)]
        return machine, [_Header(*row[:3], *row[4:]) for row in rows], names

    def sections(self, headers: list[_Header], names: int) -> list[Section]:
        if names >= len(headers):
            self.wrong("its section names are in no section")
        table = self.part(headers[names].offset, headers[names].size)
        made = []
        for header in headers:
            if header.align > MAX_ALIGN or header.align & (header.align - 1):
                self.wrong(f"a section asks for alignment {header.align}")
            if header.size > MAX_ZEROS:
                self.wrong(f"a section has {header.size} bytes")
            if header.kind == NOBITS and header.flags & (ALLOC | WRITE | EXECUTE) not in (0, ALLOC | WRITE):
                self.wrong("a section of zeros is not plain data")
            data = b"" if header.kind in (NOBITS, NULL) else self.part(header.offset, header.size)
            name = self.text(table, header.name)
            made.append(Section(name, bytearray(data), header.size, max(1, header.align), header.flags, header.kind))
            made[-1].owner = self.where
        return made

    def symbols(self, header: _Header, headers: list[_Header], sections: list[Section]) -> list[Symbol]:
        if header.link >= len(headers):
            self.wrong("its symbol names are in no section")
        strings = self.part(headers[header.link].offset, headers[header.link].size)
        layout = "<IBBHQQ" if self.wide else "<IIIBBH"
        step = struct.calcsize(layout)
        made = []
        for position in range(header.size // step):
            row = self.fields(layout, header.offset + position * step)
            name, info, index, value, size = (
                (row[0], row[1], row[3], row[4], row[5]) if self.wide else (row[0], row[3], row[5], row[1], row[2])
            )
            if index == _COMMON or (index >= len(sections) and index != _ABSOLUTE) or info >> 4 > WEAK:
                self.wrong(f"symbol {position} has section {index:#x}, binding {info >> 4}")
            section = sections[index] if index not in (0, _ABSOLUTE) else None
            text = self.text(strings, name) or (section.name if section else "")
            symbol = Symbol(text, section, value, info >> 4, size, index == _ABSOLUTE, info & 15 == _FUNCTION)
            if section is not None and value > section.size + 1:  # one more: Thumb's low bit
                self.wrong(f"symbol {text!r} lies outside {section.name}")
            made.append(symbol)
        return made

    def relocations(self, header: _Header, sections: list[Section], symbols: list[Symbol]) -> None:
        if not 0 < header.info < len(sections):
            self.wrong(f"relocations are for section {header.info}")
        section = sections[header.info]
        layout = ("<QQq" if self.wide else "<IIi") if header.kind == RELA else ("<QQ" if self.wide else "<II")
        step = struct.calcsize(layout)
        for position in range(header.size // step):
            offset, info, *rest = self.fields(layout, header.offset + position * step)
            number, kind = (info >> 32, info & 0xFFFFFFFF) if self.wide else (info >> 8, info & 0xFF)
            if number >= len(symbols) or offset > section.size:
                self.wrong(f"relocation {position} of {section.name} is for symbol {number} at {offset}")
            section.relocations.append(Relocation(offset, kind, symbols[number], rest[0] if rest else None))


def read_object(data: bytes, where: str) -> ObjectFile:
    """Return what an object file holds. Errors: ObjectFormatError naming `where`."""
    reader = _Reader(data, where)
    machine, headers, names = reader.headers()
    sections = reader.sections(headers, names)
    tables = [h for h in headers if h.kind == SYMTAB]
    if len(tables) != 1:
        reader.wrong(f"it has {len(tables)} symbol tables")
    symbols = reader.symbols(tables[0], headers, sections)
    for header in headers:
        if header.kind in (REL, RELA):
            reader.relocations(header, sections, symbols)
    kept = [s for s in sections if s.flags & ALLOC]
    named = [s for s in symbols if s.binding != LOCAL and s.name]
    return ObjectFile(where, machine, 64 if reader.wide else 32, kept, named)
