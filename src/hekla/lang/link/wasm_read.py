"""Read a WebAssembly object file (WebAssembly 2.0, section 5; tool-conventions, Linking.md).

Module    00 61 73 6d 01 00 00 00, then sections: 1 id, size, content
1 types   count, each: 60, parameters, results (each a count and one byte a value)
2 imports count, each: module, name, kind: 0 function: type; 1 table, 2 memory, 3 global: not needed here
3 functions  count, type of each           10 code  count, each: size, body
11 data   count, each: 0, i32.const address, end, size, bytes
0 custom  name, content:
  linking     version 2, subsections: 1 id, size, content. 5: segments (name, log2 of alignment, flags).
              6: functions to run first: refused.
              8: symbols: 1 kind (0 function, 1 data, 2 global, 3 section, 5 table), flags, then by kind
              index and name, or name, segment, offset, size. Flags: 1 weak, 2 local, 10 undefined, 40 has a name
  reloc.CODE, reloc.DATA   section, count, each: 1 kind, offset within the section's content, index, addend for some
"""

from dataclasses import dataclass, field

from hekla.lang.link.errors import ObjectFormatError
from hekla.lang.link.leb import Cursor

FUNCTION, DATA, GLOBAL, SECTION, TABLE = 0, 1, 2, 3, 5
_WITH_ADDEND = frozenset({3, 4, 5, 8, 9, 11, 12, 14, 15, 16, 17, 23})
_UNDEFINED, _NAMED = 0x10, 0x40


@dataclass(frozen=True, slots=True)
class WasmRelocation:
    """`offset` is from the start of its function's body or segment; `index` a symbol, or a type where kind is 6."""

    kind: int
    offset: int
    index: int
    addend: int


@dataclass(slots=True)
class Piece:
    """A function's body, or the bytes of a data segment; `start` is where it lies in the section's content."""

    start: int
    data: bytes
    type_index: int = 0
    align: int = 0  # log2
    relocations: list[WasmRelocation] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class WasmSymbol:
    """`index` is a function (imports first), global or segment; -1 where data is undefined."""

    kind: int
    flags: int
    name: str
    index: int
    offset: int = 0

    @property
    def is_undefined(self) -> bool:
        """True where another file defines it."""
        return bool(self.flags & _UNDEFINED)


@dataclass(slots=True)
class WasmObject:
    """What the linker needs of an object. Function numbers count imports first."""

    where: str
    types: list[bytes] = field(default_factory=list)
    imports: list[tuple[str, str, int]] = field(default_factory=list)  # module, name, type: functions only
    functions: list[Piece] = field(default_factory=list)
    segments: list[Piece] = field(default_factory=list)
    symbols: list[WasmSymbol] = field(default_factory=list)

    def function(self, index: int) -> Piece:
        """Return a defined function by number."""
        return self.functions[index - len(self.imports)]


def read_wasm(data: bytes, where: str) -> WasmObject:
    """Return what an object file holds. Errors: ObjectFormatError."""
    if data[:8] != b"\0asm\x01\0\0\0":
        raise ObjectFormatError(where, "it does not start with 00 61 73 6d 01 00 00 00")
    made = WasmObject(where)
    kinds: list[int] = []
    cursor = Cursor(data, where, 8)
    while not cursor.is_done:
        section = cursor.byte()
        part = cursor.part()
        _section(made, section, part, kinds)
    _check(made)
    return made


def _section(made: WasmObject, section: int, part: Cursor, kinds: list[int]) -> None:
    start = part.position
    match section:
        case 1:
            made.types = [_type(part) for _ in range(part.number())]
        case 2:
            for _ in range(part.number()):
                _import(made, part)
        case 3:
            kinds += [part.number() for _ in range(part.number())]
        case 10:
            for number in range(part.number()):
                body = part.part()
                kind = kinds[number] if number < len(kinds) else -1
                piece = Piece(body.position - start, part.data[body.position : body.end], kind)
                made.functions.append(piece)
        case 11:
            for _ in range(part.number()):
                made.segments.append(_segment(part, start))
        case 0:
            _custom(made, part)
        case _:
            pass


def _type(part: Cursor) -> bytes:
    start = part.position
    if part.byte() != 0x60:
        raise ObjectFormatError(part.where, f"the type at {start} is not a function's")
    part.take(part.number())
    part.take(part.number())
    return part.data[start : part.position]


