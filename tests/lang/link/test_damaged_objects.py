"""Whatever the bytes of an object, only the linker's own errors come out."""

import random

import pytest
from tests.lang.link.programs import HELLO_TENSOR, text_for
from tests.lang.link.test_bpf import CALLS

from hekla.lang.link.architectures import ARCHITECTURES
from hekla.lang.link.assemble import Making, assemble
from hekla.lang.link.bpf import instructions
from hekla.lang.link.elf_read import read_object
from hekla.lang.link.errors import LinkError, ObjectFormatError
from hekla.lang.link.executable import executable
from hekla.lang.link.wasm_link import link_wasm
from hekla.lang.link.wasm_read import read_wasm
from hekla.lang.targets.known import target_named

ELF = ("x86-64-v2", "aarch64", "riscv64", "thumb-cortex-m7")
ROUNDS = 300


def hello(name: str) -> bytes:
    target = target_named(name)
    return assemble(text_for(HELLO_TENSOR, target), target, Making())


def damaged(good: bytes, chance: random.Random) -> bytes:
    """Return the bytes with a few changed, most of them to values that matter."""
    made = bytearray(good)
    for _ in range(chance.randint(1, 4)):
        made[chance.randrange(len(made))] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)])
    return bytes(made[: chance.randrange(len(made))] if chance.random() < 0.1 else made)


@pytest.mark.parametrize("name", ELF)
def test_every_truncation_of_an_elf_object_is_a_typed_error(name: str) -> None:
    good = hello(name)
    for size in range(0, len(good), 7):
        with pytest.raises(ObjectFormatError):
            read_object(good[:size], "cut")


@pytest.mark.parametrize("name", ELF)
def test_a_damaged_elf_object_links_or_is_a_typed_error(name: str) -> None:
    good, chance = hello(name), random.Random(1)
    refused = 0
    for _ in range(ROUNDS):
        try:
            executable(
                [read_object(damaged(good, chance), "damaged")], ARCHITECTURES[target_named(name).family], "main"
            )
        except LinkError:
            refused += 1
    assert refused > 0


def test_a_damaged_wasm_object_links_or_is_a_typed_error() -> None:
    good, chance = hello("wasm32"), random.Random(2)
    refused = 0
    # at its end an object says who made it, which nobody needs: a file cut there is whole
    for bytes_ in [good[:size] for size in range(len(good))] + [damaged(good, chance) for _ in range(ROUNDS)]:
        try:
            link_wasm(read_wasm(bytes_, "damaged"), ["main"])
        except LinkError:
            refused += 1
    assert refused > len(good) // 2


def test_a_damaged_bpf_object_links_or_is_a_typed_error() -> None:
    good, chance = assemble(CALLS, target_named("bpf"), Making()), random.Random(3)
    refused = 0
    for _ in range(ROUNDS):
        try:
            instructions(damaged(good, chance), "main")
        except LinkError:
            refused += 1
    assert refused > 0
