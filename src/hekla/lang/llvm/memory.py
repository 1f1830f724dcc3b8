"""LLVM for memory: slots, views, buffers, records, atomics."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from hekla.base.errors import UnsupportedError
from hekla.lang import types as t
from hekla.lang.ir.core import Op, SlotType
from hekla.lang.llvm.names import memory_type, register_type, slot_size
from hekla.lang.llvm.views import Parts

if TYPE_CHECKING:
    from hekla.lang.llvm.text import FunctionText

REGION_FULL = "the region is full"
OUT_OF_MEMORY = "out of memory"
MAX_BYTES = 1 << 46  # of one buffer; no machine has more, and sums of sizes cannot wrap
MAX_BYTES_32 = 1 << 30  # the same where addresses have 32 bits
ALIGNMENT = 64  # of buffers, in bytes: a cache line, and the widest vector


def _alloca(f: "FunctionText", op: Op) -> None:
    assert op.result is not None
    assert isinstance(op.result.type, SlotType)
    kind = op.result.type.element
    size, align = slot_size(kind)
    plain = isinstance(kind, t.ScalarType | t.VecType)
    if size >= ALIGNMENT:
        align = ALIGNMENT  # an array that is read as vectors: none lies across two cache lines
    f.set(op, f.make(f"alloca {memory_type(kind) if plain else f'[{size} x i8]'}, align {align}"))
    if isinstance(kind, t.OWNED) and f.text.faults:
        f.owners.append(f.ref(op.result))
        _owns_nothing(f, f.ref(op.result))


def _owns_nothing(f: "FunctionText", slot: str) -> None:
    """Note that a slot's memory is not this kernel's to free: a fault frees what every slot owns."""
    if slot in f.owners:
        f.line(f"store ptr null, ptr {slot}, align 8")


def _load(f: "FunctionText", op: Op) -> None:
    pointer, kind = f.address(op, 1)
    align = 1 if isinstance(kind, t.VecType) and op.attrs["path"] else None
    f.set_whole(op, f.load(pointer, kind, align))
    if isinstance(kind, t.OWNED):
        _owns_nothing(f, pointer)  # a whole owner is read to be moved


def _store(f: "FunctionText", op: Op) -> None:
    pointer, kind = f.address(op, 2)
    align = 1 if isinstance(kind, t.VecType) and op.attrs["path"] else None
    f.store(f.whole(op.operands[0]), kind, pointer, align)


def _fill(f: "FunctionText", op: Op) -> None:
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


def _dim(f: "FunctionText", op: Op) -> None:
    root = op.operands[0]
    if isinstance(root.type, t.ViewType):
        f.set(op, f.views[root].shape[op.attrs["dimension"]])
        return
    f.set(op, f.make(f"load i64, ptr {f.byte_offset(f.ref(root), 8)}, align 8"))


def _stride(f: "FunctionText", op: Op) -> None:
    f.set(op, f.views[op.operands[0]].strides[op.attrs["dimension"]])


def _cast(f: "FunctionText", op: Op) -> None:
    assert op.result is not None
    f.views[op.result] = f.views[op.operands[0]]


def _subview(f: "FunctionText", op: Op) -> None:
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


def _borrow(f: "FunctionText", op: Op) -> None:
    root = op.operands[0]
    assert isinstance(root.type, SlotType)
    assert op.result is not None
    kind, slot = root.type.element, f.ref(root)
    if isinstance(kind, t.BufferType):
        pointer = f.make(f"load ptr, ptr {slot}, align 8")
        length = f.make(f"load i64, ptr {f.byte_offset(slot, 8)}, align 8")
        f.views[op.result] = Parts(pointer, [length], ["1"])
        return
    shape: list[int] = [] if isinstance(kind, t.ArrayType) else [1]
    while isinstance(kind, t.ArrayType):
        shape.append(kind.length)
        kind = kind.element
    strides = [1]
    for extent in reversed(shape[1:]):
        strides.insert(0, strides[0] * extent)
    f.views[op.result] = Parts(slot, [str(s) for s in shape], [str(s) for s in strides])


def max_bytes(f: "FunctionText") -> int:
    """Return the most bytes one buffer may have on the target."""
    return MAX_BYTES if f.text.target.pointer_bits == 64 else MAX_BYTES_32


def _allocated(f: "FunctionText", count: str) -> str:
    """Call the allocator, whose sizes are as wide as the target's addresses."""
    word = f"i{f.text.target.pointer_bits}"
    f.text.declare("aligned_alloc", "noalias ptr", f"{word}, {word}")
    size = count if word == "i64" else f.make(f"trunc i64 {count} to {word}")
    return f.make(f"call noalias align {ALIGNMENT} ptr @aligned_alloc({word} {ALIGNMENT}, {word} {size})")


