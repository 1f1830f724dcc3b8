"""Every target is plain data that LLVM's code generator understands."""

import dataclasses
import subprocess
import sys

import pytest

from hekla.base.errors import NotFoundError
from hekla.lang.link.assemble import Making, assemble
from hekla.lang.link.build import KINDS
from hekla.lang.link.elf_read import read_object
from hekla.lang.targets.known import NAMES, missing_features, target_named
from hekla.lang.targets.seam import Target

ADD = "define i64 @add(i64 %a, i64 %b) {\n  %r = add i64 %a, %b\n  ret i64 %r\n}\n"
MACHINES = {"x86-64": 62, "aarch64": 183, "riscv64": 243, "thumb": 40, "bpf": 247}


@pytest.mark.parametrize("name", NAMES)
def test_a_target_makes_an_object_for_its_processor(name: str) -> None:
    target: Target = target_named(name)
    assert target.name == name
    code = assemble(ADD, target, Making())
    if target.family == "wasm32":
        assert code[:4] == b"\0asm"
    else:
        made = read_object(code, name)
        assert made.machine == MACHINES[target.family]
        assert made.bits == (32 if target.pointer_bits == 32 else 64)


def test_llvm_knows_every_processor_and_feature() -> None:
    """LLVM only prints about names it does not know, so a child is asked for each and its words are read."""
    program = (
        "import sys\n"
        "from hekla.lang.link.assemble import Making, assemble_here\n"
        "from hekla.lang.targets.known import NAMES, target_named\n"
        f"for name in NAMES: assemble_here({ADD!r}, target_named(name), Making(), None)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not done.stderr


def test_a_required_feature_is_one_the_code_generator_knows() -> None:
    program = (
        "from dataclasses import replace\n"
        "from hekla.lang.link.assemble import Making, assemble_here\n"
        "from hekla.lang.targets.known import NAMES, target_named\n"
        "for name in NAMES:\n"
        "    target = target_named(name)\n"
        "    target = replace(target, features=(*target.features, *('+' + f for f in target.required)))\n"
        f"    assemble_here({ADD!r}, target, Making(), None)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not done.stderr


def test_an_unknown_name_gets_the_closest_one() -> None:
    with pytest.raises(NotFoundError, match="no target is called 'riscv-64'; did you mean 'riscv64'"):
        target_named("riscv-64")


def test_what_a_machine_lacks_is_listed() -> None:
    target = target_named("x86-64-v3")
    assert missing_features(target, [*target.required, "avx512f"]) == ()
    assert missing_features(target, [f for f in target.required if f not in ("fma", "avx2")]) == ("avx2", "fma")


def test_a_target_cannot_be_changed_and_equal_ones_are_equal() -> None:
    target = target_named("aarch64")
    with pytest.raises(dataclasses.FrozenInstanceError):
        target.cpu = "apple-m1"  # type: ignore[misc]  # what the test is about
    assert target == target_named("aarch64")
    assert hash(target) == hash(target_named("aarch64"))


def test_every_family_has_products() -> None:
    assert {target_named(name).family for name in NAMES} == set(KINDS)
