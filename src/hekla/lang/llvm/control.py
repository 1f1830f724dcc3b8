"""LLVM for control: constants, calls, branches, faults, and parallel loops as tasks of the thread pool."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from hekla.lang import types as t
from hekla.lang.ir.core import Op
from hekla.lang.llvm.environment import POOL
from hekla.lang.llvm.names import commas, literal, register_type

if TYPE_CHECKING:
    from hekla.lang.llvm.text import FunctionText


def _constant(f: "FunctionText", op: Op) -> None:
    assert op.result is not None
    f.constants[op.result] = op.attrs["value"]
    f.set(op, literal(op.result.type, op.attrs["value"]))


def _call(f: "FunctionText", op: Op) -> None:
    callee = f.module.functions[op.attrs["callee"]]
    args: list[str] = []
    for value in op.operands:
        if isinstance(value.type, t.ViewType):
            parts = f.views[value]
            args += [f"ptr {parts.pointer}", *(f"i64 {w}" for w in parts.words(value.type))]
        else:
            args.append(f.typed(value))
    if f.text.faults:
        args.append("ptr %fault")
    call = f"call {register_type(callee.result)} @{callee.symbol}({commas(args)})"
    if op.result is None:
        f.line(call)
    else:
        f.set_whole(op, f.make(call))
    if f.text.faults:
        _leave_on_fault(f)


def _parallel(f: "FunctionText", op: Op) -> None:
    """Put what the body captures in a record on the stack, and give a function over it to the thread pool."""
    callee = f.module.functions[op.attrs["callee"]]
    count, *captured = op.operands
    pieces: list[tuple[str, str]] = []  # (LLVM type, text)
    for value in captured:
        if isinstance(value.type, t.ViewType):
            parts = f.views[value]
            pieces += [("ptr", parts.pointer), *(("i64", w) for w in parts.words(value.type))]
        else:
            pieces.append((register_type(value.type), f.ref(value)))
    if f.text.faults:
        pieces.append(("ptr", "%fault"))
    record = "{ " + commas(kind for kind, _ in pieces) + " }"
    context = f.fresh()
    f.allocas.append(f"  {context} = alloca {record}, align 64")
    for position, (kind, text) in enumerate(pieces):
        at = f.make(f"getelementptr {record}, ptr {context}, i32 0, i32 {position}")
        f.line(f"store {kind} {text}, ptr {at}")
    task = f"{callee.symbol}.task"
    scope = place = ""
    if f.text.lines is not None:
        scope = f" !dbg !{f.text.lines.scope(task, op.span)}"
        place = f", !dbg !{f.text.lines.location(task, op.span, op.span)}"
    lines = [f"define internal void @{task}(ptr %context, i64 %begin, i64 %end) #0{scope} {{", "entry:"]
    args = ["i64 %begin", "i64 %end"]
    for position, (kind, _) in enumerate(pieces):
        lines.append(f"  %p{position} = getelementptr {record}, ptr %context, i32 0, i32 {position}")
        lines.append(f"  %c{position} = load {kind}, ptr %p{position}")
        args.append(f"{kind} %c{position}")
    lines += [f"  call void @{callee.symbol}({commas(args)}){place}", "  ret void", "}"]
    f.text.functions.append("\n".join(lines))
    f.text.parallel = True
    run, pool = f.make(f"load ptr, ptr @{POOL}"), f.make(f"load ptr, ptr getelementptr (ptr, ptr @{POOL}, i64 1)")
    f.line(f"call void {run}(ptr {pool}, ptr @{task}, ptr {context}, {f.typed(count)})")
    if f.text.faults:
        _leave_on_fault(f)


def _leave_on_fault(f: "FunctionText") -> None:
    fault = f.make("load i64, ptr %fault")
    good, bad = f.label(), f.label()
    f.line(f"br i1 {f.make(f'icmp eq i64 {fault}, 0')}, label %{good}, label %{bad}")
    f.lines.append(f"{bad}:")
    f.leave()
    f.lines.append(f"{good}:")


def _return(f: "FunctionText", op: Op) -> None:
    if not op.operands:
        f.line("ret void")
    else:
        f.line(f"ret {register_type(op.operands[0].type)} {f.whole(op.operands[0])}")


def _branch(f: "FunctionText", op: Op) -> None:
    f.line(f"br label %{op.attrs['targets'][0].label}{f.loop_tag(op)}")


def _conditional_branch(f: "FunctionText", op: Op) -> None:
    then, other = op.attrs["targets"]
    f.line(f"br i1 {f.ref(op.operands[0])}, label %{then.label}, label %{other.label}")


def _assert(f: "FunctionText", op: Op) -> None:
    f.fail_unless(f.ref(op.operands[0]), op.attrs["message"], op.span)


CONTROL: Mapping[str, Callable[["FunctionText", Op], None]] = {
    "arith.constant": _constant,
    "func.call": _call,
    "scf.parallel": _parallel,
    "func.return": _return,
    "cf.br": _branch,
    "cf.cond_br": _conditional_branch,
    "cf.assert": _assert,
}
