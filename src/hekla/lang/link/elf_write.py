"""Write ELF files: header, segments, sections (System V ABI, "Object Files" and "Program Loading").

File header                     Program header               Section header: see elf_read.py
 32  64 size                     32  64 size
  0   0  16  7f ELF class data    0   0  4   type: 1 load, 2 dynamic, 4 note
 16  16  2   2 program, 3 shared  4   8  4 8 offset in the file
 18  18  2   machine              8  16  4 8 address
 20  20  4   1                   12  24  4 8 physical address (where a bare machine keeps it)
 24  24  4 8 entry               16  32  4 8 bytes in the file
 28  32  4 8 program headers     20  40  4 8 bytes in memory
 32  40  4 8 section headers     24   4  4   flags: 4 read, 2 write, 1 execute
 36  48  4   flags               28  48  4 8 align
 40  52  2   size of this header
 42  54  2 2 program headers: size, count
 46  58  2 2 2 section headers: size, count, which holds the names

The file keeps no page of padding: a segment's address is congruent to its offset, so one page of the file may be
mapped twice with different rights.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from hekla.lang.link.architecture import Architecture
from hekla.lang.link.layout import Output, align_up, place
from hekla.lang.link.objects import NOBITS, PROGBITS

EXECUTABLE, SHARED = 2, 3
LOAD, DYNAMIC, NOTE, STACK, PROPERTY = 1, 2, 4, 0x6474E551, 0x6474E553
READ_FLAG, WRITE_FLAG, EXECUTE_FLAG = 4, 2, 1


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the file and its place in memory."""

    kind: int
    flags: int
    offset: int
    address: int
    physical: int
    file_bytes: int
    memory_bytes: int
    align: int


@dataclass(frozen=True, slots=True)
class SectionInfo:
    """What a section header says beyond the output section itself; `link` names a section."""

    kind: int = PROGBITS
    link: str = ""
    info: int = 0
    entry: int = 0


def header_bytes(architecture: Architecture, segments: int) -> int:
    """Return how many bytes come before the first section."""
    return 64 + 56 * segments if architecture.bits == 64 else 52 + 32 * segments


def elf_file(
    architecture: Architecture,
    kind: int,
    entry: int,
    segments: Sequence[Segment],
    outputs: Sequence[Output],
    infos: dict[str, SectionInfo] | None = None,
) -> bytes:
    """Return the file; outputs have their offsets and addresses, and are relocated."""
    wide = architecture.bits == 64
    names = ["", *(o.name for o in outputs), ".shstrtab"]
    strings, name_at = b"", {}
    for name in names:
        name_at[name] = len(strings)
        strings += name.encode() + b"\0"
    end = max((o.offset + (0 if o.is_zeros else o.size) for o in outputs), default=0)
    strings_at = max(end, header_bytes(architecture, len(segments)))
    table_at = align_up(strings_at + len(strings), 8)
    file = bytearray(table_at)
    layout = "<HHIQQQIHHHHHH" if wide else "<HHIIIIIHHHHHH"
    head, program, section = (64, 56, 64) if wide else (52, 32, 40)
    numbers = (kind, architecture.machine, 1, entry, head if segments else 0, table_at, architecture.elf_flags)
    sizes = (head, program, len(segments), section, len(names), len(names) - 1)
    file[:16] = b"\x7fELF" + bytes([2 if wide else 1, 1, 1]) + bytes(9)
    file[16:head] = struct.pack(layout, *numbers, *sizes)
    for number, segment in enumerate(segments):
        start = head + number * program
        file[start : start + program] = _segment(segment, wide)
    for output in outputs:
        if not output.is_zeros:
            file[output.offset : output.offset + output.size] = output.content()
    file[strings_at : strings_at + len(strings)] = strings
    rows = [bytes(section)]
    for output in outputs:
        info = (infos or {}).get(output.name) or SectionInfo(NOBITS if output.is_zeros else PROGBITS)
        rows.append(_section(output, info, name_at[output.name], names, wide))
    layout = "<IIQQQQIIQQ" if wide else "<IIIIIIIIII"
    rows.append(struct.pack(layout, name_at[".shstrtab"], 3, 0, 0, strings_at, len(strings), 0, 0, 1, 0))
    return bytes(file) + b"".join(rows)


def _segment(segment: Segment, wide: bool) -> bytes:
    places = (segment.offset, segment.address, segment.physical, segment.file_bytes, segment.memory_bytes)
    if wide:
        return struct.pack("<IIQQQQQQ", segment.kind, segment.flags, *places, segment.align)
    return struct.pack("<IIIIIIII", segment.kind, *places, segment.flags, segment.align)


def _section(output: Output, info: SectionInfo, name: int, names: list[str], wide: bool) -> bytes:
    link = names.index(info.link) if info.link else 0
    place = (output.flags, output.address, output.offset, output.size)
    row = (name, info.kind, *place, link, info.info, output.align, info.entry)
    return struct.pack("<IIQQQQIIQQ" if wide else "<IIIIIIIIII", *row)


def load_segments(architecture: Architecture, outputs: list[Output], base: int, headers: int) -> list[Segment]:
    """Give outputs their addresses and offsets, one segment for each set of rights; the first holds the headers.

    `outputs` must be sorted by rights: read-only, code, writable.
    """
    from_headers = header_bytes(architecture, headers)
    offset, address = from_headers, base + from_headers
    made: list[Segment] = []
    for flags in (READ_FLAG, READ_FLAG | EXECUTE_FLAG, READ_FLAG | WRITE_FLAG):
        inside = [o for o in outputs if _rights(o) == flags]
        if not inside and made:
            continue
        start_offset, start = (offset, align_up(address, architecture.page) + offset % architecture.page)
        if not made:
            start_offset, start = 0, base
        address = max(address, start)
        stored = offset
        for output in inside:
            after = place(output, address)
            output.offset = start_offset + output.address - start
            if not output.is_zeros:
                stored = output.offset + output.size
            address = after
        offset = stored
        size = stored - start_offset
        made.append(Segment(LOAD, flags, start_offset, start, start, size, address - start, architecture.page))
    return made


def _rights(output: Output) -> int:
    if output.flags & 4:
        return READ_FLAG | EXECUTE_FLAG
    return READ_FLAG | WRITE_FLAG if output.flags & 1 else READ_FLAG
