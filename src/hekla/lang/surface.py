"""The words a kernel is written with, besides Python's own. Outside a kernel they only describe types."""

from collections.abc import Callable
from typing import Any

from hekla.base.errors import ConfigError
from hekla.lang import types as t


class Builtin:
    """A function of the language; it has a meaning inside a @kernel only."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name

    def __call__(self, *_: Any, **__: Any) -> Any:  # Any: the compiler types the call, CPython never makes it
        raise TypeError(f"{self.name}() has a meaning inside a @kernel only")


class Marker:
    """A word of the annotations: `strided`, `dense`, `Const`, `Function`."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


strided = Marker("strided")
dense = Marker("dense")
Const = Marker("Const")
Function = Marker("Function")


class TypeBuilder:
    """`View[f32, 2]`: a name that makes a type when it is indexed."""

    __slots__ = ("build", "name")

    def __init__(self, name: str, build: Callable[..., t.Type]) -> None:
        self.name, self.build = name, build

    def __repr__(self) -> str:
        return self.name

    def __getitem__(self, arguments: Any) -> Any:  # Any: a Type, which mypy would not accept in an annotation
        return self.build(*(arguments if isinstance(arguments, tuple) else (arguments,)))


def _element(of: str, element: object) -> t.Type:
    if not isinstance(element, t.Type):
        raise ConfigError(f"{of}[...] takes a type of the language, got {element!r}", cure="for example f32")
    return element


def _vec(element: object, lanes: object) -> t.Type:
    found = _element("Vec", element)
    if not isinstance(found, t.ScalarType | t.TypeParam):
        raise ConfigError(f"the lanes of a Vec are scalars, got {found}", cure="for example Vec[f32, 16]")
    if isinstance(lanes, int) and (lanes not in range(1, 257) or lanes & (lanes - 1)):
        raise ConfigError(f"a Vec has a power of two of lanes, at most 256, got {lanes}")
    if not isinstance(lanes, int | t.ConstParam):
        raise ConfigError(f"Vec[{found}, ...] takes a number of lanes, got {lanes!r}")
    return t.VecType(found, lanes)


def _array(element: object, length: object) -> t.Type:
    found = _element("Array", element)
    if isinstance(found, t.ViewType | t.BufferType | t.NoneType_):
        raise ConfigError(f"an Array cannot hold {found}", cure="hold scalars, vectors, arrays or records")
    if not isinstance(length, int | t.ConstParam) or (isinstance(length, int) and length < 1):
        raise ConfigError(f"Array[{found}, ...] takes a length of at least 1, got {length!r}")
    return t.ArrayType(found, length)


def _view(mutable: bool) -> Callable[..., t.Type]:
    def build(element: object, rank: object = 1, layout: object = None) -> t.Type:
        name = "MutView" if mutable else "View"
        found = _element(name, element)
        if not isinstance(found, t.ScalarType | t.StructType | t.TypeParam):
            raise ConfigError(f"a {name} is of scalars or records, got {found}")
        if isinstance(rank, int) and rank not in range(1, t.MAX_RANK + 1):
            raise ConfigError(f"a {name} has 1 to {t.MAX_RANK} dimensions, got {rank}")
        if not isinstance(rank, int | t.ConstParam) or layout not in (None, strided):
            raise ConfigError(f"write {name}[{found}, RANK] or {name}[{found}, RANK, strided]")
        return t.ViewType(found, rank, mutable, layout is strided)

    return build


def _buffer(element: object) -> t.Type:
    found = _element("Buffer", element)
    if not isinstance(found, t.ScalarType | t.StructType | t.TypeParam):
        raise ConfigError(f"a Buffer is of scalars or records, got {found}")
    return t.BufferType(found)


def _atomic(element: object, layout: object = None) -> t.Type:
    found = _element("Atomic", element)
    if not isinstance(found, t.ScalarType) or found.kind != "int" or found.bits < 32:
        raise ConfigError(f"an Atomic is an integer of 32 or 64 bits, got {found}", cure="for example Atomic[i64]")
    if layout not in (None, dense):
        raise ConfigError(f"write Atomic[{found}] or Atomic[{found}, dense]")
    return t.atomic_type(found, dense=layout is dense)


