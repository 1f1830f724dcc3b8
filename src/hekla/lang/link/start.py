"""Start code: the few instructions no compiler writes, as machine-code constants, one file for each processor.

Every start object defines `_start`, `hekla_write(i32 file, ptr, word) -> word` (bare metal: hekla_console_write and
hekla_semihost), `hekla_exit(i32)`, and for Linux `hekla_syscall` and `hekla_thread` (system_linux.py); `_start` calls
the entry with the address of the arguments the system left on the stack, and exits with what it returns (i32).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hekla.lang.link.architecture import Architecture
from hekla.lang.link.objects import ALLOC, EXECUTE, ObjectFile, Relocation, Section, Symbol

OWNER = "start code"


@dataclass(frozen=True, slots=True)
class Function:
    """A function in machine code: `calls` are (offset, relocation kind, symbol, addend)."""

    name: str
    code: bytes
    calls: tuple[tuple[int, int, str, int | None], ...] = ()


def code_object(architecture: Architecture, functions: Sequence[Function], align: int, low_bit: int = 0) -> ObjectFile:
    """Return an object of some functions, each in a section of its own; `low_bit` marks Thumb code."""
    file = ObjectFile(OWNER, architecture.machine, architecture.bits, [], [])
    for function in functions:
        code = bytearray(function.code)
        section = Section(f".text.{function.name}", code, len(code), align, ALLOC | EXECUTE, owner=OWNER)
        for offset, kind, name, addend in function.calls:
            section.relocations.append(Relocation(offset, kind, Symbol(name, None, 0), addend))
        file.sections.append(section)
        file.symbols.append(Symbol(function.name, section, low_bit, size=len(code), is_function=True))
    return file
