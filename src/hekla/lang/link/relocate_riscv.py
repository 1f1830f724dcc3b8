"""RISC-V relocations (RISC-V ELF psABI, "Relocations"). hi20(x) is (x + 0x800) >> 12, lo12(x) the low 12 bits.

number   name                     field                      value
 1  2    32 64                    4, 8 bytes                 S + A
16 17    BRANCH JAL               B-type, J-type             S + A - P
18 19    CALL CALL_PLT            U-type at P, I-type at P+4 hi20 and lo12 of S + A - P
20       GOT_HI20                 U-type                     hi20 of entry + A - P
23       PCREL_HI20               U-type                     hi20 of S + A - P
24 25    PCREL_LO12_I _S          I-type, S-type             lo12 of what the HI20 *at address S* computed
26 27 28 HI20 LO12_I LO12_S       U, I, S-type               hi20, lo12 of S + A
33..36   ADD8..64                 1..8 bytes                 V + S + A
37..40   SUB8..64                 1..8 bytes                 V - S - A
44 45    RVC_BRANCH RVC_JUMP      CB-type, CJ-type           S + A - P
51       RELAX                    hint                       none: code is left as long as it is
52 53    SUB6 SET6                low 6 bits                 V - S - A, S + A
54..56   SET8..32                 1..4 bytes                 S + A
57 59    32_PCREL PLT32           4 bytes                    S + A - P
 3       RELATIVE                 made for shared objects: base + A; an import takes 2 (64)

ALIGN (43) needs bytes removed, which only code compiled with `+relax` asks for: refused by name.
"""

from collections.abc import Sequence

from hekla.lang.link.architecture import Architecture, Stub
from hekla.lang.link.site import NOT_DONE, Site

_NAMES = {
    0: "NONE", 1: "32", 2: "64", 16: "BRANCH", 17: "JAL", 18: "CALL", 19: "CALL_PLT", 20: "GOT_HI20",
    23: "PCREL_HI20", 24: "PCREL_LO12_I", 25: "PCREL_LO12_S", 26: "HI20", 27: "LO12_I", 28: "LO12_S", 33: "ADD8",
    34: "ADD16", 35: "ADD32", 36: "ADD64", 37: "SUB8", 38: "SUB16", 39: "SUB32", 40: "SUB64", 43: "ALIGN",
    44: "RVC_BRANCH", 45: "RVC_JUMP", 51: "RELAX", 52: "SUB6", 53: "SET6", 54: "SET8", 55: "SET16", 56: "SET32",
    57: "32_PCREL", 59: "PLT32",
}  # fmt: skip
_SIZES = {33: 1, 34: 2, 35: 4, 36: 8, 37: 1, 38: 2, 39: 4, 40: 8, 54: 1, 55: 2, 56: 4}
_HIGH = {20, 23}


def apply(sites: Sequence[Site]) -> None:
    """Write every relocation of a link: high parts first, for the low parts refer to them by address."""
    offsets: dict[int, int] = {}
    for site in sites:
        if site.relocation.kind in _HIGH:
            target = site.got if site.relocation.kind == 20 else site.target
            offsets[site.place] = target + site.addend - site.place
    for site in sites:
        kind = site.relocation.kind
        if kind in _HIGH:
            _upper(site, offsets[site.place], 0)
        elif kind in (24, 25):
            if site.target not in offsets:
                site.unsupported("has no high part at the address it names")
            (_low_i if kind == 24 else _low_s)(site, offsets[site.target], 0)
        elif kind in _SIZES:
            _arithmetic(site)
        else:
            _apply(site)


def _apply(site: Site) -> None:
    value = site.target + site.addend
    distance = value - site.place
    match site.relocation.kind:
        case 1:
            site.write(site.check_either(value, 32), 4)
        case 2:
            site.write(value, 8)
        case 57 | 59:
            site.write(site.check_signed(distance, 32), 4)
        case 18 | 19:
            _upper(site, distance, 0)
            _low_i(site, distance, 4)
        case 26:
            _upper(site, value, 0)
        case 27:
            _low_i(site, value, 0)
        case 28:
            _low_s(site, value, 0)
        case 52:
            old = site.read(1)
            site.write((old & 0xC0) | ((old - value) & 0x3F), 1)
        case 53:
            site.write((site.read(1) & 0xC0) | (value & 0x3F), 1)
        case 16 | 17 | 44 | 45:
            _branch(site, distance)
        case _:
            site.unsupported(NOT_DONE)


def _arithmetic(site: Site) -> None:
    kind, value = site.relocation.kind, site.target + site.addend
    size = _SIZES[kind]
    old = 0 if kind >= 54 else site.read(size)
    site.write(old - value if 37 <= kind <= 40 else old + value, size)


def _upper(site: Site, value: int, skip: int) -> None:
    site.check_signed(value + 0x800, 32)
    site.write((site.read(4, skip) & 0xFFF) | ((value + 0x800) & 0xFFFFF000), 4, skip)


def _low_i(site: Site, value: int, skip: int) -> None:
    site.write((site.read(4, skip) & 0xFFFFF) | (value & 0xFFF) << 20, 4, skip)


def _low_s(site: Site, value: int, skip: int) -> None:
    fixed = site.read(4, skip) & 0x1FFF07F
    site.write(fixed | (value >> 5 & 0x7F) << 25 | (value & 0x1F) << 7, 4, skip)


# Where each bit of a branch's distance goes: (lowest bit of the distance, bits, lowest bit of the instruction).
_BRANCHES: dict[int, tuple[int, int, tuple[tuple[int, int, int], ...]]] = {
    16: (13, 4, ((11, 1, 7), (1, 4, 8), (5, 6, 25), (12, 1, 31))),
    17: (21, 4, ((12, 8, 12), (11, 1, 20), (1, 10, 21), (20, 1, 31))),
    44: (9, 2, ((5, 1, 2), (1, 2, 3), (6, 2, 5), (3, 2, 10), (8, 1, 12))),
    45: (12, 2, ((5, 1, 2), (1, 3, 3), (7, 1, 6), (6, 1, 7), (10, 1, 8), (8, 2, 9), (4, 1, 11), (11, 1, 12))),
}


def _branch(site: Site, distance: int) -> None:
    bits, size, parts = _BRANCHES[site.relocation.kind]
    site.check_signed(distance, bits, 2)
    word = site.read(size)
    for low, count, place in parts:
        mask = (1 << count) - 1
        word = (word & ~(mask << place)) | (distance >> low & mask) << place
    site.write(word, size)


RISCV64 = Architecture(
    machine=243,
    bits=64,
    elf_flags=0x5,  # compressed instructions, double-precision calling convention
    page=0x1000,
    names={number: f"R_RISCV_{name}" for number, name in _NAMES.items()},
    apply=apply,
    absolute=2,
    through_table=frozenset({20}),
    calls=frozenset({18, 19, 59}),
    fixed=frozenset({1, 26, 27, 28}),
    ignored=frozenset({0, 51}),
    relative=3,
    import_=2,
    # auipc t3, hi(entry); ld t3, lo(entry)(t3); jr t3; nop
    stub=Stub(bytes.fromhex("170e0000 033e0e00 67000e00 13000000"), ((0, 20, 0, False), (4, 24, 0, True))),
)
