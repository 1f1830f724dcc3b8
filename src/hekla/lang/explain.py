"""What became of a program: the layout of its records, its IR, its LLVM text, its assembly."""

from typing import Literal

import llvmlite.binding as llvm

from hekla.lang import types as t
from hekla.lang.ir.printer import print_module
from hekla.lang.kernel import Compiled
from hekla.lang.llvm.codegen import optimise

CACHE_LINE = 64  # bytes
Form = Literal["ir", "llvm", "asm"]


def explain_layout(struct: t.StructType) -> str:
    """Return a table of a record's fields in memory, and what the order written would have cost."""
    offsets, size = t.struct_layout(struct)
    written = t.StructType(struct.name, struct.fields, tuple(range(len(struct.fields))))
    before = t.struct_layout(written)[1]
    lines = [f"{struct.name}: {size} bytes, {_padding(struct, size)} of padding, {_lines(size)}"]
    for position in struct.order:
        name, kind = struct.fields[position]
        field_size, align = t.size_and_align(kind)
        lines.append(f"  {offsets[position]:5}  {field_size:5}  {name}: {kind} (aligned to {align})")
    if struct.order != written.order:
        lines.append(f"as written: {before} bytes, {_padding(struct, before)} of padding, {_lines(before)}")
    return "\n".join(lines)


def _padding(struct: t.StructType, size: int) -> int:
    return size - sum(t.size_and_align(kind)[0] for _, kind in struct.fields)


def _lines(size: int) -> str:
    count = -(-size // CACHE_LINE)
    return f"{count} cache line{'s' if count > 1 else ''}"


def explain_code(compiled: Compiled, form: Form) -> str:
    """Return a kernel and all it calls in one of its forms; LLVM's and the assembly after all passes.

    The assembly of the entry that CPython calls is part of it.
    """
    if form == "ir":
        return print_module(compiled.module)
    machine = compiled.target.machine(compiled.flags.optimise)
    module = llvm.parse_assembly(compiled.text.finish())
    optimise(module, machine, compiled.flags)
    return str(module) if form == "llvm" else str(machine.emit_assembly(module))