def _mutex(content: object, label: object = "") -> t.Type:
    found = _element("Mutex", content)
    if not isinstance(found, t.ScalarType | t.VecType | t.ArrayType | t.StructType) or t.is_shared(found):
        raise ConfigError(f"a Mutex cannot guard {found}", cure="guard a scalar, Vec, Array or record")
    if not isinstance(label, str):
        raise ConfigError(f'write Mutex[{found}] or Mutex[{found}, "name"]')
    return t.mutex_type(found, label)


Vec = TypeBuilder("Vec", _vec)
Array = TypeBuilder("Array", _array)
View = TypeBuilder("View", _view(mutable=False))
MutView = TypeBuilder("MutView", _view(mutable=True))
Buffer = TypeBuilder("Buffer", _buffer)
Atomic = TypeBuilder("Atomic", _atomic)
Mutex = TypeBuilder("Mutex", _mutex)

unroll = Builtin("unroll")
parallel = Builtin("parallel")
load = Builtin("load")
store = Builtin("store")
stream_store = Builtin("stream_store")
prefetch = Builtin("prefetch")
gather = Builtin("gather")
scatter = Builtin("scatter")
fma = Builtin("fma")
select = Builtin("select")
shuffle = Builtin("shuffle")
iota = Builtin("iota")
dot4 = Builtin("dot4")
bitcast = Builtin("bitcast")
saturate = Builtin("saturate")
reduce_add = Builtin("reduce_add")
reduce_min = Builtin("reduce_min")
reduce_max = Builtin("reduce_max")
reduce_and = Builtin("reduce_and")
reduce_or = Builtin("reduce_or")
all_lanes = Builtin("all_lanes")
any_lane = Builtin("any_lane")
sqrt = Builtin("sqrt")
floor = Builtin("floor")
ceil = Builtin("ceil")
trunc = Builtin("trunc")
round_even = Builtin("round_even")
copysign = Builtin("copysign")
popcount = Builtin("popcount")
leading_zeros = Builtin("leading_zeros")
trailing_zeros = Builtin("trailing_zeros")
atomic_load = Builtin("atomic_load")
atomic_store = Builtin("atomic_store")
atomic_add = Builtin("atomic_add")
atomic_min = Builtin("atomic_min")
atomic_max = Builtin("atomic_max")
atomic_exchange = Builtin("atomic_exchange")
atomic_compare_exchange = Builtin("atomic_compare_exchange")
lock = Builtin("lock")
pause = Builtin("pause")
yield_now = Builtin("yield_now")
cycles = Builtin("cycles")
buffer = Builtin("buffer")
region = Builtin("region")
drop = Builtin("drop")
split = Builtin("split")
element_type = Builtin("element_type")
static_assert = Builtin("static_assert")
text = Builtin("text")
write = Builtin("write")
read = Builtin("read")
open_file = Builtin("open_file")
close_file = Builtin("close_file")


def struct(declared: Any = None, *, layout: str = "packed_by_size") -> Any:
    """Declare a record; its fields are the class's annotations.

    Fields are placed from the widest alignment to the narrowest, which wastes the least; `layout="c"` keeps
    them in the order written. Errors: ConfigError for a field that cannot lie in memory.
    Any: whatever the author decorates; the result is a StructType, but mypy must not read `Point(x, y)` in a kernel.
    """
    if declared is None:
        return lambda cls: struct(cls, layout=layout)
    if layout not in ("c", "packed_by_size"):
        raise ConfigError(f"@struct(layout={layout!r}) is not a layout", cure='use layout="c" or leave it out')
    if not isinstance(declared, type):
        raise ConfigError(f"@struct goes on a class, got {declared!r}")
    fields: list[tuple[str, t.Type]] = []
    for name, kind in declared.__annotations__.items():
        if not isinstance(kind, t.ScalarType | t.VecType | t.ArrayType | t.StructType):
            raise ConfigError(
                f"field {name!r} is {kind!r}, which cannot lie in a record",
                where=declared.__qualname__,
                cure="use a scalar, Vec, Array or another @struct",
            )
        fields.append((name, kind))
    order = list(range(len(fields)))
    if layout != "c":
        order.sort(key=lambda i: -t.line_align(fields[i][1]))
    return t.StructType(declared.__name__, tuple(fields), tuple(order), declared.__module__)


class Comptime:
    """A Python function that the compiler calls when all its arguments are compile-time constants."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *arguments: Any, **named: Any) -> Any:  # Any: whatever the function takes and gives
        return self.function(*arguments, **named)


def comptime(function: Callable[..., Any]) -> Comptime:
    """Let kernels call this Python function while they are compiled; its results are constants."""
    return Comptime(function)
