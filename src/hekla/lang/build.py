"""Products that run without Python: object files with a C interface, and static executables for Linux.

An exported kernel takes each view as its pointer, then its sizes, then its strides in elements (the last stride of a
dense view is left out): `saxpy(float a, float *x, int64_t x_length, float *y, int64_t y_length)`. An executable is a
kernel without parameters that returns i32, its exit status.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from hekla.base.errors import UnsupportedError, nearest_name
from hekla.lang import types as t
from hekla.lang.errors import ArgumentError
from hekla.lang.kernel import Compiled, Kernel
from hekla.lang.llvm.codegen import compile_text
from hekla.lang.llvm.elf import link
from hekla.lang.llvm.names import commas, register_type
from hekla.lang.llvm.target import Target, host_target
from hekla.lang.llvm.text import emit_module
from hekla.lang.llvm.views import flat_params

Kind = Literal["object", "executable"]
_LINUX = "unknown-linux-gnu"
_RISCV = frozenset({"m", "a", "f", "d", "c"})
TARGETS: Mapping[str, Target] = {
    "x86-64-v2": Target(f"x86_64-{_LINUX}", "x86-64-v2", frozenset()),
    "x86-64-v3": Target(f"x86_64-{_LINUX}", "x86-64-v3", frozenset({"avx2", "fma"})),
    "x86-64-v4": Target(f"x86_64-{_LINUX}", "x86-64-v4", frozenset({"avx512f", "avx512vl"})),
    "aarch64": Target(f"aarch64-{_LINUX}", "generic", frozenset({"neon"})),
    "cortex-a53": Target(f"aarch64-{_LINUX}", "cortex-a53", frozenset({"neon"})),
    "neoverse-n1": Target(f"aarch64-{_LINUX}", "neoverse-n1", frozenset({"neon"})),
    "riscv64": Target(f"riscv64-{_LINUX}", "generic-rv64", _RISCV),
    "riscv64-v": Target(f"riscv64-{_LINUX}", "generic-rv64", _RISCV | {"v"}),
}
# exit(status), as machine code: LLVM's assembler here knows the host's instructions only
_EXIT = {
    "x86_64": bytes.fromhex("b83c0000000f05"),  # mov eax, 60; syscall
    "aarch64": bytes.fromhex("a80b80d2010000d4"),  # mov x8, 93; svc 0
    "riscv64": bytes.fromhex("9308d00573000000"),  # li a7, 93; ecall
}
# What LLVM may call: fills and copies, whose loops must not be turned into calls of themselves, and a * b + c where the
# machine has no such instruction (in double, rounded to odd, so that the second rounding is right).
_MEMORY = """
define ptr @memset(ptr %to, i32 %value, i64 %count) #1 {
entry:
  %byte = trunc i32 %value to i8
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %more = icmp ult i64 %i, %count
  br i1 %more, label %body, label %done
body:
  %at = getelementptr i8, ptr %to, i64 %i
  store i8 %byte, ptr %at
  %next = add i64 %i, 1
  br label %head
done:
  ret ptr %to
}

define ptr @memcpy(ptr %to, ptr %from, i64 %count) #1 {
entry:
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %more = icmp ult i64 %i, %count
  br i1 %more, label %body, label %done
body:
  %source = getelementptr i8, ptr %from, i64 %i
  %byte = load i8, ptr %source
  %at = getelementptr i8, ptr %to, i64 %i
  store i8 %byte, ptr %at
  %next = add i64 %i, 1
  br label %head
done:
  ret ptr %to
}

define float @fmaf(float %a, float %b, float %c) #1 {
  %wide.a = fpext float %a to double
  %wide.b = fpext float %b to double
  %wide.c = fpext float %c to double
  %product = fmul double %wide.a, %wide.b
  %sum = fadd double %product, %wide.c
  %back = fsub double %sum, %product
  %rest = fsub double %sum, %back
  %lost.a = fsub double %product, %rest
  %lost.b = fsub double %wide.c, %back
  %lost = fadd double %lost.a, %lost.b
  %bits = bitcast double %sum to i64
  %last = and i64 %bits, 1
  %even = icmp eq i64 %last, 0
  %inexact = fcmp one double %lost, 0.0
  %mend = and i1 %even, %inexact
  %lost.up = fcmp ogt double %lost, 0.0
  %sum.up = fcmp ogt double %sum, 0.0
  %away = icmp eq i1 %lost.up, %sum.up
  %step = select i1 %away, i64 1, i64 -1
  %moved = add i64 %bits, %step
  %odd = select i1 %mend, i64 %moved, i64 %bits
  %exact = bitcast i64 %odd to double
  %result = fptrunc double %exact to float
  ret float %result
}

attributes #1 = { nounwind "no-builtins" }
"""


def target_named(name: str) -> Target:
    """Return a target by name; "native" is this machine. Errors: UnsupportedError listing the names."""
    if name == "native":
        return host_target()
    if name not in TARGETS:
        raise UnsupportedError(f"no target {name!r}", cure=nearest_name(name, [*TARGETS, "native"]))
    return TARGETS[name]


def build(kernel: Kernel, target: str, kind: Kind) -> bytes:
    """Return an object file, or a static executable, of a kernel for a target.

    Errors: KernelError; UnsupportedError; ArgumentError for a kernel whose signature does not fit the product.
    """
    chosen = target_named(target)
    compiled = Kernel(kernel.definition, replace(kernel.options, target=chosen)).compile()
    text = _exported_text(compiled, kind)
    code = compile_text(text, chosen, compiled.flags)
    return link(code, "_start") if kind == "executable" else code


def _exported_text(compiled: Compiled, kind: Kind) -> str:
    function = compiled.function
    if kind == "executable" and (function.params or function.result != t.i32):
        raise ArgumentError(
            "an executable is a kernel without parameters that returns i32",
            where=f"{function.name}()",
            cure="wrap it in one",
        )
    text = emit_module(compiled.module, compiled.target)
    if text.parallel or text.faults:
        what = "parallel loops" if text.parallel else "buffers and checks"
        raise UnsupportedError(
            f"{what} need the runtime, which programs without Python do not have yet", where=function.name
        )
    params = flat_params([(f"a{i}", p.type) for i, p in enumerate(function.params)])
    result = register_type(function.result)
    call = f"call {result} @{function.symbol}({commas(f'{k} {n}' for k, _, n in params)})"
    body = f"  {call}\n  ret void" if result == "void" else f"  %r = {call}\n  ret {result} %r"
    head = f"define {result} @{function.name}({commas(f'{k} {n}' for k, _, n in params)}) #0 {{"
    text.functions.append(f"{head}\nentry:\n{body}\n}}")
    if kind == "executable":
        text.functions += [_MEMORY, _start(compiled.target, function.name)]
    return text.finish()


def _start(target: Target, name: str) -> str:
    """Return the first code of a program: call the kernel, leave with its result.

    The machine code of `exit` is a constant, which the linker puts in the segment that may run; it finds the status
    where the calling convention leaves a first argument. The stack is aligned anew: nobody called this function.
    """
    code = _EXIT[target.triple.split("-")[0]]
    numbers = commas(f"i8 {byte}" for byte in code)
    return (
        f"@exit = internal constant [{len(code)} x i8] [{numbers}], align 16\n"
        'define void @_start() nounwind noreturn "stackrealign" {\n'
        f"  %status = call i32 @{name}()\n  call void @exit(i32 %status)\n  unreachable\n}}"
    )
