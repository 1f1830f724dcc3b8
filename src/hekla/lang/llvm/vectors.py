"""LLVM for vectors: memory, lanes, reductions, and the integer dot product with its instructions."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from hekla.lang import types as t
from hekla.lang.ir.core import Op, Value
from hekla.lang.llvm.arithmetic import splat_literal
from hekla.lang.llvm.names import commas, memory_type, register_type, suffix

if TYPE_CHECKING:
    from hekla.lang.llvm.text import FunctionText

Handler = Callable[["FunctionText", Op], None]
MASK = "i1"


def _lanes(kind: t.Type) -> int:
    assert isinstance(kind, t.VecType)
    return int(kind.lanes)


def _element_align(view: Value) -> int:
    assert isinstance(view.type, t.ViewType)
    return t.size_and_align(view.type.element)[1]


def _splat(f: "FunctionText", op: Op) -> None:
    assert op.result is not None
    source = op.operands[0]
    if source in f.constants:
        f.constants[op.result] = f.constants[source]
        f.set(op, splat_literal(op.result.type, f.constants[source]))
        return
    kind = register_type(op.result.type)
    first = f.make(f"insertelement {kind} poison, {f.typed(source)}, i64 0")
    f.set(op, f.make(f"shufflevector {kind} {first}, {kind} poison, <{_lanes(op.result.type)} x i32> zeroinitializer"))


def _from_elements(f: "FunctionText", op: Op) -> None:
    assert op.result is not None
    kind, whole = register_type(op.result.type), "poison"
    for position, value in enumerate(op.operands):
        whole = f.make(f"insertelement {kind} {whole}, {f.typed(value)}, i64 {position}")
    f.set(op, whole)


def _step(f: "FunctionText", op: Op) -> None:
    assert op.result is not None
    assert isinstance(op.result.type, t.VecType)
    element = register_type(op.result.type.element)
    f.set(op, "<" + commas(f"{element} {i}" for i in range(op.result.type.lanes)) + ">")


def _extract(f: "FunctionText", op: Op) -> None:
    vector, lane = op.operands
    f.set(op, f.make(f"extractelement {f.typed(vector)}, {_lane(f, lane, vector)}"))


def _insert(f: "FunctionText", op: Op) -> None:
    value, vector, lane = op.operands
    f.set(op, f.make(f"insertelement {f.typed(vector)}, {f.typed(value)}, {_lane(f, lane, vector)}"))


def _lane(f: "FunctionText", lane: Value, vector: Value) -> str:
    """A lane number counts modulo the lanes, so that none is out of the vector."""
    if lane in f.constants:
        return f.typed(lane)
    return f"i64 {f.make(f'and {f.typed(lane)}, {_lanes(vector.type) - 1}')}"


def _shuffle(f: "FunctionText", op: Op) -> None:
    a, b = op.operands
    f.set(op, shuffle(f, f.typed(a), f.typed(b), op.attrs["lanes"]))


def shuffle(f: "FunctionText", a: str, b: str, lanes: tuple[int, ...]) -> str:
    """Write a shuffle of two "type text" and return its name."""
    return f.make(f"shufflevector {a}, {b}, <{len(lanes)} x i32> <{commas(f'i32 {i}' for i in lanes)}>")


def _create_mask(f: "FunctionText", op: Op) -> None:
    """Lane i is on where i < count."""
    assert op.result is not None
    lanes = _lanes(op.result.type)
    low = f.intrinsic("llvm.smax.i64", "i64", [f.typed(op.operands[0]), "i64 0"])
    count = f.make(f"trunc i64 {f.intrinsic('llvm.umin.i64', 'i64', [f'i64 {low}', f'i64 {lanes}'])} to i16")
    kind = f"<{lanes} x i16>"
    first = f.make(f"insertelement {kind} poison, i16 {count}, i64 0")
    counts = f.make(f"shufflevector {kind} {first}, {kind} poison, <{lanes} x i32> zeroinitializer")
    numbers = "<" + commas(f"i16 {i}" for i in range(lanes)) + ">"
    f.set(op, f.make(f"icmp ult {kind} {numbers}, {counts}"))


# --- memory -------------------------------------------------------------------------------------------------


def _load(f: "FunctionText", op: Op) -> None:
    assert op.result is not None
    view, *indices = op.operands
    pointer = f.view_address(view, [f.ref(i) for i in indices])
    f.set(op, f.load(pointer, op.result.type, _element_align(view)))


def _store(f: "FunctionText", op: Op) -> None:
    value, view, *indices = op.operands
    f.store(f.ref(value), value.type, f.view_address(view, [f.ref(i) for i in indices]), _element_align(view))


STREAM_BYTES = 16  # arrays of every library begin at multiples of this; machines stream no smaller piece


def _stream_store(f: "FunctionText", op: Op) -> None:
    """Stores past the caches, in pieces of 16 bytes, where the place is a multiple of 16; ordinary stores elsewhere."""
    value, view, *indices = op.operands
    pointer = f.view_address(view, [f.ref(i) for i in indices])
    assert isinstance(value.type, t.VecType)
    element = t.size_and_align(value.type.element)[0]
    lanes, piece = value.type.lanes, STREAM_BYTES // element
    f.text.stream = True
    if lanes < piece or value.type.element == t.bool_:
        f.store(f.ref(value), value.type, pointer, _element_align(view))
        return
    low = f.make(f"and i64 {f.make(f'ptrtoint ptr {pointer} to i64')}, {STREAM_BYTES - 1}")
    stream, plain, after = f.label(), f.label(), f.label()
    f.line(f"br i1 {f.make(f'icmp eq i64 {low}, 0')}, label %{stream}, label %{plain}")
    f.lines.append(f"{stream}:")
    whole = f.typed(value)
    for start in range(0, lanes, piece):
        part = shuffle(f, whole, f"{register_type(value.type)} poison", tuple(range(start, start + piece)))
        kind = register_type(t.VecType(value.type.element, piece))
        place = f.byte_offset(pointer, start * element)
        f.line(f"store {kind} {part}, ptr {place}, align {STREAM_BYTES}, !nontemporal !0")
    f.line(f"br label %{after}")
    f.lines.append(f"{plain}:")
    f.line(f"store {whole}, ptr {pointer}, align {_element_align(view)}")
    f.line(f"br label %{after}")
    f.lines.append(f"{after}:")


def _moved_type(kind: t.Type) -> t.Type:
    """Return what is moved under a mask: half floats as integers, which LLVM may otherwise convert there and back."""
    return t.with_element(kind, t.u16) if t.element_of(kind) in (t.f16, t.bf16) else kind


def _to_memory(f: "FunctionText", text: str, kind: t.Type) -> str:
    moved = _moved_type(kind)
    if moved != kind:
        return f.make(f"bitcast {register_type(kind)} {text} to {register_type(moved)}")
    if t.element_of(kind) == t.bool_:
        return f.make(f"zext {register_type(kind)} {text} to {memory_type(kind)}")
    return text


def _from_memory(f: "FunctionText", text: str, kind: t.Type) -> str:
    moved = _moved_type(kind)
    if moved != kind:
        return f.make(f"bitcast {register_type(moved)} {text} to {register_type(kind)}")
    if t.element_of(kind) == t.bool_:
        return f.make(f"icmp ne {memory_type(kind)} {text}, zeroinitializer")
    return text


def _memory_suffix(kind: t.Type) -> str:
    return suffix(kind).replace("i1", "i8") if t.element_of(kind) == t.bool_ else suffix(_moved_type(kind))


def _masked_load(f: "FunctionText", op: Op) -> None:
    assert op.result is not None
    view, *indices, mask = op.operands
    pointer = f.view_address(view, [f.ref(i) for i in indices])
    kind = memory_type(_moved_type(op.result.type))
    name = f"llvm.masked.load.{_memory_suffix(op.result.type)}.p0"
    f.text.declare(name, kind, f"ptr, <{_lanes(op.result.type)} x i1>, {kind}")
    args = f"ptr align {_element_align(view)} {pointer}, {f.typed(mask)}, {kind} zeroinitializer"
    f.set(op, _from_memory(f, f.make(f"call {kind} @{name}({args})"), op.result.type))


def _masked_store(f: "FunctionText", op: Op) -> None:
    value, view, *indices, mask = op.operands
    pointer = f.view_address(view, [f.ref(i) for i in indices])
    kind = memory_type(_moved_type(value.type))
    name = f"llvm.masked.store.{_memory_suffix(value.type)}.p0"
    f.text.declare(name, "void", f"{kind}, ptr, <{_lanes(value.type)} x i1>")
    text = _to_memory(f, f.ref(value), value.type)
    f.line(f"call void @{name}({kind} {text}, ptr align {_element_align(view)} {pointer}, {f.typed(mask)})")


def _pointers(f: "FunctionText", view: Value, where: Value) -> str:
    assert isinstance(view.type, t.ViewType)
    assert isinstance(where.type, t.VecType)
    parts, size, lanes = f.views[view], t.size_and_align(view.type.element)[0], where.type.lanes
    indices, wide = f.ref(where), f"<{lanes} x i64>"
    if where.type.element.bits < 64 and (not where.type.element.signed or parts.strides[0] != "1"):
        indices = f.make(f"{'sext' if where.type.element.signed else 'zext'} {f.typed(where)} to {wide}")
        kind = wide
    else:
        kind = register_type(where.type)
    if parts.strides[0] != "1":
        first = f.make(f"insertelement {wide} poison, i64 {parts.strides[0]}, i64 0")
        strides = f.make(f"shufflevector {wide} {first}, {wide} poison, <{lanes} x i32> zeroinitializer")
        indices = f.make(f"mul nsw {wide} {indices}, {strides}")
    # no `inbounds`: the indices of lanes that are off may be anything
    return f.make(f"getelementptr [{size} x i8], ptr {parts.pointer}, {kind} {indices}")


def _gather(f: "FunctionText", op: Op) -> None:
    assert op.result is not None
    view, where, mask = op.operands
    pointers, lanes = _pointers(f, view, where), _lanes(where.type)
    kind = memory_type(_moved_type(op.result.type))
    name = f"llvm.masked.gather.{_memory_suffix(op.result.type)}.v{lanes}p0"
    f.text.declare(name, kind, f"<{lanes} x ptr>, <{lanes} x i1>, {kind}")
    args = f"<{lanes} x ptr> align {_element_align(view)} {pointers}, {f.typed(mask)}, {kind} zeroinitializer"
    f.set(op, _from_memory(f, f.make(f"call {kind} @{name}({args})"), op.result.type))


def _scatter(f: "FunctionText", op: Op) -> None:
    value, view, where, mask = op.operands
    pointers, lanes = _pointers(f, view, where), _lanes(where.type)
    kind = memory_type(_moved_type(value.type))
    name = f"llvm.masked.scatter.{_memory_suffix(value.type)}.v{lanes}p0"
    f.text.declare(name, "void", f"{kind}, <{lanes} x ptr>, <{lanes} x i1>")
    text = _to_memory(f, f.ref(value), value.type)
    f.line(
        f"call void @{name}({kind} {text}, <{lanes} x ptr> align {_element_align(view)} {pointers}, {f.typed(mask)})"
    )


# --- reductions ---------------------------------------------------------------------------------------------

_FLOAT = {"add": "fadd", "min": "olt", "max": "ogt"}


def _reduction(f: "FunctionText", op: Op) -> None:
    vector, kind = op.operands[0], op.attrs["kind"]
    assert isinstance(vector.type, t.VecType)
    element = vector.type.element
    if element.kind == "float":
        f.set(op, _halving(f, f.ref(vector), vector.type, kind))
        return
    sign = ("s" if element.signed else "u") if kind in ("min", "max") else ""
    name = f"llvm.vector.reduce.{sign}{kind}.{suffix(vector.type)}"
    f.set(op, f.intrinsic(name, register_type(element), [f.typed(vector)]))


def _halving(f: "FunctionText", text: str, kind: t.VecType, how: str) -> str:
    """Combine the low half with the high half until one lane is left: the same order on every machine."""
    lanes = kind.lanes
    while lanes > 1:
        have = register_type(t.VecType(kind.element, lanes))
        half = register_type(t.VecType(kind.element, lanes // 2))
        low = shuffle(f, f"{have} {text}", f"{have} poison", tuple(range(lanes // 2)))
        high = shuffle(f, f"{have} {text}", f"{have} poison", tuple(range(lanes // 2, lanes)))
        if how == "add":
            text = f.make(f"fadd {half} {low}, {high}")
        else:
            is_low = f.make(f"fcmp {_FLOAT[how]} {half} {low}, {high}")
            text = f.make(f"select <{lanes // 2} x i1> {is_low}, {half} {low}, {half} {high}")
        lanes //= 2
    return f.make(f"extractelement {register_type(t.VecType(kind.element, 1))} {text}, i64 0")


# --- the integer dot product --------------------------------------------------------------------------------


def _dot4(f: "FunctionText", op: Op) -> None:
    acc, a, _ = op.operands
    lanes = _lanes(acc.type)
    width = _dot_width(f, lanes)
    if a.type.element == t.u8 and width:  # type: ignore[attr-defined]  # the verifier has shown it is a VecType
        f.set(op, _dot4_instructions(f, op, width))
    elif lanes >= 8 and f.text.target.triple.startswith("x86_64") and f.text.target.has("avx2"):
        f.set(op, _dot4_by_words(f, op))
    else:
        f.set(op, _dot4_portable(f, op))


def _dot_width(f: "FunctionText", lanes: int) -> int:
    """Return how many lanes of i32 one instruction takes, or 0 where there is none (below 4 it is not worth it)."""
    target = f.text.target
    if not target.triple.startswith("x86_64"):
        return 0
    if target.has("avx512vnni") and (target.has("avx512vl") or lanes >= 16):
        return min(16, lanes) if lanes >= 4 else 0
    return min(8, lanes) if target.has("avxvnni") and lanes >= 4 else 0


def _dot4_instructions(f: "FunctionText", op: Op, width: int) -> str:
    acc, a, b = op.operands
    lanes = _lanes(acc.type)
    name = f"llvm.x86.avx512.vpdpbusd.{width * 32}"  # the 128 and 256 bit forms serve AVX-VNNI too
    results: list[str] = []
    for start in range(0, lanes, width):
        pieces = []
        for value, scale in ((acc, 1), (a, 4), (b, 4)):
            assert isinstance(value.type, t.VecType)
            piece = register_type(t.VecType(value.type.element, width * scale))
            text = f.ref(value)
            if lanes != width:
                text = shuffle(
                    f,
                    f.typed(value),
                    f"{register_type(value.type)} poison",
                    tuple(range(start * scale, (start + width) * scale)),
                )
            pieces.append(f"{piece} {text}")
        results.append(f.intrinsic(name, f"<{width} x i32>", pieces))
    size = width
    while len(results) > 1:
        kind = f"<{size} x i32>"
        results = [
            shuffle(f, f"{kind} {low}", f"{kind} {high}", tuple(range(2 * size)))
            for low, high in zip(results[::2], results[1::2], strict=True)
        ]
        size *= 2
    return results[0]


def _dot4_by_words(f: "FunctionText", op: Op) -> str:
    """Even and odd bytes as words, whose products one instruction adds in pairs: exact, for all bytes."""
    acc, a, b = op.operands
    lanes = _lanes(acc.type)
    words, total = f"<{2 * lanes} x i16>", f.ref(acc)
    halves: list[tuple[str, str]] = []
    for value in (a, b):
        assert isinstance(value.type, t.VecType)
        pairs = f.make(f"bitcast {register_type(value.type)} {f.ref(value)} to {words}")
        shift = "ashr" if value.type.element.signed else "lshr"
        eight = splat_literal(t.VecType(t.i16, 2 * lanes), 8)
        even = f.make(f"{shift} {words} {f.make(f'shl {words} {pairs}, {eight}')}, {eight}")
        halves.append((even, f.make(f"{shift} {words} {pairs}, {eight}")))
    for part in range(2):
        total = f.make(f"add <{lanes} x i32> {total}, {_products_in_pairs(f, halves[0][part], halves[1][part], lanes)}")
    return total


def _products_in_pairs(f: "FunctionText", a: str, b: str, lanes: int) -> str:
    """Return a[2j] * b[2j] + a[2j + 1] * b[2j + 1] of words, by eight results at a time."""
    words = f"<{2 * lanes} x i16>"
    pieces: list[str] = []
    for start in range(0, 2 * lanes, 16):
        picked = tuple(range(start, start + 16))
        cut = [v if lanes == 8 else shuffle(f, f"{words} {v}", f"{words} poison", picked) for v in (a, b)]
        pieces.append(f.intrinsic("llvm.x86.avx2.pmadd.wd", "<8 x i32>", [f"<16 x i16> {v}" for v in cut]))
    size = 8
    while len(pieces) > 1:
        kind = f"<{size} x i32>"
        pieces = [
            shuffle(f, f"{kind} {low}", f"{kind} {high}", tuple(range(2 * size)))
            for low, high in zip(pieces[::2], pieces[1::2], strict=True)
        ]
        size *= 2
    return pieces[0]


def _dot4_portable(f: "FunctionText", op: Op) -> str:
    acc, a, b = op.operands
    kind, lanes = register_type(acc.type), _lanes(acc.type)
    total = f.ref(acc)
    for k in range(4):
        picked = tuple(range(k, 4 * lanes, 4))
        factors = []
        for value in (a, b):
            assert isinstance(value.type, t.VecType)
            bytes_ = shuffle(f, f.typed(value), f"{register_type(value.type)} poison", picked)
            wider = "sext" if value.type.element.signed else "zext"
            factors.append(f.make(f"{wider} <{lanes} x i8> {bytes_} to {kind}"))
        total = f.make(f"add {kind} {total}, {f.make(f'mul {kind} {factors[0]}, {factors[1]}')}")
    return total


VECTORS: dict[str, Handler] = {
    "vector.splat": _splat, "vector.from_elements": _from_elements, "vector.step": _step,
    "vector.extract": _extract, "vector.insert": _insert, "vector.shuffle": _shuffle,
    "vector.create_mask": _create_mask, "vector.load": _load, "vector.store": _store,
    "vector.stream_store": _stream_store, "vector.maskedload": _masked_load, "vector.maskedstore": _masked_store,
    "vector.gather": _gather, "vector.scatter": _scatter, "vector.reduction": _reduction, "vector.dot4": _dot4,
}  # fmt: skip
