"""A kernel in the forms between its source and its machine code."""

from typing import Literal

import llvmlite.binding as llvm

from hekla.lang.ir.printer import print_module
from hekla.lang.kernel import Compiled
from hekla.lang.llvm.codegen import optimise

Form = Literal["ir", "llvm", "asm"]


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
