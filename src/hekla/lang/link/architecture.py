"""What the linker must know of a processor: one record, filled by each `relocate_<arch>.py`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hekla.lang.link.objects import Relocation, Section
from hekla.lang.link.site import Site


@dataclass(frozen=True, slots=True)
class Stub:
    """Code that jumps to an imported function through the address table.

    `slots` are relocations: (offset, kind, addend, whether the symbol is the stub itself and not the import).
    """

    code: bytes
    slots: tuple[tuple[int, int, int, bool], ...]


@dataclass(frozen=True, slots=True)
class Architecture:
    """`names` maps relocation numbers to the ABI's names; `apply` writes all relocations of a link.

    `absolute` is the kind that stores a whole address, which a shared object turns into `relative` (base + addend)
    or, for an imported symbol, `import_`. `fixed` kinds hold part of an address, so the product cannot move.
    `through_table` kinds read the address table (GOT); `calls` may go through a stub; `ignored` kinds are hints.
    `relax` rewrites a read of the table into the address itself where it can, and says whether it did.
    """

    machine: int
    bits: int
    elf_flags: int
    page: int
    names: Mapping[int, str]
    apply: Callable[[Sequence[Site]], None]
    absolute: int
    through_table: frozenset[int] = frozenset()
    calls: frozenset[int] = frozenset()
    ignored: frozenset[int] = frozenset({0})
    relative: int = 0
    import_: int = 0
    stub: Stub | None = None
    fixed: frozenset[int] = frozenset()
    relax: Callable[[Section, Relocation], bool] | None = None

    def name(self, kind: int) -> str:
        """Return the ABI's name of a relocation, or its number."""
        return self.names.get(kind, f"relocation type {kind}")
