"""LLVM's spelling of our types and constants, and where the bytes of our records lie."""

import struct
from collections.abc import Iterable

import numpy as np

from hekla.lang import types as t
from hekla.lang.ir.core import SlotType

_SCALARS = {
    "bool": "i1", "i8": "i8", "i16": "i16", "i32": "i32", "i64": "i64", "index": "i64", "u8": "i8", "u16": "i16",
    "u32": "i32", "u64": "i64", "f16": "half", "bf16": "bfloat", "f32": "float", "f64": "double",
}  # fmt: skip


def register_type(kind: t.Type) -> str:
    """Return the type of a value in a register."""
    if isinstance(kind, t.ScalarType):
        return _SCALARS[kind.name]
    if isinstance(kind, t.VecType):
        return f"<{kind.lanes} x {_SCALARS[kind.element.name]}>"
    if isinstance(kind, t.ViewType):
        return "{ ptr" + ", i64" * view_words(kind) + " }"
    if isinstance(kind, t.BufferType):
        return "{ ptr, i64 }"
    if isinstance(kind, t.RegionType):
        return "{ ptr, i64, i64 }"  # memory, bytes, bytes handed out
    if isinstance(kind, t.ArrayType):
        return f"[{kind.length} x {register_type(kind.element)}]"
    if isinstance(kind, t.StructType):
        return "{ " + ", ".join(register_type(f) for _, f in kind.fields) + " }"
    return "ptr" if isinstance(kind, SlotType) else "void"


def memory_type(kind: t.Type) -> str:
    """Return the type of a scalar or vector in memory: truth values take a byte."""
    return register_type(kind).replace("i1", "i8") if t.element_of(kind) == t.bool_ else register_type(kind)


def view_words(kind: t.ViewType) -> int:
    """How many sizes and strides a view carries: the last stride of a dense view is 1 and not stored."""
    return int(kind.rank + kind.rank - (0 if kind.strided else 1))


def slot_size(kind: t.Type) -> tuple[int, int]:
    """Return (bytes, alignment) of anything that may lie in a slot."""
    if isinstance(kind, t.ViewType):
        return 8 + 8 * view_words(kind), 8
    if isinstance(kind, t.BufferType):
        return 16, 8
    if isinstance(kind, t.RegionType):
        return 24, 8
    size, align = t.size_and_align(kind)
    if isinstance(kind, t.VecType) and kind.element == t.bool_:
        return kind.lanes, min(kind.lanes, 64)
    return size, align


def literal(kind: t.Type, number: int | float | bool) -> str:
    """Return a constant of a scalar type."""
    assert isinstance(kind, t.ScalarType)
    if kind.kind == "bool":
        return "true" if number else "false"
    if kind.kind == "int":
        return str(int(number))
    if kind.name in ("f16", "bf16"):
        bits = int(np.asarray(number, dtype=kind.dtype).view(np.uint16))
        return f"0x{'H' if kind.name == 'f16' else 'R'}{bits:04X}"
    if kind.name == "f32":
        number = float(np.float32(number))
    return f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"


def suffix(kind: t.Type) -> str:
    """Return the type's part of an intrinsic's name: v16f32, i64."""
    element = t.element_of(kind)
    assert element is not None
    name = {"index": "i64", "bool": "i1"}.get(element.name, element.name.replace("u", "i"))
    return f"v{kind.lanes}{name}" if isinstance(kind, t.VecType) else name


def commas(parts: Iterable[str]) -> str:
    """Join with commas."""
    return ", ".join(parts)
