"""From the IR to LLVM's text: one method for each operation, chosen by its name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hekla.lang import types as t
from hekla.lang.ir.core import Block, Function, Module, Op, SlotType, Value
from hekla.lang.llvm.arithmetic import ARITHMETIC
from hekla.lang.llvm.names import commas, literal, memory_type, register_type, slot_size, suffix
from hekla.lang.llvm.target import Target
from hekla.lang.llvm.vectors import VECTORS
from hekla.lang.source import Span

OUT_OF_MEMORY = "out of memory"
MAX_BYTES = 1 << 46  # of one buffer; no machine has more, and sums of sizes cannot wrap
ALIGNMENT = 64  # of buffers, in bytes: a cache line, and the widest vector


@dataclass(slots=True)
class Parts:
    """A view taken apart: the text of its pointer, sizes and strides (in elements; a dense last one is "1")."""

    pointer: str
    shape: list[str]
    strides: list[str]

    def words(self, kind: t.ViewType) -> list[str]:
        """Return what the view carries besides its pointer."""
        return [*self.shape, *(self.strides if kind.strided else self.strides[:-1])]


@dataclass(slots=True)
class Text:
    """The LLVM module being written."""

    target: Target
    faults: bool = False  # kernels take a pointer to a fault's number, and stop where they set it
    declared: dict[str, str] = field(default_factory=dict)
    sites: list[tuple[str, Span]] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)
    stream: bool = False

    def declare(self, name: str, result: str, params: str) -> str:
        """Declare an external function or intrinsic once and return its name."""
        self.declared[name] = f"declare {result} @{name}({params})"
        return name

    def finish(self) -> str:
        """Return the whole module."""
        head = f'target triple = "{self.target.triple}"\n'
        attributes = 'attributes #0 = { nounwind "prefer-vector-width"="512" "no-trapping-math"="true" }\n'
        metadata = ["!0 = !{i32 1}"] if self.stream else []
        return head + "\n".join([*self.functions, *self.declared.values(), attributes, *metadata]) + "\n"


def emit_module(module: Module, target: Target) -> Text:
    """Return the LLVM text of a module; every kernel is internal, callers add entries."""
    text = Text(target, faults=any(may_fault(f) for f in module.functions.values()))
    for function in module.functions.values():
        FunctionText(function, module, text).run()
    return text


def may_fault(function: Function) -> bool:
    """True where a function checks something while it runs: in checked builds, and where it asks for memory."""
    return any(op.name in ("cf.assert", "memref.alloc") for block in function.blocks for op in block.ops)


def flat_params(params: Sequence[tuple[str, t.Type]]) -> list[tuple[str, str, str]]:
    """Return (LLVM type, attributes, name) of each LLVM parameter: a view becomes its pointer and its words.

    The ownership checker has shown that nobody else reads or writes what a MutView covers while the kernel
    runs, and that nobody writes what a View covers: LLVM is told.
    """
    flat: list[tuple[str, str, str]] = []
    for name, kind in params:
        if isinstance(kind, t.ViewType):
            align = t.size_and_align(kind.element)[1]
            access = "noalias" if kind.mutable else "noalias readonly"
            flat.append(("ptr", f"{access} captures(none) align {align}", f"%{name}.p"))
            flat += [("i64", "", f"%{name}.d{d}") for d in range(kind.rank)]
            flat += [("i64", "", f"%{name}.s{d}") for d in range(kind.rank if kind.strided else kind.rank - 1)]
        else:
            flat.append((register_type(kind), "", f"%{name}"))
    return flat


class FunctionText:
    """Writes one function; also what the handlers of single operations work with."""

    def __init__(self, function: Function, module: Module, text: Text) -> None:
        self.function, self.module, self.text = function, module, text
        self.lines: list[str] = []
        self.refs: dict[Value, str] = {}
        self.views: dict[Value, Parts] = {}
        self.constants: dict[Value, int | float | bool] = {}
        self.allocas: list[str] = []  # all in the first block: elsewhere each turn of a loop would take more stack
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
        self.lines[1:1] = self.allocas
        head = f"define internal {result} @{self.function.symbol}({commas(params)}){inline} #0 {{"
        self.text.functions.append("\n".join([head, *self.lines, "}"]))

    def _block(self, block: Block) -> None:
        self.lines.append(f"{block.label}:")
        for op in block.ops:
            HANDLERS[op.name](self, op)

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

    def leave(self) -> None:
        """Return a value nobody will look at."""
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


def view_param(name: str, kind: t.ViewType) -> Parts:
    """Return the parts of a view that came as LLVM parameters named by `flat_params`."""
    strides = [f"%{name}.s{d}" for d in range(kind.rank if kind.strided else kind.rank - 1)]
    return Parts(f"%{name}.p", [f"%{name}.d{d}" for d in range(kind.rank)], strides + ([] if kind.strided else ["1"]))


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


# --- the operations that are not arithmetic -----------------------------------------------------------------


def _constant(f: FunctionText, op: Op) -> None:
    assert op.result is not None
    f.constants[op.result] = op.attrs["value"]
    f.set(op, literal(op.result.type, op.attrs["value"]))


def _alloca(f: FunctionText, op: Op) -> None:
    assert op.result is not None
    assert isinstance(op.result.type, SlotType)
    kind = op.result.type.element
    size, align = slot_size(kind)
    plain = isinstance(kind, t.ScalarType | t.VecType)
    if size >= ALIGNMENT:
        align = ALIGNMENT  # an array that is read as vectors: none lies across two cache lines
    f.set(op, f.make(f"alloca {memory_type(kind) if plain else f'[{size} x i8]'}, align {align}"))


def _load(f: FunctionText, op: Op) -> None:
    pointer, kind = f.address(op, 1)
    align = 1 if isinstance(kind, t.VecType) and op.attrs["path"] else None
    f.set_whole(op, f.load(pointer, kind, align))


def _store(f: FunctionText, op: Op) -> None:
    pointer, kind = f.address(op, 2)
    align = 1 if isinstance(kind, t.VecType) and op.attrs["path"] else None
    f.store(f.whole(op.operands[0]), kind, pointer, align)


def _fill(f: FunctionText, op: Op) -> None:
    """A loop of stores; LLVM makes a memset of it where one will do."""
    pointer, _ = f.address(op, 2)
    value = op.operands[0]
    size, align = t.size_and_align(value.type)
    counter = f.fresh()
    f.allocas.append(f"  {counter} = alloca i64")
    head, body, after = f.label(), f.label(), f.label()
    f.line(f"store i64 0, ptr {counter}")
    f.line(f"br label %{head}")
    f.lines.append(f"{head}:")
    i = f.make(f"load i64, ptr {counter}")
    more = f.make(f"icmp slt i64 {i}, {op.attrs['length']}")
    f.line(f"br i1 {more}, label %{body}, label %{after}")
    f.lines.append(f"{body}:")
    f.store(f.ref(value), value.type, f.offset(pointer, i, size), align)
    f.line(f"store i64 {f.make(f'add nsw i64 {i}, 1')}, ptr {counter}")
    f.line(f"br label %{head}")
    f.lines.append(f"{after}:")


def _dim(f: FunctionText, op: Op) -> None:
    root = op.operands[0]
    if isinstance(root.type, t.ViewType):
        f.set(op, f.views[root].shape[op.attrs["dimension"]])
        return
    f.set(op, f.make(f"load i64, ptr {f.byte_offset(f.ref(root), 8)}, align 8"))


def _stride(f: FunctionText, op: Op) -> None:
    f.set(op, f.views[op.operands[0]].strides[op.attrs["dimension"]])


def _cast(f: FunctionText, op: Op) -> None:
    assert op.result is not None
    f.views[op.result] = f.views[op.operands[0]]


def _subview(f: FunctionText, op: Op) -> None:
    view = op.operands[0]
    assert isinstance(view.type, t.ViewType)
    assert op.result is not None
    parts = f.views[view]
    words = [f.ref(v) for v in op.operands[1:]]
    first, shape, strides = [], [], []
    for dimension, letter in enumerate(op.attrs["form"]):
        stride = parts.strides[dimension]
        if letter == "-":
            first.append("0")
            shape.append(parts.shape[dimension])
            strides.append(stride)
            continue
        first.append(words.pop(0))
        if letter == "i":
            continue
        length = f.make(f"sub nsw i64 {words.pop(0)}, {first[-1]}")
        length = f.intrinsic("llvm.smax.i64", "i64", [f"i64 {length}", "i64 0"])
        if letter == "k":
            step = words.pop(0)
            length = f.make(f"udiv i64 {f.make(f'add nsw i64 {length}, {int(step) - 1}')}, {step}")
            stride = step if stride == "1" else f.make(f"mul nsw i64 {stride}, {step}")
        shape.append(length)
        strides.append(stride)
    f.views[op.result] = Parts(f.view_address(view, first), shape, strides)


def _borrow(f: FunctionText, op: Op) -> None:
    root = op.operands[0]
    assert isinstance(root.type, SlotType)
    assert op.result is not None
    kind, slot = root.type.element, f.ref(root)
    if isinstance(kind, t.BufferType):
        pointer = f.make(f"load ptr, ptr {slot}, align 8")
        length = f.make(f"load i64, ptr {f.byte_offset(slot, 8)}, align 8")
        f.views[op.result] = Parts(pointer, [length], ["1"])
        return
    shape: list[int] = []
    while isinstance(kind, t.ArrayType):
        shape.append(kind.length)
        kind = kind.element
    strides = [1]
    for extent in reversed(shape[1:]):
        strides.insert(0, strides[0] * extent)
    f.views[op.result] = Parts(slot, [str(s) for s in shape], [str(s) for s in strides])


def _alloc(f: FunctionText, op: Op) -> None:
    """Aligned and zeroed; a length below 0 is 0. The bytes are rounded up to whole cache lines.

    Without memory the kernel ends in a fault; what it owned then is not freed.
    """
    assert op.result is not None
    assert isinstance(op.result.type, t.BufferType)
    size = t.size_and_align(op.result.type.element)[0]
    length = f.intrinsic("llvm.smax.i64", "i64", [f.typed(op.operands[0]), "i64 0"])
    f.fail_unless(f.make(f"icmp ule i64 {length}, {MAX_BYTES // size}"), OUT_OF_MEMORY, op.span)
    count = f.make(f"mul i64 {length}, {size}")
    rounded = f.make(f"and i64 {f.make(f'add i64 {count}, {2 * ALIGNMENT - 1}')}, {-ALIGNMENT}")
    f.text.declare("aligned_alloc", "noalias ptr", "i64, i64")
    pointer = f.make(f"call noalias align {ALIGNMENT} ptr @aligned_alloc(i64 {ALIGNMENT}, i64 {rounded})")
    f.fail_unless(f.make(f"icmp ne ptr {pointer}, null"), OUT_OF_MEMORY, op.span)
    f.text.declare("llvm.memset.p0.i64", "void", "ptr, i8, i64, i1")
    f.line(f"call void @llvm.memset.p0.i64(ptr {pointer}, i8 0, i64 {rounded}, i1 false)")
    whole = f.make(f"insertvalue {{ ptr, i64 }} poison, ptr {pointer}, 0")
    f.set(op, f.make(f"insertvalue {{ ptr, i64 }} {whole}, i64 {length}, 1"))


def _dealloc(f: FunctionText, op: Op) -> None:
    f.text.declare("free", "void", "ptr")
    f.line(f"call void @free(ptr {f.make(f'load ptr, ptr {f.ref(op.operands[0])}, align 8')})")


def _prefetch(f: FunctionText, op: Op) -> None:
    view = op.operands[0]
    assert isinstance(view.type, t.ViewType)
    parts, size = f.views[view], t.size_and_align(view.type.element)[0]
    index = f.element_index(parts, [f.ref(v) for v in op.operands[1:]])
    pointer = f.make(f"getelementptr [{size} x i8], ptr {parts.pointer}, i64 {index}")  # may lie outside
    f.intrinsic("llvm.prefetch.p0", "void", [f"ptr {pointer}", "i32 0", "i32 3", "i32 1"])


def _struct(f: FunctionText, op: Op) -> None:
    assert op.result is not None
    kind, whole = register_type(op.result.type), "poison"
    for position, value in enumerate(op.operands):
        whole = f.make(f"insertvalue {kind} {whole}, {f.typed(value)}, {position}")
    f.set(op, whole)


def _splat_array(f: FunctionText, op: Op) -> None:
    assert op.result is not None
    assert isinstance(op.result.type, t.ArrayType)
    kind, whole = register_type(op.result.type), "poison"
    for position in range(op.result.type.length):
        whole = f.make(f"insertvalue {kind} {whole}, {f.typed(op.operands[0])}, {position}")
    f.set(op, whole)


def _extract_value(f: FunctionText, op: Op) -> None:
    f.set(op, f.make(f"extractvalue {f.typed(op.operands[0])}, {op.attrs['position']}"))


def _call(f: FunctionText, op: Op) -> None:
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
        fault = f.make("load i64, ptr %fault")
        good, bad = f.label(), f.label()
        f.line(f"br i1 {f.make(f'icmp eq i64 {fault}, 0')}, label %{good}, label %{bad}")
        f.lines.append(f"{bad}:")
        f.leave()
        f.lines.append(f"{good}:")


def _return(f: FunctionText, op: Op) -> None:
    if not op.operands:
        f.line("ret void")
    else:
        f.line(f"ret {register_type(op.operands[0].type)} {f.whole(op.operands[0])}")


def _branch(f: FunctionText, op: Op) -> None:
    f.line(f"br label %{op.attrs['targets'][0].label}")


def _conditional_branch(f: FunctionText, op: Op) -> None:
    then, other = op.attrs["targets"]
    f.line(f"br i1 {f.ref(op.operands[0])}, label %{then.label}, label %{other.label}")


def _assert(f: FunctionText, op: Op) -> None:
    f.fail_unless(f.ref(op.operands[0]), op.attrs["message"], op.span)


HANDLERS: dict[str, Callable[[FunctionText, Op], None]] = {
    "arith.constant": _constant, "memref.alloca": _alloca, "memref.load": _load, "memref.store": _store,
    "memref.fill": _fill, "memref.dim": _dim, "memref.stride": _stride, "memref.cast": _cast,
    "memref.subview": _subview, "memref.borrow": _borrow, "memref.alloc": _alloc, "memref.dealloc": _dealloc,
    "memref.prefetch": _prefetch, "llvm.struct": _struct, "llvm.extractvalue": _extract_value,
    "tensor.splat": _splat_array, "tensor.from_elements": _struct, "func.call": _call, "func.return": _return,
    "cf.br": _branch, "cf.cond_br": _conditional_branch, "cf.assert": _assert,
    **ARITHMETIC, **VECTORS,
}  # fmt: skip

__all__ = ["FunctionText", "Parts", "Text", "emit_module", "flat_params", "suffix", "view_param"]
