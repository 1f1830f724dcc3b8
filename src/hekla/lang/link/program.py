"""The program between its objects and its product: what was kept, the address table, and relocation."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from hekla.lang.link.architecture import Architecture
from hekla.lang.link.objects import ALLOC, EXECUTE, WRITE, ObjectFile, Relocation, Section, Symbol
from hekla.lang.link.resolve import Names, check_machine, reachable
from hekla.lang.link.site import Site

TABLE = ".got"


class Base(Enum):
    """Where the product will lie: at its addresses; anywhere, with a loader's help; anywhere, with nobody's."""

    FIXED = "fixed"
    LOADED = "loaded"
    ANYWHERE = "anywhere"


@dataclass(frozen=True, slots=True)
class DynamicRelocation:
    """What the loader must write: at `place`, by `kind`, the address of an import or base + `addend`."""

    place: int
    kind: int
    symbol: Symbol | None
    addend: int


@dataclass(slots=True)
class Program:
    """Made by `prepare`; then the product sets each section's address; then `relocate` fills in addresses."""

    architecture: Architecture
    base: Base
    names: Names
    sections: list[Section]
    table: dict[Symbol, int] = field(default_factory=dict)  # symbol -> offset in the address table
    table_section: Section | None = None

    def dynamic_count(self) -> int:
        """Return how many relocations are left to the loader."""
        if self.base is not Base.LOADED:
            return 0
        return sum(self._moves(r) for s in self.sections for r in s.relocations)

    def _moves(self, relocation: Relocation) -> bool:
        return relocation.kind == self.architecture.absolute and not relocation.symbol.absolute

    def relocate(self) -> list[DynamicRelocation]:
        """Write every address. Errors: overflow and unsupported relocations, each naming symbol and section."""
        left: list[DynamicRelocation] = []
        sites: list[Site] = []
        for section in self.sections:
            for relocation in section.relocations:
                if relocation.kind in self.architecture.ignored:
                    continue
                site = self._site(section, relocation)
                if self.base is not Base.FIXED and not relocation.symbol.absolute:
                    self._check_movable(site)
                    if relocation.kind == self.architecture.absolute:
                        left.append(self._dynamic(site))
                        continue
                sites.append(site)
        self.architecture.apply(sites)
        return left

    def _site(self, section: Section, relocation: Relocation) -> Site:
        entry = 0
        if relocation.kind in self.architecture.through_table:
            assert self.table_section is not None
            entry = self.table_section.address + self.table[relocation.symbol]
        return Site(section, relocation, self.architecture.name(relocation.kind), relocation.symbol.address, entry)

    def _check_movable(self, site: Site) -> None:
        kind = site.relocation.kind
        if kind in self.architecture.fixed:
            site.unsupported("needs a fixed address, and this product may lie anywhere")
        if kind == self.architecture.absolute and self.base is Base.ANYWHERE:
            site.unsupported("stores an address, which nobody would correct when a flat image is loaded")

    def _dynamic(self, site: Site) -> DynamicRelocation:
        symbol = site.relocation.symbol
        site.read(self.architecture.bits // 8)  # the place must exist
        if not symbol.is_defined:
            return DynamicRelocation(site.place, self.architecture.import_, symbol, site.addend)
        return DynamicRelocation(site.place, self.architecture.relative, None, symbol.address + site.addend)


def prepare(
    objects: Sequence[ObjectFile],
    architecture: Architecture,
    base: Base,
    roots: Sequence[str],
    provided: Mapping[str, Symbol],
    imports: Collection[str] = (),
) -> Program:
    """Return the program of some objects: what `roots` reach, with stubs for imports and the address table.

    Errors: undefined and duplicate symbols, objects for another machine.
    """
    check_machine(objects, architecture)
    names = Names(objects, provided, imports)
    sections = reachable([names.find(root, "the product") for root in roots], names, architecture)
    program = Program(architecture, base, names, sections)
    _add_stubs(program)
    _add_table(program)
    return program


def _add_stubs(program: Program) -> None:
    """Send calls of imports through code that reads the address table."""
    stub = program.architecture.stub
    if stub is None or not program.names.imported:
        return
    made: dict[Symbol, Symbol] = {}
    code = Section(".plt", bytearray(), 0, 16, ALLOC | EXECUTE)
    for section in program.sections:
        for relocation in section.relocations:
            target = relocation.symbol
            if target.is_defined or relocation.kind not in program.architecture.calls:
                continue
            if target not in made:
                start = len(code.data)
                made[target] = Symbol(target.name, code, start, is_function=True)
                code.data += stub.code
                code.relocations += [
                    Relocation(start + offset, kind, made[target] if own else target, addend)
                    for offset, kind, addend, own in stub.slots
                ]
            relocation.symbol = made[target]
    code.size = len(code.data)
    if code.size:
        program.sections.append(code)


def _add_table(program: Program) -> None:
    """Make the address table of the symbols that are read through it."""
    architecture, width = program.architecture, program.architecture.bits // 8
    table = Section(TABLE, bytearray(), 0, width, ALLOC | WRITE)
    for section in program.sections:
        for relocation in section.relocations:
            if relocation.kind not in architecture.through_table:
                continue
            if architecture.relax and relocation.symbol.section and architecture.relax(section, relocation):
                continue
            if relocation.symbol not in program.table:
                offset = program.table[relocation.symbol] = len(table.data)
                table.data += bytes(width)
                table.relocations.append(Relocation(offset, architecture.absolute, relocation.symbol, 0))
    table.size = len(table.data)
    if table.size:
        program.sections.append(table)
        program.table_section = table
