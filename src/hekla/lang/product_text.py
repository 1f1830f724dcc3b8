"""The functions a product shows to the outside, as LLVM text around a kernel: a program's entry, or its C interface."""

from dataclasses import dataclass, field

from hekla.lang import types as t
from hekla.lang.ir.core import Function
from hekla.lang.link.threads import POOL_TABLE, has_threads, pool_text
from hekla.lang.llvm.environment import POOL
from hekla.lang.llvm.names import commas, register_type
from hekla.lang.llvm.system import over_c_library
from hekla.lang.llvm.text import Text
from hekla.lang.llvm.views import flat_params
from hekla.lang.source import Span
from hekla.lang.targets.seam import Target

FAULT_STATUS = 70  # of a program that met a fault, as sysexits.h numbers a fault of the software
FAULT_TEXT = "fault_text"  # what follows a kernel's name in that of the function that says what a fault was
_ALONE = """
define internal void @hekla_run_alone(ptr %pool, ptr %task, ptr %context, i64 %count) {
  call void %task(ptr %context, i64 0, i64 %count)
  ret void
}"""
_SAY = """
declare WORD @hekla_write(i32, ptr, WORD)
define internal void @hekla_say_fault(i64 %number) noinline cold {
  %text = call ptr @hekla_fault_text(i64 %number)
  %after = add i64 %number, 1
  %next = call ptr @hekla_fault_text(i64 %after)
  %from = ptrtoint ptr %text to WORD
  %to = ptrtoint ptr %next to WORD
  %whole = sub WORD %to, %from
  %size = sub WORD %whole, 1
  %r = call WORD @hekla_write(i32 2, ptr %text, WORD %size)
  ret void
}"""


def finish_module(text: Text, target: Target, kind: str) -> str:
    """Return the module's text with what runs its parallel loops."""
    if not text.parallel:
        return text.finish()
    table = f"@{POOL} = internal global [2 x ptr] [ptr @hekla_run_alone, ptr null]"
    if has_threads(target, kind):
        text.add(pool_text(target, kind))
        table = POOL_TABLE
    else:
        text.add(_ALONE)
    return text.finish().replace(f"@{POOL} = global [2 x ptr] zeroinitializer", table)


def add_program(function: Function, text: Text, target: Target, kind: str) -> None:
    """Add the function that start code calls: it takes the program's arguments, if the kernel does, and its faults."""
    is_linux = target.family in ("x86-64", "aarch64", "riscv64")
    made = _Body()
    passed = []
    if is_linux and text.parallel and has_threads(target, kind):
        made.line("store ptr %stack, ptr @hekla_stack")
    if function.params:
        text.add("declare { ptr, i64 } @hekla_arguments(ptr)")
        pair = made.make(f"call {{ ptr, i64 }} @hekla_arguments(ptr {'%stack' if is_linux else 'null'})")
        passed += [f"ptr {made.make(f'extractvalue {{ ptr, i64 }} {pair}, 0')}"]
        passed += [f"i64 {made.make(f'extractvalue {{ ptr, i64 }} {pair}, 1')}"]
    if text.faults:
        made.line("%fault = alloca i64")
        made.line("store i64 0, ptr %fault")
        passed.append("ptr %fault")
    status = made.make(f"call i32 @{function.symbol}({commas(passed)})")
    if text.faults:
        number = made.make("load i64, ptr %fault")
        made.line(f"br i1 {made.make(f'icmp eq i64 {number}, 0')}, label %good, label %bad")
        made.lines.append("bad:")
        made.line(f"call void @hekla_say_fault(i64 {number})")
        made.line(f"ret i32 {FAULT_STATUS}")
        made.lines.append("good:")
        _add_fault_texts(text)
        text.add(_SAY.replace("WORD", f"i{target.pointer_bits}"))
    made.line(f"ret i32 {status}")
    given = "ptr %stack" if is_linux else ""
    text.functions.append("\n".join([f"define i32 @{function.name}({given}) #0 {{", "entry:", *made.lines, "}"]))