def _import(made: WasmObject, part: Cursor) -> None:
    module, name, kind = part.text(), part.text(), part.byte()
    if kind == 0:
        made.imports.append((module, name, part.number()))
    elif kind == 3:
        part.take(2)
    elif kind in (1, 2):
        part.take(1 if kind == 1 else 0)
        for _ in range(1 + (part.byte() & 1)):
            part.number()
    else:
        raise ObjectFormatError(part.where, f"import {name!r} has kind {kind}")


def _segment(part: Cursor, start: int) -> Piece:
    if part.number() != 0 or part.byte() != 0x41:
        raise ObjectFormatError(part.where, "a data segment does not start with flags 0 and a constant")
    part.signed_number()
    part.take(1)
    size = part.number()
    at = part.position - start
    return Piece(at, part.take(size))


def _custom(made: WasmObject, part: Cursor) -> None:
    name = part.text()
    if name == "linking":
        if part.number() != 2:
            raise ObjectFormatError(part.where, "its linking section is not of version 2")
        while not part.is_done:
            kind = part.byte()
            inner = part.part()
            if kind == 6 and inner.number():
                raise ObjectFormatError(part.where, "nothing here runs functions before the entry")
            if kind == 5:
                _segment_alignments(made, inner)
            elif kind == 8:
                made.symbols = [_symbol(made, inner) for _ in range(inner.number())]
    elif name in ("reloc.CODE", "reloc.DATA"):
        part.number()
        pieces = made.functions if name == "reloc.CODE" else made.segments
        for _ in range(part.number()):
            _relocation(part, pieces)


def _segment_alignments(made: WasmObject, part: Cursor) -> None:
    for number in range(part.number()):
        part.text()
        align = part.number()
        part.number()
        if number >= len(made.segments) or align > 16:
            raise ObjectFormatError(part.where, f"segment {number} does not exist or has alignment 2^{align}")
        made.segments[number].align = align


def _symbol(made: WasmObject, part: Cursor) -> WasmSymbol:
    kind, flags = part.byte(), part.number()
    if kind == DATA:
        name = part.text()
        if flags & _UNDEFINED:
            return WasmSymbol(kind, flags, name, -1)
        index, offset = part.number(), part.number()
        part.number()
        return WasmSymbol(kind, flags, name, index, offset)
    index = part.number()
    if kind == SECTION:
        return WasmSymbol(kind, flags, "", index)
    if not flags & _UNDEFINED or flags & _NAMED:
        return WasmSymbol(kind, flags, part.text(), index)
    name = made.imports[index][1] if kind == FUNCTION and index < len(made.imports) else ""
    return WasmSymbol(kind, flags, name, index)


def _relocation(part: Cursor, pieces: list[Piece]) -> None:
    kind, offset, index = part.byte(), part.number(), part.number()
    addend = part.signed_number() if kind in _WITH_ADDEND else 0
    for piece in pieces:
        if piece.start <= offset < piece.start + len(piece.data):
            piece.relocations.append(WasmRelocation(kind, offset - piece.start, index, addend))
            return
    raise ObjectFormatError(part.where, f"a relocation at {offset} lies in no function or segment")


def _check(made: WasmObject) -> None:
    """Every number must name something, so that the linker may use it."""
    functions = len(made.imports) + len(made.functions)
    bad = [f.type_index for f in made.functions if not 0 <= f.type_index < len(made.types)]
    bad += [i[2] for i in made.imports if i[2] >= len(made.types)]
    limits = {FUNCTION: functions, DATA: len(made.segments)}
    bad += [s.index for s in made.symbols if s.index >= limits.get(s.kind, 1 << 32)]
    for piece in (*made.functions, *made.segments):
        count = len(made.types)
        bad += [r.index for r in piece.relocations if r.index >= (count if r.kind == 6 else len(made.symbols))]
    if bad:
        raise ObjectFormatError(made.where, f"it refers to number {bad[0]}, which does not exist")
    for symbol in made.symbols:
        if symbol.kind == FUNCTION and symbol.is_undefined != (symbol.index < len(made.imports)):
            raise ObjectFormatError(made.where, f"function {symbol.name!r} is both imported and defined")
