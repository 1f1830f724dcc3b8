"""What is being linked: sections, symbols and relocations, whatever file they came from."""

from dataclasses import dataclass, field

WRITE, ALLOC, EXECUTE = 1, 2, 4  # section flags, with ELF's values
NULL, PROGBITS, SYMTAB, STRTAB, RELA, NOBITS, REL = 0, 1, 2, 3, 4, 8, 9  # section kinds, with ELF's values
LOCAL, GLOBAL, WEAK = 0, 1, 2  # symbol bindings, with ELF's values


@dataclass(slots=True, eq=False)
class Section:
    """A run of bytes that stays together. `address` is set by the layout; `data` is empty where all are zero."""

    name: str
    data: bytearray
    size: int
    align: int
    flags: int
    kind: int = PROGBITS
    relocations: "list[Relocation]" = field(default_factory=list)
    address: int = 0
    owner: str = ""


@dataclass(slots=True, eq=False)
class Symbol:
    """A name for a place: `section` + `value`, or `value` alone where `absolute`, or nothing where undefined."""

    name: str
    section: Section | None
    value: int
    binding: int = GLOBAL
    size: int = 0
    absolute: bool = False
    is_function: bool = False

    @property
    def is_defined(self) -> bool:
        """True where the symbol is a place or a number."""
        return self.section is not None or self.absolute

    @property
    def address(self) -> int:
        """The address, once sections have theirs."""
        return self.value + (self.section.address if self.section is not None else 0)


@dataclass(slots=True, eq=False)
class Relocation:
    """Write the address of `symbol` at `offset`, in the way `kind` says; `addend` is None where it lies in place."""

    offset: int
    kind: int
    symbol: Symbol
    addend: int | None


@dataclass(slots=True, eq=False)
class ObjectFile:
    """One object: its name for messages, the machine (ELF's number), 32 or 64 bits."""

    name: str
    machine: int
    bits: int
    sections: list[Section]
    symbols: list[Symbol]
