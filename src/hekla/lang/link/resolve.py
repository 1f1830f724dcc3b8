"""Find who defines each name, and keep only the sections that the product's roots reach."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from hekla.lang.link.architecture import Architecture
from hekla.lang.link.errors import DuplicateSymbolError, ObjectFormatError, UndefinedSymbolError
from hekla.lang.link.objects import WEAK, ObjectFile, Section, Symbol

_BEFORE = (".init_array", ".fini_array", ".preinit_array", ".ctors", ".dtors")


class Names:
    """Who defines what. `imports` names may stay undefined: the loader finds them."""

    def __init__(self, objects: Sequence[ObjectFile], provided: Mapping[str, Symbol], imports: Collection[str]) -> None:
        self._allowed = imports
        self._defined: dict[str, tuple[Symbol, str]] = {n: (s, "the linker") for n, s in provided.items()}
        self.imported: dict[str, Symbol] = {}
        for file in objects:
            for symbol in file.symbols:
                self._define(symbol, file.name)

    def _define(self, symbol: Symbol, where: str) -> None:
        before = self._defined.get(symbol.name)
        if not symbol.is_defined or (before is not None and symbol.binding == WEAK):
            return
        if before is not None and before[0].binding != WEAK:
            raise DuplicateSymbolError(symbol.name, before[1], where)
        self._defined[symbol.name] = symbol, where

    def find(self, name: str, used_in: str) -> Symbol:
        """Return who defines a name. Errors: UndefinedSymbolError."""
        if name in self._defined:
            return self._defined[name][0]
        if name not in self._allowed:
            raise UndefinedSymbolError(name, used_in=used_in)
        return self.imported.setdefault(name, Symbol(name, None, 0))

    def resolved(self, symbol: Symbol, used_in: str) -> Symbol:
        """Return what a reference means: a weak one that nobody defines is address 0."""
        if symbol.is_defined:
            # a definition that another one replaced is no longer what the name means
            replaced = symbol.binding == WEAK and symbol.name in self._defined
            return self._defined[symbol.name][0] if replaced else symbol
        if symbol.binding == WEAK and symbol.name not in self._defined:
            return Symbol(symbol.name, None, 0, absolute=True)
        return self.find(symbol.name, used_in)


def check_machine(objects: Iterable[ObjectFile], architecture: Architecture) -> None:
    """Refuse objects for another processor, or with code to run that no product would run."""
    for file in objects:
        for section in file.sections:
            if section.name.startswith(_BEFORE):
                raise ObjectFormatError(file.name, f"{section.name}: nothing here runs functions before the entry")
        if (file.machine, file.bits) != (architecture.machine, architecture.bits):
            problem = f"it is for machine {file.machine} ({file.bits} bits), not {architecture.machine}"
            raise ObjectFormatError(file.name, problem)


def reachable(roots: Sequence[Symbol], names: Names, architecture: Architecture) -> list[Section]:
    """Return the sections that roots use, directly or not, roots first; their relocations get their final symbols."""
    found: dict[Section, None] = {s.section: None for s in roots if s.section is not None}
    waiting = list(reversed(found))
    while waiting:
        section = waiting.pop()
        for relocation in section.relocations:
            if relocation.kind in architecture.ignored:
                continue
            relocation.symbol = names.resolved(relocation.symbol, f"{section.owner}: {section.name}")
            used = relocation.symbol.section
            if used is not None and used not in found:
                found[used] = None
                waiting.append(used)
    return list(found)
