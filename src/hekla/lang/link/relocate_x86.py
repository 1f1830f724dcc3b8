"""x86-64 relocations (System V ABI, AMD64 supplement, table 4.9). S symbol, A addend, P place, G table entry.

number  name            bytes  value
 1      64              8      S + A
 2      PC32            4      S + A - P, signed
 4      PLT32           4      the same: a call may go through a stub
 9      GOTPCREL        4      G + A - P, signed
10      32              4      S + A, unsigned
11      32S             4      S + A, signed
24      PC64            8      S + A - P
41      GOTPCRELX       4      as GOTPCREL; `mov` and `call`/`jmp` may be relaxed
42      REX_GOTPCRELX   4      the same behind a REX prefix
 6, 8   GLOB_DAT, RELATIVE     made for shared objects: S, and base + A
"""

from collections.abc import Sequence

from hekla.lang.link.architecture import Architecture, Stub
from hekla.lang.link.objects import Relocation, Section
from hekla.lang.link.site import NOT_DONE, Site

_NAMES = {
    0: "NONE", 1: "64", 2: "PC32", 4: "PLT32", 9: "GOTPCREL", 10: "32", 11: "32S", 12: "16", 14: "8", 24: "PC64",
    41: "GOTPCRELX", 42: "REX_GOTPCRELX", 43: "CODE_4_GOTPCRELX",
}  # fmt: skip
_THROUGH_TABLE = frozenset({9, 41, 42})


def apply(sites: Sequence[Site]) -> None:
    """Write every relocation of a link."""
    for site in sites:
        _apply(site)


def _apply(site: Site) -> None:
    kind, value = site.relocation.kind, site.target + site.addend
    match kind:
        case 1:
            site.write(value, 8)
        case 2 | 4:
            site.write(site.check_signed(value - site.place, 32), 4)
        case 24:
            site.write(value - site.place, 8)
        case 9 | 41 | 42:
            site.write(site.check_signed(site.got + site.addend - site.place, 32), 4)
        case 10:
            site.write(site.check_unsigned(value, 32), 4)
        case 11:
            site.write(site.check_signed(value, 32), 4)
        case _:
            site.unsupported(NOT_DONE)


def relax(section: Section, relocation: Relocation) -> bool:
    """Make `mov entry(%rip), register` a `lea symbol(%rip), register`: no table needed (AMD64 supplement, B.2)."""
    at = relocation.offset - 2
    if relocation.kind not in (41, 42) or at < 0 or section.data[at] != 0x8B:
        return False
    section.data[at], relocation.kind = 0x8D, 2
    return True


X86_64 = Architecture(
    machine=62,
    bits=64,
    elf_flags=0,
    page=0x1000,
    names={number: f"R_X86_64_{name}" for number, name in _NAMES.items()},
    apply=apply,
    absolute=1,
    through_table=_THROUGH_TABLE,
    calls=frozenset({2, 4}),
    fixed=frozenset({10, 11, 12, 14}),
    relax=relax,
    relative=8,
    import_=6,
    stub=Stub(bytes.fromhex("ff25 00000000 6690"), ((2, 9, -4, False),)),  # jmp *entry(%rip); nop
)
