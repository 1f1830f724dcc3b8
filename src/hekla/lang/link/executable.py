"""A static ELF executable for Linux: one segment for constants, one for code, one for data and zeros."""

from collections.abc import Sequence

from hekla.lang.link.architecture import Architecture
from hekla.lang.link.elf_write import EXECUTABLE, STACK, Segment, elf_file, load_segments
from hekla.lang.link.layout import Output, gather
from hekla.lang.link.objects import ObjectFile
from hekla.lang.link.program import Base, prepare

BASE = 0x400000  # where every Linux port lets a program lie
_READ_WRITE = 6


def executable(objects: Sequence[ObjectFile], architecture: Architecture, start: str) -> tuple[bytes, list[Output]]:
    """Return the file and what is in it; `start` is the symbol the system jumps to."""
    program = prepare(objects, architecture, Base.FIXED, [start], {})
    outputs = gather(program.sections)
    rights = {(o.flags & 5) for o in outputs} | {0}
    headers = len(rights) + 1
    segments = load_segments(architecture, outputs, BASE, headers)
    program.relocate()
    segments.append(Segment(STACK, _READ_WRITE, 0, 0, 0, 0, 0, 16))
    assert len(segments) == headers
    entry = program.names.find(start, "the product").address
    return elf_file(architecture, EXECUTABLE, entry, segments, outputs), outputs
