"""From a kernel to a product for any target: what the linker is given (hekla.lang.link.build).

A program (executable, image) is a kernel that returns i32, its exit status, and takes nothing or its arguments: a
`View[u8, 1]` of their bytes, each ended by a 0, the program's own name left out (`hekla.lang.printing.argument` finds
one). A fault is said on standard error, and is exit status 70.

The C interface of an exported kernel: each view is its pointer, then its sizes, then its strides in elements (the last
stride of a dense view is left out); all sizes are int64_t, on 32-bit machines too. A kernel that may meet a fault takes
one more parameter at the end, `int64_t *fault`: set it to 0 before the call, and it is not 0 after a fault. See
docs/formats/products.md, and c_header.py for the header that says all of it in C.

Parallel loops run on threads in executables and shared objects for Linux, in the caller's thread elsewhere.
"""

from functools import partial
from pathlib import Path
from typing import Any

from hekla.base.errors import UnsupportedError
from hekla.lang import types as t
from hekla.lang.c_header import c_header
from hekla.lang.errors import ArgumentError
from hekla.lang.kernel import Compiled, Kernel
from hekla.lang.link.assemble import Making
from hekla.lang.link.build import KINDS, BuildResult, Kind
from hekla.lang.link.build import build as link
from hekla.lang.link.threads import may_wait
from hekla.lang.llvm.accept import check_loops, check_targets
from hekla.lang.llvm.codegen import compile_text
from hekla.lang.llvm.entry import shown
from hekla.lang.llvm.target import Target
from hekla.lang.llvm.text import emit_module
from hekla.lang.product_text import FAULT_STATUS, add_c_interface, add_program, finish_module
from hekla.lang.targets.known import target_named
from hekla.lang.targets.seam import Target as Machine

__all__ = ["FAULT_STATUS", "build_product", "code_target", "header_of"]

PROGRAMS = ("executable", "image")
ARGUMENTS = t.ViewType(t.u8, 1)


def build_product(
    kernel: Kernel,
    *,
    target: str,
    kind: Kind,
    output: Path | None = None,
    checked: bool = False,
    named: dict[str, Any] | None = None,  # Any: compile-time values
) -> BuildResult:
    """Return a kernel as a product of a target, and write it to `output` where given.

    target: a name of hekla.lang.targets.known. named: compile-time parameters, and types: {"T": f32}.
    checked: with the checks of checked builds, and with checks of what C callers promise of their arguments.
    Errors: KernelError (VectorizeError and TargetError among them); ArgumentError for a signature that does not fit
        the kind; NotFoundError for the target; those of hekla.lang.link.errors; OSError from writing.
    """
    machine = target_named(target)
    is_program = kind in PROGRAMS and kind in KINDS[machine.family]
    compiled = kernel.with_options(target=code_target(machine), checked=checked).compile(**(named or {}))
    _check_signature(compiled, is_program=is_program)
    check_targets(compiled.demands, compiled.target)
    text = emit_module(compiled.module, compiled.target)
    if text.waits is not None and not may_wait(machine, kind):
        raise UnsupportedError(
            f"locks and waits need threads, which {target} has none of in a product of the kind {kind!r}",
            where=str(text.waits),
            cure="build an executable, a shared object or an object for Linux",
        )
    exports: list[str] = []
    if is_program:
        add_program(compiled.function, text, machine, kind)
    else:
        exports = add_c_interface(compiled.function, text, machine, kind, checked=checked)
    written = finish_module(text, machine, kind)
    if compiled.demands and not checked:
        check = partial(check_loops, text, written, compiled.flags)
        compile_text(written, compiled.target, compiled.flags, check)
    making = Making(2 if compiled.flags.vectorise else 1, vectorise=compiled.flags.vectorise)
    name = compiled.function.name
    return link(written, entry=name, target=machine, kind=kind, output=output, making=making, exports=exports)


def header_of(
    kernel: Kernel,
    *,
    target: str,
    checked: bool = False,
    named: dict[str, Any] | None = None,  # Any: see above
) -> str:
    """Return the C header of a kernel's shared object or object, built with the same choices. Errors: as above."""
    compiled = kernel.with_options(target=code_target(target_named(target)), checked=checked).compile(**(named or {}))
    _check_signature(compiled, is_program=False)
    faults = checked or emit_module(compiled.module, compiled.target).faults
    return c_header(compiled.function, kernel.__doc__ or "", faults=faults, checked=checked)


def code_target(machine: Machine) -> Target:
    """Return what the code generator must know of a target of the linker."""
    listed = {f.removeprefix("+") for f in machine.features if not f.startswith("-")}
    return Target(machine.triple, machine.cpu, frozenset(listed | set(machine.required)))


def _check_signature(compiled: Compiled, *, is_program: bool) -> None:
    function = compiled.function
    kinds = [p.type for p in function.params]
    if is_program and (kinds not in ([], [ARGUMENTS]) or function.result != t.i32):
        raise ArgumentError(
            "a program is a kernel that returns i32, its exit status, and takes nothing or one View[u8, 1], "
            "its arguments",
            where=f"{function.name}()",
            cure="wrap it in one, or build another kind",
        )
    for param in function.params:
        if not isinstance(param.type, t.ScalarType | t.ViewType):
            raise UnsupportedError(
                f"parameter {param.hint!r} is {shown(param.type)}, which C cannot pass", where=function.name
            )
        if isinstance(param.type, t.ViewType) and isinstance(param.type.element, t.MailboxType):
            raise UnsupportedError(
                f"parameter {param.hint!r} is the address of an actor, which only Python starts", where=function.name
            )
    if not isinstance(function.result, t.ScalarType | t.NoneType_):
        raise UnsupportedError(f"the result is {function.result}, which C cannot take", where=function.name)
