"""One relocation about to be applied: the numbers of the ABI's formulas, and the bytes to change."""

from dataclasses import dataclass
from typing import NoReturn

from hekla.lang.link.errors import ObjectFormatError, RelocationOverflowError, UnsupportedRelocationError
from hekla.lang.link.objects import Relocation, Section


@dataclass(slots=True, eq=False)
class Site:
    """`place` is P, `target` S, `addend` A, `got` the address of the symbol's table entry (G + GOT) or 0."""

    section: Section
    relocation: Relocation
    name: str
    target: int
    got: int = 0

    @property
    def place(self) -> int:
        """P: the address of the bytes to change."""
        return self.section.address + self.relocation.offset

    @property
    def addend(self) -> int:
        """A, where the relocation carries it."""
        return self.relocation.addend or 0

    @property
    def symbol(self) -> str:
        """The symbol's name."""
        return self.relocation.symbol.name

    def read(self, size: int, skip: int = 0) -> int:
        """Return a little-endian number of `size` bytes at the place + `skip`."""
        start = self.relocation.offset + skip
        if start < 0 or start + size > len(self.section.data):
            problem = f"{self.name} at {start:#x} reaches out of {self.section.name}"
            raise ObjectFormatError(self.section.owner, problem)
        return int.from_bytes(self.section.data[start : start + size], "little")

    def write(self, value: int, size: int, skip: int = 0) -> None:
        """Put the low `size` bytes of a number at the place + `skip`."""
        self.read(size, skip)  # for its check of the bounds
        start = self.relocation.offset + skip
        masked = value & ((1 << (8 * size)) - 1)
        self.section.data[start : start + size] = masked.to_bytes(size, "little")

    def check_signed(self, value: int, bits: int, step: int = 1) -> int:
        """Return a number that fits `bits` signed bits and is a multiple of `step`."""
        if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
            self.overflow(value, f"does not fit {bits} signed bits")
        if value % step:
            self.overflow(value, f"is not a multiple of {step}")
        return value

    def check_unsigned(self, value: int, bits: int) -> int:
        """Return a number that fits `bits` unsigned bits."""
        if not 0 <= value < 1 << bits:
            self.overflow(value, f"does not fit {bits} bits")
        return value

    def check_either(self, value: int, bits: int) -> int:
        """Return a number that fits `bits` bits, signed or not."""
        if not -(1 << (bits - 1)) <= value < 1 << bits:
            self.overflow(value, f"does not fit {bits} bits")
        return value

    def overflow(self, value: int, why: str) -> NoReturn:
        """Refuse: the number does not fit."""
        offset = self.relocation.offset
        raise RelocationOverflowError(self.name, self.symbol, self.section.name, offset, value, why)

    def unsupported(self, why: str) -> NoReturn:
        """Refuse: this linker does not do it."""
        raise UnsupportedRelocationError(self.name, self.symbol, self.section.name, self.relocation.offset, why)


NOT_DONE = "is a relocation this linker does not do"
