"""Branch fields, against decoders written from the processors' manuals; and calls in tail position, which run."""

import random
from pathlib import Path

import pytest
from tests.lang.link.machines import RUNNABLE, run

from hekla.lang.link.architectures import ARCHITECTURES
from hekla.lang.link.errors import RelocationOverflowError
from hekla.lang.link.objects import ALLOC, EXECUTE, ObjectFile, Relocation, Section, Symbol
from hekla.lang.link.program import Base, prepare

PLACE = 1 << 28


def bits(word: int, *parts: tuple[int, int, int]) -> int:
    """Return the number whose parts (lowest bit in the word, count, lowest bit in the number) a word holds; signed."""
    value, top = 0, 0
    for low, count, place in parts:
        value |= (word >> low & ((1 << count) - 1)) << place
        top = max(top, place + count)
    return value - (1 << top) if value >> (top - 1) else value


def thumb_wide(word: int, conditional: bool) -> int:
    """Armv7-M ARM, A7.7.12: B encodings T3 and T4, BL T1; the first halfword is the low half of the word."""
    sign, j1, j2 = word >> 10 & 1, word >> 29 & 1, word >> 27 & 1
    if conditional:
        high = sign << 20 | j2 << 19 | j1 << 18 | (word & 0x3F) << 12 | (word >> 16 & 0x7FF) << 1
        return high - (sign << 21)
    i1, i2 = 1 - (j1 ^ sign), 1 - (j2 ^ sign)
    high = sign << 24 | i1 << 23 | i2 << 22 | (word & 0x3FF) << 12 | (word >> 16 & 0x7FF) << 1
    return high - (sign << 25)


# (family, instruction with distance 0, relocation, its bytes, its range in bits, decoder, what the processor adds)
FIELDS = [
    ("riscv64", "63000000", 16, 4, 13, lambda w: bits(w, (31, 1, 12), (7, 1, 11), (25, 6, 5), (8, 4, 1)), 0),
    ("riscv64", "6f000000", 17, 4, 21, lambda w: bits(w, (31, 1, 20), (12, 8, 12), (20, 1, 11), (21, 10, 1)), 0),
    ("riscv64", "01c0", 44, 2, 9, lambda w: bits(w, (12, 1, 8), (5, 2, 6), (2, 1, 5), (10, 2, 3), (3, 2, 1)), 0),
    (
        "riscv64", "01a0", 45, 2, 12,
        lambda w: bits(w, (12, 1, 11), (8, 1, 10), (9, 2, 8), (6, 1, 7), (7, 1, 6), (2, 1, 5), (11, 1, 4), (3, 3, 1)),
        0,
    ),
    ("aarch64", "00000014", 282, 4, 28, lambda w: bits(w, (0, 26, 2)), 0),
    ("aarch64", "00000094", 283, 4, 28, lambda w: bits(w, (0, 26, 2)), 0),
    ("aarch64", "00000054", 280, 4, 21, lambda w: bits(w, (5, 19, 2)), 0),
    ("aarch64", "00000036", 279, 4, 16, lambda w: bits(w, (5, 14, 2)), 0),
    ("aarch64", "00000010", 274, 4, 21, lambda w: bits(w, (5, 19, 2), (29, 2, 0)), 0),
    ("thumb", "fff7feff", 10, 4, 25, lambda w: thumb_wide(w, False), 4),
    ("thumb", "fff7febf", 30, 4, 25, lambda w: thumb_wide(w, False), 4),
    ("thumb", "3ff4feaf", 51, 4, 21, lambda w: thumb_wide(w, True), 4),
    ("thumb", "fee7", 102, 2, 12, lambda w: bits(w, (0, 11, 1)), 4),
    ("thumb", "fed0", 103, 2, 9, lambda w: bits(w, (0, 8, 1)), 4),
    ("x86-64", "00000000", 2, 4, 32, lambda w: bits(w, (0, 32, 0)), 0),
]  # fmt: skip


def branch(family: str, code: bytes, kind: int, distance: int) -> bytes:
    architecture = ARCHITECTURES[family]
    near = Section(".text.near", bytearray(code), len(code), 2, ALLOC | EXECUTE, owner="test")
    far = Section(".text.far", bytearray(2), 2, 2, ALLOC | EXECUTE, owner="test")
    symbols = [Symbol("near", near, 0), Symbol("far", far, 0)]
    near.relocations.append(Relocation(0, kind, symbols[1], None if family == "thumb" else 0))
    file = ObjectFile("test", architecture.machine, architecture.bits, [near, far], symbols)
    program = prepare([file], architecture, Base.FIXED, ["near"], {})
    near.address, far.address = PLACE, PLACE + distance
    program.relocate()
    return bytes(near.data)


@pytest.mark.parametrize(("family", "code", "kind", "size", "width", "decode", "ahead"), FIELDS)
def test_a_branch_goes_where_its_symbol_is(family, code, kind, size, width, decode, ahead) -> None:  # type: ignore[no-untyped-def]  # a table's row
    step = 1 if kind in (2, 274) else 4 if family == "aarch64" else 2
    first, last = -(1 << (width - 1)), (1 << (width - 1)) - step
    chance = random.Random(kind)
    for distance in (first, last, 0, *(chance.randrange(first, last) // step * step for _ in range(50))):
        distance += ahead
        made = branch(family, bytes.fromhex(code), kind, distance)
        assert decode(int.from_bytes(made[:size], "little")) + ahead == distance
    for distance in (first - step, last + step):
        with pytest.raises(RelocationOverflowError):
            branch(family, bytes.fromhex(code), kind, distance + ahead)


# Each is in a section of its own, and ends in a call: compiled to a jump the linker must write.
TAIL = """
declare void @hekla_print_i64(i64)
define i64 @last(i64 %x) noinline section ".text.last" {
  %r = mul i64 %x, 5
  ret i64 %r
}
define i64 @odd(i64 %n, i64 %sum) noinline section ".text.odd" {
  %s = add i64 %sum, %n
  %m = sub i64 %n, 1
  %end = icmp eq i64 %m, 0
  br i1 %end, label %stop, label %more
more:
  %r = tail call i64 @even(i64 %m, i64 %s)
  ret i64 %r
stop:
  %t = tail call i64 @last(i64 %s)
  ret i64 %t
}
define i64 @even(i64 %n, i64 %sum) noinline section ".text.even" {
  %s = xor i64 %sum, %n
  %m = sub i64 %n, 1
  %r = tail call i64 @odd(i64 %m, i64 %s)
  ret i64 %r
}
define i32 @main() {
  %n = load volatile i64, ptr @count
  %r = call i64 @odd(i64 %n, i64 0)
  call void @hekla_print_i64(i64 %r)
  ret i32 0
}
@count = global i64 11
"""


@pytest.mark.parametrize("name", RUNNABLE)
def test_calls_in_tail_position_run(name: str, tmp_path: Path) -> None:
    total = 0
    for number in range(11, 0, -1):
        total = total + number if number % 2 else total ^ number
    assert run(TAIL, name, tmp_path) == (f"{total * 5}\n", 0)
