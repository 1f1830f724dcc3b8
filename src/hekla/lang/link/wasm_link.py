"""Make a WebAssembly object a module that runs: keep what the exports reach, renumber, give data its addresses.

Memory      0 .. STACK      the stack, growing down: an overflow traps instead of overwriting data
            STACK ..        data segments, each at its alignment; zeros are not stored
            then up to whole pages of 64 KiB

The object's relocatable numbers are five bytes long; each is rewritten in its shortest form.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hekla.lang.link import leb
from hekla.lang.link.errors import ObjectFormatError, UndefinedSymbolError, UnsupportedRelocationError
from hekla.lang.link.layout import align_up
from hekla.lang.link.wasm_read import DATA, FUNCTION, Piece, WasmObject, WasmRelocation, WasmSymbol

STACK, PAGE = 1 << 15, 1 << 16
_FUNCTION_LEB, _TABLE_SLEB, _TABLE_I32, _MEMORY_LEB, _MEMORY_SLEB, _MEMORY_I32 = range(6)
_TYPE_LEB, _GLOBAL_LEB, _TABLE_NUMBER = 6, 7, 20
_NAMES = {
    0: "FUNCTION_INDEX_LEB", 1: "TABLE_INDEX_SLEB", 2: "TABLE_INDEX_I32", 3: "MEMORY_ADDR_LEB",
    4: "MEMORY_ADDR_SLEB", 5: "MEMORY_ADDR_I32", 6: "TYPE_INDEX_LEB", 7: "GLOBAL_INDEX_LEB", 20: "TABLE_NUMBER_LEB",
}  # fmt: skip
_OUTSIDE = "env"  # the module LLVM names for what nobody said where to import from


@dataclass(slots=True)
class _Module:
    """What is kept, in its new order: numbers are positions in these lists (functions: imports first)."""

    file: WasmObject
    imports: list[int] = field(default_factory=list)
    functions: list[int] = field(default_factory=list)
    segments: list[int] = field(default_factory=list)
    table: list[int] = field(default_factory=list)  # functions whose address is taken; entry 0 stays empty
    types: list[bytes] = field(default_factory=list)
    addresses: dict[int, int] = field(default_factory=dict)
    uses_stack: bool = False

    # --- what is kept -----------------------------------------------------------------------------------

    def keep_function(self, index: int) -> None:
        file = self.file
        if index < len(file.imports):
            module, name, _ = file.imports[index]
            if module == _OUTSIDE:
                raise UndefinedSymbolError(name, used_in=file.where)
            if index not in self.imports:
                self.imports.append(index)
        elif index not in self.functions:
            self.functions.append(index)
            self._keep_used(file.function(index))

    def _keep_used(self, piece: Piece) -> None:
        for relocation in piece.relocations:
            if relocation.kind in (_TYPE_LEB, _TABLE_NUMBER):
                continue
            symbol = self.file.symbols[relocation.index]
            if symbol.kind == FUNCTION:
                self.keep_function(symbol.index)
                if relocation.kind in (_TABLE_SLEB, _TABLE_I32) and symbol.index not in self.table:
                    self.table.append(symbol.index)
            elif symbol.kind == DATA:
                self._keep_data(symbol)
            else:
                self._keep_global(symbol)

    def _keep_data(self, symbol: WasmSymbol) -> None:
        if symbol.index < 0:
            raise UndefinedSymbolError(symbol.name, used_in=self.file.where)
        if symbol.index not in self.segments:
            self.segments.append(symbol.index)
            self._keep_used(self.file.segments[symbol.index])

    def _keep_global(self, symbol: WasmSymbol) -> None:
        if symbol.name not in ("__stack_pointer", ""):
            raise UndefinedSymbolError(symbol.name, used_in=self.file.where)
        self.uses_stack = True

    def lay_out(self) -> int:
        """Give segments their addresses and return where they end."""
        cursor = STACK
        for index in self.segments:
            piece = self.file.segments[index]
            self.addresses[index] = cursor = align_up(cursor, 1 << piece.align)
            cursor += len(piece.data)
        return cursor

    # --- new numbers ------------------------------------------------------------------------------------

    def function_number(self, index: int) -> int:
        if index < len(self.file.imports):
            return self.imports.index(index)
        return len(self.imports) + self.functions.index(index)

    def type_number(self, index: int) -> int:
        kind = self.file.types[index]
        if kind not in self.types:
            self.types.append(kind)
        return self.types.index(kind)

    def value(self, relocation: WasmRelocation, place: str) -> bytes:
        """Return the bytes to put at a relocation."""
        kind = relocation.kind
        if kind == _TYPE_LEB:
            return leb.unsigned(self.type_number(relocation.index))
        symbol = self.file.symbols[relocation.index]
        if kind == _FUNCTION_LEB and symbol.kind == FUNCTION:
            return leb.unsigned(self.function_number(symbol.index))
        if kind in (_TABLE_SLEB, _TABLE_I32) and symbol.kind == FUNCTION:
            entry = 1 + self.table.index(symbol.index)
            return leb.signed(entry) if kind == _TABLE_SLEB else entry.to_bytes(4, "little")
        if kind in (_MEMORY_LEB, _MEMORY_SLEB, _MEMORY_I32) and symbol.kind == DATA:
            address = (self.addresses[symbol.index] + symbol.offset + relocation.addend) & 0xFFFFFFFF
            if kind == _MEMORY_I32:
                return address.to_bytes(4, "little")
            return leb.unsigned(address) if kind == _MEMORY_LEB else leb.signed(address - (address >> 31 << 32))
        if kind in (_GLOBAL_LEB, _TABLE_NUMBER):
            return leb.unsigned(0)
        name = f"R_WASM_{_NAMES.get(kind, f'type {kind}')}"
        why = "is a relocation this linker does not do"
        raise UnsupportedRelocationError(name, symbol.name, place, relocation.offset, why)

    def relocated(self, piece: Piece, place: str) -> bytes:
        """Return a body or segment with its numbers."""
        made, done = bytearray(), 0
        for relocation in sorted(piece.relocations, key=lambda r: r.offset):
            size = 4 if relocation.kind in (_TABLE_I32, _MEMORY_I32) else 5
            if relocation.offset < done or relocation.offset + size > len(piece.data):
                raise ObjectFormatError(self.file.where, f"relocations in {place} overlap or lie outside")
            made += piece.data[done : relocation.offset] + self.value(relocation, place)
            done = relocation.offset + size
        return bytes(made + piece.data[done:])


def link_wasm(file: WasmObject, exports: Sequence[str]) -> tuple[bytes, tuple[tuple[str, int], ...], int]:
    """Return (module, sections, bytes of memory it writes to); exports are its functions and `memory`.

    Errors: UndefinedSymbolError, UnsupportedRelocationError, ObjectFormatError.
    """
    module = _Module(file)
    roots: list[tuple[str, int]] = []
    for name in exports:
        found = [s for s in file.symbols if s.kind == FUNCTION and s.name == name and not s.is_undefined]
        if not found:
            raise UndefinedSymbolError(name, used_in="the product")
        roots.append((name, found[0].index))
        module.keep_function(found[0].index)
    end = module.lay_out()
    sections = _sections(module, roots, end)
    names = {1: "types", 2: "imports", 3: "functions", 4: "table", 5: "memory", 6: "globals", 7: "exports",
             9: "elements", 10: "code", 11: "data"}  # fmt: skip
    content = b"\0asm\x01\0\0\0" + b"".join(bytes([n]) + leb.unsigned(len(b)) + b for n, b in sections)
    return content, tuple((names[n], len(b)) for n, b in sections), end


def _sections(module: _Module, roots: list[tuple[str, int]], end: int) -> list[tuple[int, bytes]]:
    file = module.file
    imports = [
        leb.text(file.imports[i][0]) + leb.text(file.imports[i][1]) + b"\0"
        + leb.unsigned(module.type_number(file.imports[i][2]))
        for i in module.imports
    ]  # fmt: skip
    kinds = [leb.unsigned(module.type_number(file.function(i).type_index)) for i in module.functions]
    bodies = [module.relocated(file.function(i), f"function {i}") for i in module.functions]
    code = [leb.unsigned(len(body)) + body for body in bodies]
    data = []
    for index in module.segments:
        content = module.relocated(file.segments[index], f"segment {index}").rstrip(b"\0")
        if content:
            place = b"\0\x41" + leb.signed(module.addresses[index]) + b"\x0b"
            data.append(place + leb.unsigned(len(content)) + content)
    functions = [leb.text(name) + b"\0" + leb.unsigned(module.function_number(index)) for name, index in roots]
    entries = leb.unsigned(1 + len(module.table))
    taken = leb.vector([leb.unsigned(module.function_number(i)) for i in module.table])
    pages = align_up(end, PAGE) // PAGE
    rows = [
        (1, leb.vector(module.types), bool(module.types)),
        (2, leb.vector(imports), bool(imports)),
        (3, leb.vector(kinds), bool(kinds)),
        (4, leb.vector([b"\x70\0" + entries]), bool(module.table)),  # functions, at least so many
        (5, leb.vector([b"\0" + leb.unsigned(pages)]), True),
        (6, leb.vector([b"\x7f\x01\x41" + leb.signed(STACK) + b"\x0b"]), module.uses_stack),  # i32, may change
        (7, leb.vector([*functions, leb.text("memory") + b"\x02\0"]), True),
        (9, leb.vector([b"\0\x41\x01\x0b" + taken]), bool(module.table)),  # from entry 1 on
        (10, leb.vector(code), bool(code)),
        (11, leb.vector(data), bool(data)),
    ]
    return [(number, content) for number, content, used in rows if used]