def _zero(f: "FunctionText", pointer: str, count: str) -> None:
    word = f"i{f.text.target.pointer_bits}"
    f.text.declare(f"llvm.memset.p0.{word}", "void", f"ptr, i8, {word}, i1")
    size = count if word == "i64" else f.make(f"trunc i64 {count} to {word}")
    f.line(f"call void @llvm.memset.p0.{word}(ptr align {ALIGNMENT} {pointer}, i8 0, {word} {size}, i1 false)")


def _alloc(f: "FunctionText", op: Op) -> None:
    """Aligned and zeroed; a length below 0 is 0. The bytes are rounded up to whole cache lines.

    Without memory the kernel ends in a fault.
    """
    assert op.result is not None
    assert isinstance(op.result.type, t.BufferType)
    size = t.size_and_align(op.result.type.element)[0]
    length = f.intrinsic("llvm.smax.i64", "i64", [f.typed(op.operands[0]), "i64 0"])
    f.fail_unless(f.make(f"icmp ule i64 {length}, {max_bytes(f) // size}"), OUT_OF_MEMORY, op.span)
    count = f.make(f"mul i64 {length}, {size}")
    rounded = f.make(f"and i64 {f.make(f'add i64 {count}, {2 * ALIGNMENT - 1}')}, {-ALIGNMENT}")
    pointer = _allocated(f, rounded)
    f.fail_unless(f.make(f"icmp ne ptr {pointer}, null"), OUT_OF_MEMORY, op.span)
    _zero(f, pointer, rounded)
    whole = f.make(f"insertvalue {{ ptr, i64 }} poison, ptr {pointer}, 0")
    f.set(op, f.make(f"insertvalue {{ ptr, i64 }} {whole}, i64 {length}, 1"))


def _region(f: "FunctionText", op: Op) -> None:
    """Memory that is not yet touched: each piece is zeroed when it is handed out. A size below 0 is 0."""
    size = f.intrinsic("llvm.smax.i64", "i64", [f.typed(op.operands[0]), "i64 0"])
    f.fail_unless(f.make(f"icmp ule i64 {size}, {max_bytes(f)}"), OUT_OF_MEMORY, op.span)
    rounded = f.make(f"and i64 {f.make(f'add i64 {size}, {2 * ALIGNMENT - 1}')}, {-ALIGNMENT}")
    pointer = _allocated(f, rounded)
    f.fail_unless(f.make(f"icmp ne ptr {pointer}, null"), OUT_OF_MEMORY, op.span)
    kind = "{ ptr, i64, i64 }"
    whole = f.make(f"insertvalue {kind} poison, ptr {pointer}, 0")
    whole = f.make(f"insertvalue {kind} {whole}, i64 {size}, 1")
    f.set(op, f.make(f"insertvalue {kind} {whole}, i64 0, 2"))


def _take(f: "FunctionText", op: Op) -> None:
    """The next bytes on a cache line of their own, zeroed; a fault where they do not fit."""
    assert op.result is not None
    assert isinstance(op.result.type, t.ViewType)
    slot, element = f.ref(op.operands[0]), t.size_and_align(op.result.type.element)[0]
    length = f.intrinsic("llvm.smax.i64", "i64", [f.typed(op.operands[1]), "i64 0"])
    f.fail_unless(f.make(f"icmp ule i64 {length}, {max_bytes(f) // element}"), REGION_FULL, op.span)
    count = f.make(f"mul i64 {length}, {element}")
    at = f.byte_offset(slot, 16)
    used = f.make(f"load i64, ptr {at}, align 8")
    start = f.make(f"and i64 {f.make(f'add i64 {used}, {ALIGNMENT - 1}')}, {-ALIGNMENT}")
    end = f.make(f"add i64 {start}, {count}")
    size = f.make(f"load i64, ptr {f.byte_offset(slot, 8)}, align 8")
    f.fail_unless(f.make(f"icmp ule i64 {end}, {size}"), REGION_FULL, op.span)
    f.line(f"store i64 {end}, ptr {at}, align 8")
    memory = f.make(f"load ptr, ptr {slot}, align 8")
    pointer = f.make(f"getelementptr inbounds i8, ptr {memory}, i64 {start}")
    _zero(f, pointer, count)
    f.views[op.result] = Parts(pointer, [length], ["1"])


def _dealloc(f: "FunctionText", op: Op) -> None:
    f.text.declare("free", "void", "ptr")
    slot = f.ref(op.operands[0])
    f.line(f"call void @free(ptr {f.make(f'load ptr, ptr {slot}, align 8')})")
    _owns_nothing(f, slot)


def _mark(f: "FunctionText", op: Op) -> None:
    f.set(op, f.make(f"load i64, ptr {f.byte_offset(f.ref(op.operands[0]), 16)}, align 8"))


