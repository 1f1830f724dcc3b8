"""From the IR to LLVM's text: one method for each operation, chosen by its name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from hekla.lang import types as t
from hekla.lang.demand import ARCHES
from hekla.lang.ir.core import Block, Function, Loop, Module, Op, SlotType, Value
from hekla.lang.llvm.arithmetic import ARITHMETIC
from hekla.lang.llvm.control import CONTROL
from hekla.lang.llvm.environment import POOL
from hekla.lang.llvm.lines import Lines
from hekla.lang.llvm.memory import MEMORY
from hekla.lang.llvm.names import commas, memory_type, register_type, slot_size
from hekla.lang.llvm.system import SYSTEM
from hekla.lang.llvm.target import Target
from hekla.lang.llvm.threads import THREADS, UNLOCK, thread_text
from hekla.lang.llvm.vectors import VECTORS
from hekla.lang.llvm.views import Parts, flat_params, view_param
from hekla.lang.source import Span

LOOPS = 100  # the first number of the loops' metadata


@dataclass(slots=True)
class Text:
    """The LLVM module being written."""

    target: Target
    faults: bool = False  # kernels take a pointer to a fault's number, and stop where they set it
    declared: dict[str, str] = field(default_factory=dict)
    sites: list[tuple[str, Span]] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)
    stream: bool = False
    parallel: bool = False  # some kernel uses the thread pool
    waits: Span | None = None  # where a kernel first may wait for another thread
    lines: Lines | None = None  # instructions say which line of the source they come from
    vector_bits: int = 512
    demanded: frozenset[str] = frozenset()  # kernels whose loops are numbered, because @vectorize watches them
    loops: list[tuple[Function, Loop]] = field(default_factory=list)  # the numbered loops
    constants: list[str] = field(default_factory=list)  # texts, by number

    def declare(self, name: str, result: str, params: str) -> str:
        """Declare an external function or intrinsic once and return its name."""
        self.declared[name] = f"declare {result} @{name}({params})"
        return name

    def add(self, code: str) -> None:
        """Add functions; what they declare is declared once."""
        lines = []
        for line in code.splitlines():
            if line.startswith("declare "):
                self.declared.setdefault(line.partition("@")[2].partition("(")[0], line)
            else:
                lines.append(line)
        self.functions.append("\n".join(lines))

    def constant(self, content: bytes) -> str:
        """Return the name of constant bytes."""
        escaped = "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{b:02X}" for b in content)
        line = f'private unnamed_addr constant [{len(content)} x i8] c"{escaped}"'
        if line not in self.constants:
            self.constants.append(line)
        return f"@text.{self.constants.index(line)}"

    def finish(self) -> str:
        """Return the whole module."""
        head = f'target triple = "{self.target.triple}"\n'
        head += thread_text(self.target) if self.waits is not None else ""
        width = f'"prefer-vector-width"="{self.vector_bits}"'
        attributes = f'attributes #0 = {{ nounwind {width} "no-trapping-math"="true" }}\n'
        if self.parallel:
            head += f"@{POOL} = global [2 x ptr] zeroinitializer\n"
        metadata = ["!0 = !{i32 1}"] if self.stream else []
        for number in range(len(self.loops)):
            own, tag = f"!{LOOPS + 2 * number}", f"!{LOOPS + 2 * number + 1}"
            metadata += [f"{own} = distinct !{{{own}, {tag}}}", f'{tag} = !{{!"hekla.loop", i32 {number}}}']
        metadata += self.lines.finish() if self.lines is not None else []
        texts = [f"@text.{number} = {line}" for number, line in enumerate(self.constants)]
        return head + "\n".join([*texts, *self.functions, *self.declared.values(), attributes, *metadata]) + "\n"


def emit_module(module: Module, target: Target, lines: Lines | None = None, *, number_all: bool = False) -> Text:
    """Return the LLVM text of a module; every kernel is internal, callers add entries.

    lines: puts lines of the source into the text. number_all: number the loops of every kernel, so that their
    fates can be read (llvm/loops.py); without it, only of kernels under @vectorize and what they call.
    """
    text = Text(target, faults=any(may_fault(f) for f in module.functions.values()), lines=lines)
    text.demanded = frozenset(module.functions) if number_all else demanded_kernels(module)
    text.vector_bits = min([ARCHES[f.demand.arch].bits for f in module.functions.values() if f.demand] or [512])
    if text.demanded and text.lines is None:
        text.lines = Lines()
    for function in module.functions.values():
        FunctionText(function, module, text).run()
    return text


def demanded_kernels(module: Module) -> frozenset[str]:
    """Return the kernels under @vectorize and all they call."""
    found: set[str] = set()
    waiting = [f for f in module.functions.values() if f.demand is not None]
    while waiting:
        function = waiting.pop()
        if function.symbol not in found:
            found.add(function.symbol)
            called = [op.attrs["callee"] for b in function.blocks for op in b.ops if "callee" in op.attrs]
            waiting += [module.functions[name] for name in called]
    return frozenset(found)


def may_fault(function: Function) -> bool:
    """True where a function checks something while it runs: in checked builds, and where it asks for memory."""
    return any(
        op.name in ("cf.assert", "memref.alloc", "memref.region", "memref.take")
        for block in function.blocks
        for op in block.ops
    )


class FunctionText:
    """Writes one function; also what the handlers of single operations work with."""

    def __init__(self, function: Function, module: Module, text: Text) -> None:
        self.function, self.module, self.text = function, module, text
        self.lines: list[str] = []
        self.refs: dict[Value, str] = {}
        self.views: dict[Value, Parts] = {}
        self.constants: dict[Value, int | float | bool] = {}
        self.allocas: list[str] = []  # all in the first block: elsewhere each turn of a loop would take more stack
        self.held: list[str] = []  # pointers to the locks that are held where the writing stands
        self._held_at: dict[Block, list[str]] = {}
        self.owners: list[str] = []  # slots whose memory a fault frees; a slot that owns nothing holds null
        self.unwinds = False
        self._count = 0

    def run(self) -> None:
        """Write the function into the module."""
        names = [(f"a{i}", p.type) for i, p in enumerate(self.function.params)]
        for (name, kind), param in zip(names, self.function.params, strict=True):
            if isinstance(kind, t.ViewType):
                self.views[param] = view_param(name, kind)
            else:
                self.refs[param] = f"%{name}"
        params = [f"{kind} {attributes} {name}" for kind, attributes, name in flat_params(names)]
        if self.text.faults:
            params.append("ptr noalias %fault")
        inline = " alwaysinline" if self.function.inline else ""
        result = register_type(self.function.result)
        for block in self.function.blocks:
            self._block(block)
        if self.unwinds:
            self._unwind()
        self.lines[1:1] = self.allocas
        place = (
            f" !dbg !{self.text.lines.scope(self.function.symbol, self.function.span)}"
            if self.text.lines is not None
            else ""
        )
        head = f"define internal {result} @{self.function.symbol}({commas(params)}){inline} #0{place} {{"
        self.text.functions.append("\n".join([head, *self.lines, "}"]))

    def _unwind(self) -> None:
        """Write the way out of a fault: free what every slot still owns."""
        self.lines.append("unwind:")
        self.text.declare("free", "void", "ptr")
        for slot in self.owners:
            self.line(f"call void @free(ptr {self.make(f'load ptr, ptr {slot}, align 8')})")
        self._return_nothing()

    def _block(self, block: Block) -> None:
        self.lines.append(f"{block.label}:")
        self.held = list(self._held_at.get(block, ()))
        for op in block.ops:
            written = len(self.lines)
            HANDLERS[op.name](self, op)
            if self.text.lines is not None:
                here = self.text.lines.location(self.function.symbol, self.function.span, op.span)
                self.lines[written:] = [f"{x}, !dbg !{here}" if x.startswith("  ") else x for x in self.lines[written:]]
        for target in block.ops[-1].attrs.get("targets", ()):
            self._held_at.setdefault(target, self.held)

    # --- what handlers use ------------------------------------------------------------------------------

    def fresh(self) -> str:
        """Return an unused name."""
        self._count += 1
        return f"%v{self._count}"

    def line(self, text: str) -> None:
        """Write a line that gives nothing."""
        self.lines.append(f"  {text}")

    def make(self, text: str) -> str:
        """Write a line that gives a value and return its name."""
        name = self.fresh()
        self.lines.append(f"  {name} = {text}")
        return name

    def ref(self, value: Value) -> str:
        """Return the text of a value that is not a view."""
        return self.refs[value]

    def typed(self, value: Value) -> str:
        """Return type and text of a value."""
        return f"{register_type(value.type)} {self.refs[value]}"

    def intrinsic(self, name: str, result: str, args: Sequence[str]) -> str:
        """Call an intrinsic; `args` are "type text", and their types declare it."""
        kinds = commas(_type_of(a) for a in args)
        self.text.declare(name, result, kinds)
        call = f"call {result} @{name}({commas(args)})"
        if result == "void":
            self.line(call)
            return ""
        return self.make(call)

    def set(self, op: Op, text: str) -> None:
        """Say what the operation's result is called."""
        assert op.result is not None
        self.refs[op.result] = text

    def label(self) -> str:
        """Return an unused block name."""
        self._count += 1
        return f"b{self._count}"

    def fail_unless(self, condition: str, message: str, span: Span) -> None:
        """Leave the kernel with a fault unless the condition holds."""
        self.text.sites.append((message, span))
        good, bad = self.label(), self.label()
        self.line(f"br i1 {condition}, label %{good}, label %{bad}")
        self.lines.append(f"{bad}:")
        self.line(f"store i64 {len(self.text.sites)}, ptr %fault")
        self.leave()
        self.lines.append(f"{good}:")

    def loop_tag(self, op: Op) -> str:
        """Return what numbers the loop whose turn a branch ends; nothing for other branches."""
        loop = op.attrs.get("loop")
        if loop is None or self.function.symbol not in self.text.demanded:
            return ""
        if (self.function, loop) not in self.text.loops:
            self.text.loops.append((self.function, loop))
        return f", !llvm.loop !{LOOPS + 2 * self.text.loops.index((self.function, loop))}"

    def leave(self) -> None:
        """Give back the locks, free what is owned here, and return a value nobody will look at."""
        for pointer in reversed(self.held):
            self.line(f"call void @{UNLOCK}(ptr {pointer})")
        if self.owners:
            self.unwinds = True
            self.line("br label %unwind")
            return
        self._return_nothing()

    def _return_nothing(self) -> None:
        result = register_type(self.function.result)
        self.line("ret void" if result == "void" else f"ret {result} zeroinitializer")

    # --- memory -----------------------------------------------------------------------------------------

    def offset(self, pointer: str, index: str, size: int) -> str:
        """Return a pointer `index` elements of `size` bytes further."""
        if index == "0":
            return pointer
        return self.make(f"getelementptr inbounds [{size} x i8], ptr {pointer}, i64 {index}")

    def element_index(self, parts: Parts, indices: Sequence[str]) -> str:
        """Return how many elements a place lies from the start of a view."""
        total = ""
        for index, stride in zip(indices, parts.strides, strict=True):
            if index == "0":
                continue
            term = index if stride == "1" else self.make(f"mul nsw i64 {index}, {stride}")
            total = self.make(f"add nsw i64 {total}, {term}") if total else term
        return total or "0"

    def address(self, op: Op, leading: int) -> tuple[str, t.Type]:
        """Return (pointer, type) of the place an operation names; `leading` operands precede its indices."""
        root, indices = op.operands[leading - 1], [self.ref(v) for v in op.operands[leading:]]
        path = list(op.attrs["path"])
        if isinstance(root.type, t.ViewType):
            rank = root.type.rank
            pointer = self.view_address(root, indices[:rank])
            kind: t.Type = root.type.element
            path, indices = path[rank:], indices[rank:]
        else:
            assert isinstance(root.type, SlotType)
            pointer, kind = self.ref(root), root.type.element
        return self._walk(pointer, kind, path, indices)

    def _walk(self, pointer: str, kind: t.Type, path: Sequence[str | int], indices: list[str]) -> tuple[str, t.Type]:
        for step in path:
            if isinstance(step, int):
                assert isinstance(kind, t.StructType)
                pointer = self.byte_offset(pointer, t.struct_layout(kind)[0][step])
                kind = kind.fields[step][1]
                continue
            if isinstance(kind, t.BufferType):
                pointer = self.make(f"load ptr, ptr {pointer}, align 8")
            assert isinstance(kind, t.ArrayType | t.BufferType)
            kind = kind.element
            pointer = self.offset(pointer, indices.pop(0), t.size_and_align(kind)[0])
        return pointer, kind

    def byte_offset(self, pointer: str, count: int) -> str:
        """Return a pointer some bytes further."""
        return pointer if count == 0 else self.make(f"getelementptr inbounds i8, ptr {pointer}, i64 {count}")

    def view_address(self, view: Value, indices: Sequence[str]) -> str:
        """Return the pointer to an element of a view."""
        assert isinstance(view.type, t.ViewType)
        parts = self.views[view]
        return self.offset(parts.pointer, self.element_index(parts, indices), t.size_and_align(view.type.element)[0])

    def load(self, pointer: str, kind: t.Type, align: int | None = None) -> str:
        """Load a value of any type and return its text."""
        if t.element_of(kind) == t.bool_:
            raw = self.make(f"load {memory_type(kind)}, ptr {pointer}, align {align or slot_size(kind)[1]}")
            return self.make(f"icmp ne {memory_type(kind)} {raw}, zeroinitializer")
        if isinstance(kind, t.StructType | t.ArrayType):
            return self._load_parts(pointer, kind)
        return self.make(f"load {register_type(kind)}, ptr {pointer}, align {align or slot_size(kind)[1]}")

    def _load_parts(self, pointer: str, kind: t.StructType | t.ArrayType) -> str:
        whole = "poison"
        for position, (offset, part) in enumerate(parts_of(kind)):
            value = self.load(self.byte_offset(pointer, offset), part)
            whole = self.make(f"insertvalue {register_type(kind)} {whole}, {register_type(part)} {value}, {position}")
        return whole

    def store(self, text: str, kind: t.Type, pointer: str, align: int | None = None) -> None:
        """Store a value of any type."""
        if t.element_of(kind) == t.bool_:
            wide = self.make(f"zext {register_type(kind)} {text} to {memory_type(kind)}")
            self.line(f"store {memory_type(kind)} {wide}, ptr {pointer}, align {align or slot_size(kind)[1]}")
        elif isinstance(kind, t.StructType | t.ArrayType):
            for position, (offset, part) in enumerate(parts_of(kind)):
                value = self.make(f"extractvalue {register_type(kind)} {text}, {position}")
                self.store(value, part, self.byte_offset(pointer, offset))
        else:
            self.line(f"store {register_type(kind)} {text}, ptr {pointer}, align {align or slot_size(kind)[1]}")

    def pack_view(self, value: Value) -> str:
        """Return a view as one aggregate."""
        assert isinstance(value.type, t.ViewType)
        parts, kind = self.views[value], register_type(value.type)
        whole = self.make(f"insertvalue {kind} poison, ptr {parts.pointer}, 0")
        for position, word in enumerate(parts.words(value.type), 1):
            whole = self.make(f"insertvalue {kind} {whole}, i64 {word}, {position}")
        return whole

    def unpack_view(self, text: str, kind: t.ViewType) -> Parts:
        """Return the parts of a view given as one aggregate."""
        count = kind.rank * 2 - (0 if kind.strided else 1)
        pointer, *words = (self.make(f"extractvalue {register_type(kind)} {text}, {i}") for i in range(count + 1))
        return Parts(pointer, words[: kind.rank], words[kind.rank :] + ([] if kind.strided else ["1"]))

    def whole(self, value: Value) -> str:
        """Return the text of any value, views as aggregates."""
        return self.pack_view(value) if isinstance(value.type, t.ViewType) else self.ref(value)

    def set_whole(self, op: Op, text: str) -> None:
        """Say what the result is called, views from aggregates."""
        assert op.result is not None
        if isinstance(op.result.type, t.ViewType):
            self.views[op.result] = self.unpack_view(text, op.result.type)
        else:
            self.refs[op.result] = text


def parts_of(kind: t.StructType | t.ArrayType) -> list[tuple[int, t.Type]]:
    """Return (byte offset, type) of each field as written, or of each element."""
    if isinstance(kind, t.StructType):
        offsets, _ = t.struct_layout(kind)
        return [(offset, f) for offset, (_, f) in zip(offsets, kind.fields, strict=True)]
    size = t.size_and_align(kind.element)[0]
    return [(size * i, kind.element) for i in range(kind.length)]


def _type_of(argument: str) -> str:
    """Return the type in "type text"; vector types have spaces, texts have none."""
    if argument.startswith("<"):
        return argument[: argument.index(">") + 1]
    return argument.split(" ", 1)[0]


HANDLERS: Mapping[str, Callable[[FunctionText, Op], None]] = {
    **CONTROL, **MEMORY, **ARITHMETIC, **VECTORS, **SYSTEM, **THREADS,
}  # fmt: skip