def add_c_interface(function: Function, text: Text, target: Target, kind: str, *, checked: bool) -> list[str]:
    """Add the function that C calls (docs/formats/products.md has the rules), and return what else is exported."""
    if (target.family, kind) != ("wasm32", "shared"):  # a module has the functions of WASI
        over_c_library(text)
    faults = text.faults or checked
    params = flat_params([(f"a{i}", p.type) for i, p in enumerate(function.params)])
    passed = [f"{kind} {name}" for kind, _, name in params]
    given = []
    for i, param in enumerate(function.params):
        flat = flat_params([(f"a{i}", param.type)])
        given += [f"{kind} {_extension(param.type, target)}{name}" for kind, _, name in flat]
    if faults:
        given.append("ptr %fault")
    made = _Body()
    if checked:
        _Contract(function, text, made).run()
    if text.faults:
        passed.append("ptr %fault")
    result = register_type(function.result)
    if result == "void":
        made.line(f"call void @{function.symbol}({commas(passed)})")
        made.line("ret void")
    else:
        made.line(f"ret {result} {made.make(f'call {result} @{function.symbol}({commas(passed)})')}")
    head = f"define {_extension(function.result, target)}{result} @{function.name}({commas(given)}) #0 {{"
    text.functions.append("\n".join([head, "entry:", *made.lines, "}"]))
    if not faults:
        return []
    _add_fault_texts(text)
    name = f"{function.name}_{FAULT_TEXT}"
    text.functions.append(
        f"define ptr @{name}(i64 %number) {{\n  %r = call ptr @hekla_fault_text(i64 %number)\n  ret ptr %r\n}}"
    )
    return [name]


def _extension(kind: t.Type, target: Target) -> str:
    """Return how C widens a narrow integer: to 32 bits by its sign; RISC-V widens 32 bits with the sign always."""
    if not isinstance(kind, t.ScalarType) or kind.kind == "float" or kind.bits == 64:
        return ""
    if kind.bits == 32:
        return "signext " if target.family == "riscv64" else ""
    return "signext " if kind.signed else "zeroext "


@dataclass(slots=True)
class _Body:
    """The lines of a function."""

    lines: list[str] = field(default_factory=list)
    count: int = 0

    def line(self, text: str) -> None:
        """Write a line that gives nothing."""
        self.lines.append(f"  {text}")

    def make(self, text: str) -> str:
        """Write a line that gives a value and return its name."""
        self.count += 1
        self.lines.append(f"  %t{self.count} = {text}")
        return f"%t{self.count}"


def _add_fault_texts(text: Text) -> None:
    """Add the function that finds a fault's text by number, from 1: one run of bytes and a table of places in it."""
    content, places = b"", [0]
    for message, span in text.sites:
        content += f"{_place(span)}: {message}\n".encode() + b"\0"
        places.append(len(content))
    content += b"\0"  # for numbers there are not
    bytes_name = text.constant(content)
    count = len(text.sites)
    table = commas(f"i32 {p}" for p in (*places, places[-1]))
    text.functions.append(f"""
@hekla_fault_places = internal constant [{count + 2} x i32] [{table}]
define internal ptr @hekla_fault_text(i64 %number) noinline cold {{
  %below = sub i64 %number, 1
  %known = icmp ult i64 %below, {count + 1}
  %at = select i1 %known, i64 %below, i64 {count}
  %place.at = getelementptr i32, ptr @hekla_fault_places, i64 %at
  %place = load i32, ptr %place.at
  %wide = zext i32 %place to i64
  %text = getelementptr i8, ptr {bytes_name}, i64 %wide
  ret ptr %text
}}""")


def _place(span: Span) -> str:
    """Return file:line:column without the folder: a product says nothing of where it was built."""
    return f"{span.file.replace(chr(92), '/').rpartition('/')[2]}:{span.line}:{span.column}"


