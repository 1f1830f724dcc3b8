"""Group what was kept into output sections, and give every input section its address."""

from collections.abc import Iterable
from dataclasses import dataclass

from hekla.lang.link.objects import EXECUTE, NOBITS, WRITE, Section


@dataclass(slots=True)
class Output:
    """Sections that lie together: `.rodata`, `.text`, `.data`, `.bss`, or one the linker made."""

    name: str
    inputs: list[Section]
    address: int = 0
    offset: int = 0  # in the file
    size: int = 0

    @property
    def align(self) -> int:
        """The strictest alignment inside."""
        return max((s.align for s in self.inputs), default=1)

    @property
    def is_zeros(self) -> bool:
        """True where the file holds no bytes of it."""
        return all(s.kind == NOBITS for s in self.inputs)

    @property
    def flags(self) -> int:
        """Write, execute: those of its sections."""
        flags = 0
        for section in self.inputs:
            flags |= section.flags
        return flags & 7

    def content(self) -> bytes:
        """Return the bytes, once relocated."""
        made = bytearray(self.size)
        for section in self.inputs:
            start = section.address - self.address
            made[start : start + len(section.data)] = section.data
        return bytes(made)


def align_up(value: int, align: int) -> int:
    """Return the first multiple of `align` that is not less than `value`."""
    return (value + align - 1) & -align


def gather(sections: Iterable[Section]) -> list[Output]:
    """Return the output sections of plain code and data: read-only, code, data, zeros; empty ones left out."""
    groups: dict[str, list[Section]] = {".rodata": [], ".text": [], ".data": [], ".bss": []}
    for section in sections:
        if section.flags & EXECUTE:
            groups[".text"].append(section)
        elif not section.flags & WRITE:
            groups[".rodata"].append(section)
        else:
            groups[".bss" if section.kind == NOBITS else ".data"].append(section)
    return [Output(name, inputs) for name, inputs in groups.items() if inputs]


def place(output: Output, address: int) -> int:
    """Put an output section at the first fitting address, its inputs one after another; return what follows it."""
    output.address = cursor = align_up(address, output.align)
    for section in output.inputs:
        section.address = align_up(cursor, section.align)
        cursor = section.address + section.size
    output.size = cursor - output.address
    return cursor
