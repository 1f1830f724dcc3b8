"""From a kernel to a product for any target: what the linker is given (hekla.lang.link.build).

The C interface of an exported kernel: each view is its pointer, then its sizes, then its strides in elements (the last
stride of a dense view is left out); all sizes are int64_t, on 32-bit machines too. A kernel that may meet a fault
(out of memory, a full region) takes one more parameter at the end, `int64_t *fault`: set it to 0 before the call, and
it is not 0 after a fault. A program's fault is exit status 70. A parallel loop runs its iterations one after the other.
"""

from functools import partial
from pathlib import Path

from hekla.base.errors import UnsupportedError
from hekla.lang import types as t
from hekla.lang.errors import ArgumentError
from hekla.lang.kernel import Compiled, Kernel
from hekla.lang.link.assemble import Making
from hekla.lang.link.build import KINDS, BuildResult, Kind
from hekla.lang.link.build import build as link
from hekla.lang.llvm.accept import check_loops, check_targets
from hekla.lang.llvm.codegen import compile_text
from hekla.lang.llvm.control import POOL
from hekla.lang.llvm.names import commas, register_type
from hekla.lang.llvm.target import Target
from hekla.lang.llvm.text import Text, emit_module
from hekla.lang.llvm.views import flat_params
from hekla.lang.targets.known import target_named
from hekla.lang.targets.seam import Target as Machine

FAULT_STATUS = 70  # of a program that met a fault, as sysexits.h numbers a fault of the software
PROGRAMS = ("executable", "image")
_ALONE = """
define internal void @hekla_run_alone(ptr %pool, ptr %task, ptr %context, i64 %count) {
  call void %task(ptr %context, i64 0, i64 %count)
  ret void
}"""


def build_product(kernel: Kernel, *, target: str, kind: Kind, output: Path | None = None) -> BuildResult:
    """Return a kernel as a product of a target, and write it to `output` where given.

    target: a name of hekla.lang.targets.known. kind: a program (executable, image) is a kernel without parameters
    that returns i32, its exit status.
    Errors: KernelError (VectorizeError and TargetError among them); ArgumentError for a signature that does not fit
        the kind; NotFoundError for the target; those of hekla.lang.link.errors; OSError from writing.
    """
    machine = target_named(target)
    compiled = kernel.with_options(target=code_target(machine)).compile()
    _check_signature(compiled, is_program=kind in PROGRAMS and kind in KINDS[machine.family])
    check_targets(compiled.demands, compiled.target)
    text = emit_module(compiled.module, compiled.target)
    if text.waits is not None:
        raise UnsupportedError("locks and waits need the threads of this process", where=str(text.waits))
    written = _with_interface(compiled, text, is_program=kind in PROGRAMS)
    if compiled.demands:
        check = partial(check_loops, text, written, compiled.flags)
        compile_text(written, compiled.target, compiled.flags, check)
    making = Making(2 if compiled.flags.vectorise else 1, vectorise=compiled.flags.vectorise)
    return link(written, entry=compiled.function.name, target=machine, kind=kind, output=output, making=making)


def code_target(machine: Machine) -> Target:
    """Return what the code generator must know of a target of the linker."""
    listed = {f.removeprefix("+") for f in machine.features if not f.startswith("-")}
    return Target(machine.triple, machine.cpu, frozenset(listed | set(machine.required)))


def _with_interface(compiled: Compiled, text: Text, *, is_program: bool) -> str:
    """Add the exported function, and what stands for the thread pool; return the whole module."""
    function = compiled.function
    params = flat_params([(f"a{i}", p.type) for i, p in enumerate(function.params)])
    given = [f"{kind} {name}" for kind, _, name in params]
    result = register_type(function.result)
    body: list[str] = []
    passed = list(given)
    if text.faults:
        passed.append("ptr %fault")
        if is_program:
            body += ["  %fault = alloca i64", "  store i64 0, ptr %fault"]
        else:
            given.append("ptr %fault")
    call = f"call {result} @{function.symbol}({commas(passed)})"
    if result == "void":
        body += [f"  {call}", "  ret void"]
    elif is_program and text.faults:
        body += [f"  %r = {call}", "  %number = load i64, ptr %fault", "  %good = icmp eq i64 %number, 0"]
        body += [f"  %status = select i1 %good, i32 %r, i32 {FAULT_STATUS}", "  ret i32 %status"]
    else:
        body += [f"  %r = {call}", f"  ret {result} %r"]
    text.functions.append("\n".join([f"define {result} @{function.name}({commas(given)}) #0 {{", *body, "}"]))
    if text.parallel:
        text.functions.append(_ALONE)
    filled = f"@{POOL} = internal global [2 x ptr] [ptr @hekla_run_alone, ptr null]"
    return text.finish().replace(f"@{POOL} = global [2 x ptr] zeroinitializer", filled)


def _check_signature(compiled: Compiled, *, is_program: bool) -> None:
    function = compiled.function
    if is_program and (function.params or function.result != t.i32):
        raise ArgumentError(
            "a program is a kernel without parameters that returns i32, its exit status",
            where=f"{function.name}()",
            cure="wrap it in one, or build another kind",
        )
    for param in function.params:
        if not isinstance(param.type, t.ScalarType | t.ViewType):
            raise UnsupportedError(
                f"parameter {param.hint!r} is {param.type}, which C cannot pass", where=function.name
            )
    if not isinstance(function.result, t.ScalarType | t.NoneType_):
        raise UnsupportedError(f"the result is {function.result}, which C cannot take", where=function.name)
