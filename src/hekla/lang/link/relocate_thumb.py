"""Thumb-2 relocations (ELF for the Arm Architecture, section 5.6). T is 1 for a function: Thumb code has odd addresses.

number  name              field                               value
 0      NONE              none                                keeps a symbol alive: nothing written
 2 38   ABS32 TARGET1     4 bytes                             (S + A) | T
 3      REL32             4 bytes                             ((S + A) | T) - P
10 30   THM_CALL JUMP24   s, j1, j2, imm10, imm11             ((S + A) | T) - P, even, 25 bits
42      PREL31            31 bits of 4 bytes                  ((S + A) | T) - P
47      THM_MOVW_ABS_NC   imm4, i, imm3, imm8                 low 16 bits of (S + A) | T
48      THM_MOVT_ABS      the same                            high 16 bits of S + A
51      THM_JUMP19        s, j2, j1, imm6, imm11              S + A - P, 21 bits
102     THM_JUMP11        imm11                               S + A - P, 12 bits
103     THM_JUMP8         imm8                                S + A - P, 9 bits

The addend A lies in the field itself (REL), and symbols of functions already carry T in their value.
"""

from collections.abc import Sequence

from hekla.lang.link.architecture import Architecture
from hekla.lang.link.site import NOT_DONE, Site

_NAMES = {
    0: "NONE", 2: "ABS32", 3: "REL32", 10: "THM_CALL", 30: "THM_JUMP24", 38: "TARGET1", 42: "PREL31",
    47: "THM_MOVW_ABS_NC", 48: "THM_MOVT_ABS", 51: "THM_JUMP19", 96: "GOT_PREL", 102: "THM_JUMP11", 103: "THM_JUMP8",
}  # fmt: skip


def apply(sites: Sequence[Site]) -> None:
    """Write every relocation of a link."""
    for site in sites:
        _apply(site)


def _apply(site: Site) -> None:
    target, place = site.target, site.place
    match site.relocation.kind:
        case 2 | 38:
            site.write(target + site.read(4), 4)
        case 3:
            site.write(target + site.read(4) - place, 4)
        case 42:
            word = site.read(4)
            value = site.check_signed(target + _signed(word & 0x7FFFFFFF, 31) - place, 31)
            site.write((word & 0x80000000) | (value & 0x7FFFFFFF), 4)
        case 10 | 30:
            _branch24(site, target - place)
        case 51:
            _branch19(site, target - place)
        case 102 | 103:
            _short(site, target - place, 11 if site.relocation.kind == 102 else 8)
        case 47:
            _move(site, target, 0)
        case 48:
            _move(site, target, 16)
        case _:
            site.unsupported(NOT_DONE)


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


def _branch24(site: Site, distance: int) -> None:
    first, second = site.read(2), site.read(2, 2)
    sign = first >> 10 & 1
    i1, i2 = 1 ^ (second >> 13 & 1) ^ sign, 1 ^ (second >> 11 & 1) ^ sign
    addend = _signed(sign << 24 | i1 << 23 | i2 << 22 | (first & 0x3FF) << 12 | (second & 0x7FF) << 1, 25)
    value = site.check_signed((distance & ~1) + addend, 25, 2)
    sign = value >> 24 & 1
    j1, j2 = 1 ^ (value >> 23 & 1) ^ sign, 1 ^ (value >> 22 & 1) ^ sign
    site.write((first & 0xF800) | sign << 10 | (value >> 12 & 0x3FF), 2)
    site.write((second & 0xD000) | j1 << 13 | j2 << 11 | (value >> 1 & 0x7FF), 2, 2)


def _branch19(site: Site, distance: int) -> None:
    first, second = site.read(2), site.read(2, 2)
    high = (first >> 10 & 1) << 20 | (second >> 11 & 1) << 19 | (second >> 13 & 1) << 18
    addend = _signed(high | (first & 0x3F) << 12 | (second & 0x7FF) << 1, 21)
    value = site.check_signed((distance & ~1) + addend, 21, 2)
    site.write((first & 0xFBC0) | (value >> 20 & 1) << 10 | (value >> 12 & 0x3F), 2)
    second = (second & 0xD000) | (value >> 18 & 1) << 13 | (value >> 19 & 1) << 11
    site.write(second | (value >> 1 & 0x7FF), 2, 2)


def _short(site: Site, distance: int, bits: int) -> None:
    word, mask = site.read(2), (1 << bits) - 1
    value = site.check_signed((distance & ~1) + _signed((word & mask) << 1, bits + 1), bits + 1, 2)
    site.write((word & ~mask) | (value >> 1 & mask), 2)


def _move(site: Site, target: int, shift: int) -> None:
    first, second = site.read(2), site.read(2, 2)
    addend = (first & 0xF) << 12 | (first >> 10 & 1) << 11 | (second >> 12 & 7) << 8 | (second & 0xFF)
    value = (target + _signed(addend, 16)) >> shift & 0xFFFF
    site.write((first & 0xFBF0) | value >> 12 | (value >> 11 & 1) << 10, 2)
    site.write((second & 0x8F00) | (value >> 8 & 7) << 12 | (value & 0xFF), 2, 2)


THUMB = Architecture(
    machine=40,
    bits=32,
    elf_flags=0x0500_0400,  # EABI version 5, hardware floating point
    page=4,
    names={number: f"R_ARM_{name}" for number, name in _NAMES.items()},
    apply=apply,
    absolute=2,
    calls=frozenset({10, 30}),
)
