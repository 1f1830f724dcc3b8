"""A kernel's machine code beside the lines of source it comes from."""

import linecache
import re
from dataclasses import dataclass

import llvmlite.binding as llvm

from hekla.lang.kernel import Compiled
from hekla.lang.llvm.codegen import optimise
from hekla.lang.llvm.lines import Lines
from hekla.lang.llvm.text import emit_module

_FILE = re.compile(r'^\s*\.file\s+(\d+)\s+(?:"([^"]*)"\s+)?"([^"]*)"')
_PLACE = re.compile(r"^\s*\.loc\s+(\d+)\s+(\d+)")
_LABEL = re.compile(r"^([\w.$]+):")
_TEMPORARY = re.compile(r"^\.?L(tmp|func|debug|info|names)")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, or the label of a place jumped to; `line` is its line of source, None where it has none."""

    text: str
    file: str
    line: int | None
    is_label: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """The code of one kernel with all it inlined, in the order of its addresses."""

    name: str
    target: str
    instructions: tuple[Instruction, ...]

    @property
    def count(self) -> int:
        """How many instructions there are."""
        return sum(not i.is_label for i in self.instructions)

    def of_line(self, line: int) -> list[str]:
        """Return the instructions that come from a line of source."""
        return [i.text for i in self.instructions if i.line == line and not i.is_label]

    def text(self) -> str:
        """Return the code with each stretch of it under its line of source."""
        parts = [f"{self.name} for {self.target}: {self.count} instructions"]
        shown: tuple[str, int | None] | None = None
        for instruction in self.instructions:
            here = (instruction.file, instruction.line)
            if not instruction.is_label and here != shown:
                shown = here
                parts.append(_source(*here))
            parts.append(f"{instruction.text}:" if instruction.is_label else f"        {instruction.text}")
        return "\n".join(parts)


def explain_assembly(compiled: Compiled) -> Listing:
    """Return the code of a kernel as LLVM makes it for its target, without the entry that Python calls.

    Errors: KernelError.
    """
    text = emit_module(compiled.module, compiled.target, Lines(in_assembly=True))
    written = exported(text.finish(), compiled.function.symbol)
    machine = compiled.target.machine(compiled.options.optimise)
    machine.set_asm_verbosity(False)
    module = llvm.parse_assembly(written)
    module.verify()
    optimise(module, machine, compiled.flags)
    return Listing(compiled.function.name, compiled.target.cpu, tuple(_read(machine.emit_assembly(module))))


def exported(text: str, symbol: str) -> str:
    """Return LLVM text with one of its kernels open to callers, so that it is kept without an entry."""
    return re.sub(rf"^define internal (.*@{re.escape(symbol)}\()", r"define \1", text, flags=re.M)


def _read(assembly: str) -> list[Instruction]:
    """Return the instructions of all functions; directives only tell lines. Data sections are left out."""
    files: dict[str, str] = {}
    file, line, in_code = "", None, False
    found: list[Instruction] = []
    for raw in assembly.splitlines():
        named, place, label, text = _FILE.match(raw), _PLACE.match(raw), _LABEL.match(raw), raw.strip()
        if named is not None:
            files[named[1]] = f"{named[2]}/{named[3]}" if named[2] else named[3]
        elif place is not None:
            file, line = files.get(place[1], ""), int(place[2]) or None
        elif text.startswith((".section", ".text")):
            in_code = text.startswith(".text") or ".text" in text.split(",")[0]
        elif not in_code or not text or text.startswith("#"):
            continue
        elif label is not None:
            if not _TEMPORARY.match(label[1]):
                found.append(Instruction(label[1], file, line, is_label=True))
        elif not text.startswith("."):
            found.append(Instruction(re.sub(r"\s+", " ", text), file, line, is_label=False))
    return found


def _source(file: str, line: int | None) -> str:
    if line is None:
        return "     | (no line)"
    return f"{line:>4} | {linecache.getline(file, line).rstrip()}"
