"""eBPF: the entry's instructions with those it calls, as `bpf(2)` loads them (RFC 9669, section 3).

offset  size  meaning, 8 bytes for an instruction
0       1     operation; 85 is a call
1       1     source register << 4 | destination register; source 1 in a call: to another function of the program
2       2     offset of a jump or memory access, in instructions or bytes
4       4     immediate; of such a call: distance to the callee in instructions, from the next one

Relocations: R_BPF_64_32 (10) is such a call. R_BPF_64_64 (1) loads an address of data, which needs a map that only a
loader like bpftool makes: refused here by name; the product `object` carries it to such a loader.
"""

import struct

from hekla.lang.link.elf_read import read_object
from hekla.lang.link.errors import ObjectFormatError, UndefinedSymbolError, UnsupportedRelocationError
from hekla.lang.link.objects import ObjectFile, Relocation, Section, Symbol

MACHINE = 247
_CALL, _NAMES = 10, {1: "R_BPF_64_64", 2: "R_BPF_64_ABS64", 3: "R_BPF_64_ABS32", 4: "R_BPF_64_NODYLD32"}
_STEP = 8


def instructions(code: bytes, entry: str) -> tuple[bytes, tuple[tuple[str, int], ...], int, int]:
    """Return (instructions with the entry first, sections, their bytes, 0 bytes of memory)."""
    file = read_object(code, "the program")
    if file.machine != MACHINE:
        raise ObjectFormatError(file.name, f"it is for machine {file.machine}, not {MACHINE}")
    symbol = next((s for s in file.symbols if s.name == entry and s.section is not None), None)
    if symbol is None or symbol.section is None:
        raise UndefinedSymbolError(entry, used_in="the product")
    sections = _reach(symbol.section, file)
    if symbol.value:
        raise ObjectFormatError(file.name, f"{entry!r} is not at the start of its section")
    cursor = 0
    for section in sections:
        section.address = cursor
        cursor += len(section.data)
    for section in sections:
        for relocation in section.relocations:
            _relocate(section, relocation)
    content = b"".join(bytes(s.data) for s in sections)
    return content, tuple((s.name, s.size) for s in sections), len(content), 0


def _reach(first: Section, file: ObjectFile) -> list[Section]:
    found = [first]
    for section in found:
        for relocation in section.relocations:
            _check(section, relocation, file)
            used = relocation.symbol.section
            if used is not None and used not in found:
                found.append(used)
    return found


def _check(section: Section, relocation: Relocation, file: ObjectFile) -> None:
    symbol: Symbol = relocation.symbol
    if relocation.kind != _CALL:
        name = _NAMES.get(relocation.kind, f"relocation type {relocation.kind}")
        why = "needs a map, which a loader makes: build kind object"
        raise UnsupportedRelocationError(name, symbol.name, section.name, relocation.offset, why)
    if symbol.section is None:
        raise UndefinedSymbolError(symbol.name, used_in=f"{file.name}: {section.name}")
    if relocation.offset + _STEP > len(section.data):
        raise ObjectFormatError(file.name, f"a relocation lies outside {section.name}")


def _relocate(section: Section, relocation: Relocation) -> None:
    """LLVM leaves the callee's place within its section, in instructions less one, in the immediate."""
    assert relocation.symbol.section is not None
    at = relocation.offset + 4
    (inside,) = struct.unpack_from("<i", section.data, at)
    if not 0 <= relocation.symbol.value + (inside + 1) * _STEP < relocation.symbol.section.size:
        raise ObjectFormatError(section.owner, f"a call at {relocation.offset} of {section.name} leads nowhere")
    callee = relocation.symbol.address + (inside + 1) * _STEP
    here = section.address + relocation.offset + _STEP
    struct.pack_into("<i", section.data, at, (callee - here) // _STEP)