def _release(f: "FunctionText", op: Op) -> None:
    slot, mark = op.operands
    f.line(f"store {f.typed(mark)}, ptr {f.byte_offset(f.ref(slot), 16)}, align 8")


def _prefetch(f: "FunctionText", op: Op) -> None:
    view = op.operands[0]
    assert isinstance(view.type, t.ViewType)
    parts, size = f.views[view], t.size_and_align(view.type.element)[0]
    index = f.element_index(parts, [f.ref(v) for v in op.operands[1:]])
    pointer = f.make(f"getelementptr [{size} x i8], ptr {parts.pointer}, i64 {index}")  # may lie outside
    f.intrinsic("llvm.prefetch.p0", "void", [f"ptr {pointer}", "i32 0", "i32 3", "i32 1"])


_ORDERS = {"relaxed": "monotonic"}
_NOT_OF_BPF = ("load", "store", "min", "max")
_UPDATES = {"add": "add", "exchange": "xchg", "min": "min", "max": "max"}


def _atomic(f: "FunctionText", op: Op) -> None:
    how, values = op.name.removeprefix("memref.atomic_"), op.operands[1 + list(op.attrs["path"]).count("i") :]
    pointer, element = f.address(op, 1)
    assert isinstance(element, t.ScalarType)
    order: str = op.attrs["order"]
    order, align = _ORDERS.get(order, order), t.size_and_align(element)[1]
    if how in _NOT_OF_BPF and f.text.target.triple.startswith("bpf"):
        cure = "add(0) reads, exchange(...) writes" if how in ("load", "store") else "write a loop of compare_exchange"
        raise UnsupportedError(f"a program of the kernel has no atomic {how}", where=str(op.span), cure=cure)
    if how == "load":
        f.set(op, f.make(f"load atomic {register_type(element)}, ptr {pointer} {order}, align {align}"))
    elif how == "store":
        f.line(f"store atomic {f.typed(values[0])}, ptr {pointer} {order}, align {align}")
    elif how == "compare_exchange":
        failure = {"acq_rel": "acquire", "release": "monotonic"}.get(order, order)
        pair = f.make(f"cmpxchg ptr {pointer}, {f.typed(values[0])}, {f.typed(values[1])} {order} {failure}")
        f.set(op, f.make(f"extractvalue {{ {register_type(element)}, i1 }} {pair}, 0"))
    else:
        unsigned = "u" if how in ("min", "max") and not element.signed else ""
        f.set(op, f.make(f"atomicrmw {unsigned}{_UPDATES[how]} ptr {pointer}, {f.typed(values[0])} {order}"))


def _struct(f: "FunctionText", op: Op) -> None:
    assert op.result is not None
    kind, whole = register_type(op.result.type), "poison"
    for position, value in enumerate(op.operands):
        whole = f.make(f"insertvalue {kind} {whole}, {f.typed(value)}, {position}")
    f.set(op, whole)


def _splat_array(f: "FunctionText", op: Op) -> None:
    assert op.result is not None
    assert isinstance(op.result.type, t.ArrayType)
    kind, whole = register_type(op.result.type), "poison"
    for position in range(op.result.type.length):
        whole = f.make(f"insertvalue {kind} {whole}, {f.typed(op.operands[0])}, {position}")
    f.set(op, whole)


def _extract_value(f: "FunctionText", op: Op) -> None:
    f.set(op, f.make(f"extractvalue {f.typed(op.operands[0])}, {op.attrs['position']}"))


def _cycles(f: "FunctionText", op: Op) -> None:
    """x86 reads its time stamp, AArch64 its generic timer; elsewhere a program may not be allowed to."""
    clocks = {"x86_64": "llvm.readcyclecounter", "aarch64": "llvm.readsteadycounter"}
    clock = clocks.get(f.text.target.triple.split("-")[0])
    f.set(op, f.intrinsic(clock, "i64", []) if clock is not None else "0")


MEMORY: Mapping[str, Callable[["FunctionText", Op], None]] = {
    **{f"memref.atomic_{how}": _atomic for how in (*_UPDATES, "load", "store", "compare_exchange")},
    "memref.alloca": _alloca,
    "memref.load": _load,
    "memref.store": _store,
    "memref.fill": _fill,
    "memref.dim": _dim,
    "memref.stride": _stride,
    "memref.cast": _cast,
    "memref.subview": _subview,
    "memref.borrow": _borrow,
    "memref.region": _region,
    "memref.take": _take,
    "memref.alloc": _alloc,
    "memref.dealloc": _dealloc,
    "memref.mark": _mark,
    "memref.release": _release,
    "memref.prefetch": _prefetch,
    "hekla.cycles": _cycles,
    "llvm.struct": _struct,
    "llvm.extractvalue": _extract_value,
    "tensor.splat": _splat_array,
    "tensor.from_elements": _struct,
}
