"""The types of the language. They are values: `View[f32, 1]` in an annotation is a `ViewType` object.

Type ── ScalarType   bool, i8..i64, u8..u64, index, f16, bf16, f32, f64
     ── VecType      Vec[T, N], N lanes in a register
     ── ArrayType    Array[T, n], fixed size, on the stack
     ── ViewType     View[T, rank] (reads), MutView[T, rank] (the one writer); borrowed
     ── BufferType   Buffer[T], owned memory of one dimension
     ── RegionType   region(bytes), owned memory handed out piece by piece
     ── StructType   a record declared with @struct
        ── AtomicType   Atomic[T], one scalar that threads share
        ── MutexType    Mutex[T], a lock and what it guards
        ── MailboxType  what Address[Actor] is a view of
     ── NoneType_    what a kernel without a result returns
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import ml_dtypes
import numpy as np

Kind = Literal["bool", "int", "float"]
MAX_RANK = 4
LINE_BYTES = 64  # of a cache line


class Type:
    """Root of the types; equal types are interchangeable."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class ScalarType(Type):
    """A number or a truth value. `index` is a signed 64-bit integer kept apart from i64 on purpose."""

    name: str
    kind: Kind
    bits: int
    signed: bool

    def __str__(self) -> str:
        return self.name

    @property
    def dtype(self) -> "np.dtype[Any]":
        """The NumPy element type."""
        return _DTYPES[self.name]

    @property
    def size_bytes(self) -> int:
        """Size in memory."""
        return max(1, self.bits // 8)

    @property
    def limits(self) -> tuple[int, int]:
        """(smallest, largest) value of an integer type."""
        if self.signed:
            return -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1
        return 0, (1 << self.bits) - 1

    def __call__(self, *_: Any) -> Any:  # Any: inside a kernel this spelling is a conversion; see the front end
        raise TypeError(f"{self.name}(...) has a meaning inside a @kernel only")


bool_ = ScalarType("bool", "bool", 1, False)
i8, i16, i32, i64 = (ScalarType(f"i{bits}", "int", bits, True) for bits in (8, 16, 32, 64))
u8, u16, u32, u64 = (ScalarType(f"u{bits}", "int", bits, False) for bits in (8, 16, 32, 64))
index = ScalarType("index", "int", 64, True)
f16, f32, f64 = (ScalarType(f"f{bits}", "float", bits, True) for bits in (16, 32, 64))
bf16 = ScalarType("bf16", "float", 16, True)
SCALARS = {t.name: t for t in (bool_, i8, i16, i32, i64, u8, u16, u32, u64, index, f16, bf16, f32, f64)}

_CLASSES: dict[str, Any] = {  # Any: NumPy scalar classes, ml_dtypes' among them
    "bool": np.bool_, "i8": np.int8, "i16": np.int16, "i32": np.int32, "i64": np.int64, "index": np.int64,
    "u8": np.uint8, "u16": np.uint16, "u32": np.uint32, "u64": np.uint64,
    "f16": np.float16, "bf16": ml_dtypes.bfloat16, "f32": np.float32, "f64": np.float64,
}  # fmt: skip
_DTYPES: dict[str, "np.dtype[Any]"] = {name: np.dtype(scalar) for name, scalar in _CLASSES.items()}


@dataclass(frozen=True, slots=True)
class NoneType_(Type):
    """The type of a kernel that returns nothing."""

    def __str__(self) -> str:
        return "None"


none = NoneType_()


@dataclass(frozen=True, slots=True)
class TypeParam(Type):
    """A type the caller chooses, by its arguments or by keyword; `among` limits the choice."""

    name: str
    among: tuple[Type, ...] = ()

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class ConstParam:
    """A number the caller chooses at compile time, by the types of its arguments or by keyword."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class VecType(Type):
    """N lanes of one scalar type; N is a power of two up to 256."""

    element: Any  # Any: a ScalarType once specialised, a TypeParam before
    lanes: Any  # Any: an int once specialised, a ConstParam before

    def __str__(self) -> str:
        return f"Vec[{self.element}, {self.lanes}]"

    def __call__(self, *_: Any) -> Any:  # Any: see ScalarType.__call__
        raise TypeError(f"{self}(...) has a meaning inside a @kernel only")


@dataclass(frozen=True, slots=True)
class ArrayType(Type):
    """A fixed number of elements on the stack."""

    element: Type
    length: Any  # Any: an int once specialised, a ConstParam before

    def __str__(self) -> str:
        return f"Array[{self.element}, {self.length}]"

    def __call__(self, *_: Any) -> Any:  # Any: see ScalarType.__call__
        raise TypeError(f"{self}(...) has a meaning inside a @kernel only")


@dataclass(frozen=True, slots=True)
class ViewType(Type):
    """Borrowed memory with a shape. The last dimension is dense unless `strided`; strides count elements."""

    element: Type
    rank: Any  # Any: an int once specialised, a ConstParam before
    mutable: bool = False
    strided: bool = False

    def __str__(self) -> str:
        name = "MutView" if self.mutable else "View"
        return f"{name}[{self.element}, {self.rank}{', strided' if self.strided else ''}]"


@dataclass(frozen=True, slots=True)
class BufferType(Type):
    """Owned memory: it moves, and is freed at the end of its owner's scope."""

    element: Type

    def __str__(self) -> str:
        return f"Buffer[{self.element}]"


@dataclass(frozen=True, slots=True)
class RegionType(Type):
    """Owned memory that is handed out piece by piece and freed as a whole."""

    def __str__(self) -> str:
        return "region"


OWNED = (BufferType, RegionType)  # types whose values have one owner, which frees them


@dataclass(frozen=True, slots=True)
class StructType(Type):
    """A record. `fields` are in the order written, `order` is their order in memory."""

    name: str
    fields: tuple[tuple[str, Type], ...]
    order: tuple[int, ...]
    where: str = field(default="", compare=False)

    def __str__(self) -> str:
        return self.name

    def field_index(self, name: str) -> int | None:
        """Return the position of a field as written, or None."""
        return next((i for i, (n, _) in enumerate(self.fields) if n == name), None)

    @property
    def dtype(self) -> "np.dtype[Any]":
        """The NumPy record type with the same bytes: always the same object, which the fast entry looks for."""
        return _struct_dtype(self)

    def __call__(self, *_: Any, **__: Any) -> Any:  # Any: see ScalarType.__call__
        raise TypeError(f"{self.name}(...) has a meaning inside a @kernel only")


@dataclass(frozen=True, slots=True)
class AtomicType(StructType):
    """One scalar that threads share; it is read and written by atomic operations alone, through any view.

    Each lies on a cache line of its own, so that threads which use neighbours do not slow each other down, unless
    `dense`.
    """

    dense: bool = False

    @property
    def element(self) -> ScalarType:
        """What it holds."""
        found = self.fields[0][1]
        assert isinstance(found, ScalarType)
        return found


@dataclass(frozen=True, slots=True)
class MutexType(StructType):
    """A lock and what it guards, on cache lines of their own. `label` tells locks of one content apart.

    The state is 0 while it is free, 1 while it is held, 2 while it is held and somebody waits.
    """

    label: str = ""

    @property
    def content(self) -> Type:
        """What it guards."""
        return self.fields[1][1]


@dataclass(frozen=True, slots=True)
class MailboxType(StructType):
    """The mailbox of one class of actors; `Address[...]` is a view of it. `owner` knows what may be sent to it."""

    owner: Any = None  # Any: an hekla.lang.actors.declare.Actor, which this file cannot know

    @property
    def dtype(self) -> "np.dtype[Any]":
        """The NumPy record type: that of a plain record of these fields, which is what the cache of code knows."""
        return _struct_dtype(StructType(self.name, self.fields, self.order))


def atomic_type(element: ScalarType, *, dense: bool = False) -> AtomicType:
    """Return Atomic[element]."""
    name = f"Atomic[{element}{', dense' if dense else ''}]"
    return AtomicType(name, (("value", element),), (0,), dense=dense)


def mutex_type(content: Type, label: str = "") -> MutexType:
    """Return Mutex[content]."""
    name = f'Mutex[{content}, "{label}"]' if label else f"Mutex[{content}]"
    return MutexType(name, (("state", u32), ("value", content)), (0, 1), label=label)


def is_shared(kind: Type) -> bool:
    """True where an Atomic or a Mutex is in a type that lies in memory: such a value has one place for ever."""
    if isinstance(kind, AtomicType | MutexType):
        return True
    if isinstance(kind, StructType):
        return any(is_shared(f) for _, f in kind.fields)
    return isinstance(kind, ArrayType) and is_shared(kind.element)


def line_align(kind: Type) -> int:
    """Return where a type is put within records: its alignment, or whole cache lines for what threads share.

    Memory of the language begins on a cache line, so this keeps neighbours apart. Arrays from outside may begin
    anywhere their elements' own alignment allows: then neighbours may share a line, which costs time only.
    """
    if isinstance(kind, ArrayType):
        return line_align(kind.element)
    if isinstance(kind, StructType):
        if isinstance(kind, MutexType) or (isinstance(kind, AtomicType) and not kind.dense):
            return LINE_BYTES
        return max([line_align(f) for _, f in kind.fields], default=1)
    return size_and_align(kind)[1]


def is_scalar(t: Type, kind: Kind | None = None) -> bool:
    """True for a scalar type, of one kind when it is named."""
    return isinstance(t, ScalarType) and kind in (None, t.kind)


def element_of(t: Type) -> ScalarType | None:
    """Return the scalar behind a scalar or a vector type, None for the rest."""
    if isinstance(t, ScalarType):
        return t
    if isinstance(t, VecType):
        assert isinstance(t.element, ScalarType)
        return t.element
    return None


def with_element(t: Type, element: ScalarType) -> Type:
    """Return the scalar or vector type `t` with another element."""
    return VecType(element, t.lanes) if isinstance(t, VecType) else element


def size_and_align(t: Type) -> tuple[int, int]:
    """Return (bytes, alignment) of a type that may lie in memory."""
    if isinstance(t, ScalarType):
        return t.size_bytes, t.size_bytes
    if isinstance(t, VecType):
        size = max(1, t.element.bits * t.lanes // 8)
        return size, min(size, 64)
    if isinstance(t, ArrayType):
        size, align = size_and_align(t.element)
        return size * t.length, align
    if isinstance(t, StructType):
        return struct_layout(t)[1], max([size_and_align(f)[1] for _, f in t.fields], default=1)
    raise AssertionError(f"{t} does not lie in memory")


def struct_layout(struct: StructType) -> tuple[list[int], int]:
    """Return (offset of each field as written, size) in bytes."""
    offsets = [0] * len(struct.fields)
    at, widest = 0, line_align(struct)
    for position in struct.order:
        kind = struct.fields[position][1]
        size, align = size_and_align(kind)[0], line_align(kind)
        at = -(-at // align) * align
        offsets[position] = at
        at += size
    return offsets, max(widest, -(-at // widest) * widest)


@cache
def _struct_dtype(struct: StructType) -> "np.dtype[Any]":
    offsets, size = struct_layout(struct)
    names = [n for n, _ in struct.fields]
    formats = [numpy_dtype(t) for _, t in struct.fields]
    layout: Any = {"names": names, "formats": formats, "offsets": offsets, "itemsize": size}  # Any: NumPy's spelling
    made: np.dtype[Any] = np.dtype(layout, align=is_shared(struct))  # atomic operations want their alignment
    return made


def numpy_dtype(t: Type) -> "np.dtype[Any]":
    """Return the NumPy type with the same bytes as a scalar, array, vector or record."""
    if isinstance(t, ScalarType | StructType):
        return t.dtype
    if isinstance(t, ArrayType):
        return np.dtype((numpy_dtype(t.element), (t.length,)))
    if isinstance(t, VecType):
        return np.dtype((t.element.dtype, (t.lanes,)))
    raise AssertionError(f"{t} has no NumPy type")
