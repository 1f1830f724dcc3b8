"""AArch64 relocations (ELF for the Arm 64-bit Architecture, section 5.7). Page(x) is x with its low 12 bits cleared.

number   name                         field                          value
257 258  ABS64 ABS32                  8, 4 bytes                     S + A
260 261  PREL64 PREL32                8, 4 bytes                     S + A - P
274      ADR_PREL_LO21                immlo 30:29, immhi 23:5        S + A - P
275 276  ADR_PREL_PG_HI21 (_NC)       immlo 30:29, immhi 23:5        (Page(S + A) - Page(P)) >> 12
277      ADD_ABS_LO12_NC              imm12 21:10                    (S + A) & fff
278 284 285 286 299  LDST8..128_ABS_LO12_NC  imm12 21:10             ((S + A) & fff) / access size
279      TSTBR14                      imm14 18:5                     (S + A - P) >> 2
280      CONDBR19                     imm19 23:5                     (S + A - P) >> 2
282 283  JUMP26 CALL26                imm26 25:0                     (S + A - P) >> 2
311      ADR_GOT_PAGE                 as 275                         of the table entry
312      LD64_GOT_LO12_NC             imm12 21:10                    entry & fff, / 8
314      PLT32                        4 bytes                        S + A - P
1025 1027  GLOB_DAT, RELATIVE         made for shared objects
"""

from collections.abc import Sequence

from hekla.lang.link.architecture import Architecture, Stub
from hekla.lang.link.site import NOT_DONE, Site

_NAMES = {
    0: "NONE", 256: "NONE", 257: "ABS64", 258: "ABS32", 260: "PREL64", 261: "PREL32", 274: "ADR_PREL_LO21",
    275: "ADR_PREL_PG_HI21", 276: "ADR_PREL_PG_HI21_NC", 277: "ADD_ABS_LO12_NC", 278: "LDST8_ABS_LO12_NC",
    279: "TSTBR14", 280: "CONDBR19", 282: "JUMP26", 283: "CALL26", 284: "LDST16_ABS_LO12_NC",
    285: "LDST32_ABS_LO12_NC", 286: "LDST64_ABS_LO12_NC", 299: "LDST128_ABS_LO12_NC", 311: "ADR_GOT_PAGE",
    312: "LD64_GOT_LO12_NC", 314: "PLT32",
}  # fmt: skip
_SCALE = {277: 0, 278: 0, 284: 1, 285: 2, 286: 3, 299: 4, 312: 3}  # log2 of the access size
_BRANCH = {279: (14, 5), 280: (19, 5), 282: (26, 0), 283: (26, 0)}  # bits of the field, its lowest bit


def apply(sites: Sequence[Site]) -> None:
    """Write every relocation of a link."""
    for site in sites:
        _apply(site)


def _apply(site: Site) -> None:
    kind = site.relocation.kind
    value = (site.got if kind in (311, 312) else site.target) + site.addend
    distance = value - site.place
    match kind:
        case 257:
            site.write(value, 8)
        case 258:
            site.write(site.check_either(value, 32), 4)
        case 260:
            site.write(distance, 8)
        case 261 | 314:
            site.write(site.check_signed(distance, 32), 4)
        case 274:
            _page_offset(site, site.check_signed(distance, 21))
        case 275 | 311:
            _page_offset(site, site.check_signed((value & ~0xFFF) - (site.place & ~0xFFF), 33) >> 12)
        case 276:
            _page_offset(site, ((value & ~0xFFF) - (site.place & ~0xFFF)) >> 12)
        case 279 | 280 | 282 | 283:
            bits, low = _BRANCH[kind]
            _field(site, site.check_signed(distance, bits + 2, 4) >> 2, bits, low)
        case _ if kind in _SCALE:
            if value & ((1 << _SCALE[kind]) - 1):
                site.overflow(value, f"is not a multiple of {1 << _SCALE[kind]}")
            _field(site, (value & 0xFFF) >> _SCALE[kind], 12, 10)
        case _:
            site.unsupported(NOT_DONE)


def _field(site: Site, value: int, bits: int, low: int) -> None:
    mask = ((1 << bits) - 1) << low
    site.write((site.read(4) & ~mask) | ((value << low) & mask), 4)


def _page_offset(site: Site, value: int) -> None:
    _field(site, value & 3, 2, 29)
    _field(site, value >> 2, 19, 5)


AARCH64 = Architecture(
    machine=183,
    bits=64,
    elf_flags=0,
    page=0x10000,  # the largest page a kernel may use
    names={number: f"R_AARCH64_{name}" for number, name in _NAMES.items()},
    apply=apply,
    absolute=257,
    through_table=frozenset({311, 312}),
    calls=frozenset({282, 283, 314}),
    fixed=frozenset({258}),
    ignored=frozenset({0, 256}),
    relative=1027,
    import_=1025,
    # adrp x16, page(entry); ldr x17, [x16, low(entry)]; br x17; nop
    stub=Stub(bytes.fromhex("10000090 110240f9 20021fd6 1f2003d5"), ((0, 311, 0, False), (4, 312, 0, False))),
)