class _Contract:
    """Checks what C promises of its arguments, before the kernel runs."""

    def __init__(self, function: Function, text: Text, made: _Body) -> None:
        self.function, self.text, self.made = function, text, made
        self.failed = 0

    def run(self) -> None:
        """Write the checks of every view, then of every pair of which one is written."""
        views = [(i, p) for i, p in enumerate(self.function.params) if isinstance(p.type, t.ViewType)]
        extents = [self._view(i, p.hint, p.type) for i, p in views]  # type: ignore[arg-type]  # filtered above
        for a, (_, one) in enumerate(views):
            for b, (_, other) in enumerate(views[a + 1 :], a + 1):
                writes = [p.hint for p in (one, other) if p.type.mutable]  # type: ignore[attr-defined]  # as above
                if writes:
                    self._apart(
                        extents[a], extents[b], f"{one.hint} and {other.hint} overlap, and {writes[0]} is written"
                    )

    def _require(self, condition: str, message: str) -> None:
        """End the call with a fault unless the condition holds."""
        self.text.sites.append((message, self.function.span))
        self.failed += 1
        good, bad = f"good{self.failed}", f"bad{self.failed}"
        self.made.line(f"br i1 {condition}, label %{good}, label %{bad}")
        self.made.lines.append(f"{bad}:")
        self.made.line(f"store i64 {len(self.text.sites)}, ptr %fault")
        result = register_type(self.function.result)
        self.made.line("ret void" if result == "void" else f"ret {result} zeroinitializer")
        self.made.lines.append(f"{good}:")

    def _view(self, number: int, name: str, kind: t.ViewType) -> tuple[str, str]:
        """Check one view and return (its first byte, the byte past its last), equal where it is empty."""
        make, prefix = self.made.make, f"%a{number}"
        size, align = t.size_and_align(kind.element)
        shape = [f"{prefix}.d{d}" for d in range(kind.rank)]
        strides = [f"{prefix}.s{d}" for d in range(kind.rank if kind.strided else kind.rank - 1)]
        for dimension, length in enumerate(shape):
            what = f"{name}.shape[{dimension}]"
            self._require(make(f"icmp sge i64 {length}, 0"), f"{what} is below 0")
        low = high = make(f"ptrtoint ptr {prefix}.p to i64")
        if align > 1:
            rest = make(f"and i64 {low}, {align - 1}")
            self._require(make(f"icmp eq i64 {rest}, 0"), f"{name} does not lie at a multiple of {align} bytes")
        empty = "false"
        for length, stride in zip(shape, [*strides, *(["1"] if not kind.strided else [])], strict=True):
            reach = make(f"mul i64 {make(f'mul i64 {stride}, {size}')}, {make(f'sub i64 {length}, 1')}")
            backwards = make(f"icmp slt i64 {reach}, 0")
            low = make(f"add i64 {low}, {make(f'select i1 {backwards}, i64 {reach}, i64 0')}")
            high = make(f"add i64 {high}, {make(f'select i1 {backwards}, i64 0, i64 {reach}')}")
            empty = make(f"or i1 {empty}, {make(f'icmp eq i64 {length}, 0')}")
        given = make(f"icmp ne ptr {prefix}.p, null")
        self._require(make(f"or i1 {given}, {empty}"), f"{name} is a null pointer")
        high = make(f"add i64 {high}, {size}")
        return low, make(f"select i1 {empty}, i64 {low}, i64 {high}")

    def _apart(self, one: tuple[str, str], other: tuple[str, str], message: str) -> None:
        make = self.made.make
        apart = make(f"icmp ule i64 {one[1]}, {other[0]}")
        for first, second in ((other[1], one[0]), (one[0], one[1]), (other[0], other[1])):
            predicate = "ule" if first is other[1] and second is one[0] else "eq"
            apart = make(f"or i1 {apart}, {make(f'icmp {predicate} i64 {first}, {second}')}")
        self._require(apart, message)
