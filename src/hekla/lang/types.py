"""The types of the language. They are values: `View[f32, 1]` in an annotation is a `ViewType` object.

Type ── ScalarType   bool, i8..i64, u8..u64, index, f16, bf16, f32, f64
     ── VecType      Vec[T, N], N lanes in a register
     ── ArrayType    Array[T, n], fixed size, on the stack
     ── ViewType     View[T, rank] (reads), MutView[T, rank] (the one writer); borrowed
     ── BufferType   Buffer[T], owned memory of one dimension
     ── RegionType   region(bytes), owned memory handed out piece by piece
     ── StructType   a record declared with @struct
     ── NoneType_    what a kernel without a result returns
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import ml_dtypes
import numpy as np

Kind = Literal["bool", "int", "float"]
MAX_RANK = 4


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
    at, widest = 0, 1
    for position in struct.order:
        size, align = size_and_align(struct.fields[position][1])
        at = -(-at // align) * align
        offsets[position] = at
        at, widest = at + size, max(widest, align)
    return offsets, max(widest, -(-at // widest) * widest)


@cache
def _struct_dtype(struct: StructType) -> "np.dtype[Any]":
    offsets, size = struct_layout(struct)
    names = [n for n, _ in struct.fields]
    formats = [numpy_dtype(t) for _, t in struct.fields]
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": size})


def numpy_dtype(t: Type) -> "np.dtype[Any]":
    """Return the NumPy type with the same bytes as a scalar, array, vector or record."""
    if isinstance(t, ScalarType | StructType):
        return t.dtype
    if isinstance(t, ArrayType):
        return np.dtype((numpy_dtype(t.element), (t.length,)))
    if isinstance(t, VecType):
        return np.dtype((t.element.dtype, (t.lanes,)))
    raise AssertionError(f"{t} has no NumPy type")
