"""What is wrong is refused by a type that names the symbol, the section and the cure."""

import pytest

from hekla.lang.link.architectures import ARCHITECTURES
from hekla.lang.link.assemble import Making, assemble
from hekla.lang.link.build import KINDS, Kind, build
from hekla.lang.link.elf_read import read_object
from hekla.lang.link.errors import (
    AssembleError,
    DuplicateSymbolError,
    LinkError,
    ObjectFormatError,
    RelocationOverflowError,
    UndefinedSymbolError,
    UnsupportedProductError,
    UnsupportedRelocationError,
)
from hekla.lang.link.executable import executable
from hekla.lang.link.objects import ALLOC, EXECUTE, ObjectFile, Relocation, Section, Symbol
from hekla.lang.link.program import Base, prepare
from hekla.lang.targets.known import NAMES, target_named

NOTHING = "define i32 @main() {\n  ret i32 0\n}\n"
MISSING = "declare i32 @absent(i32)\ndefine i32 @main() {\n  %r = call i32 @absent(i32 1)\n  ret i32 %r\n}\n"


@pytest.mark.parametrize("name", [n for n in NAMES if n != "bpf"])
def test_an_undefined_symbol_is_named(name: str) -> None:
    with pytest.raises(UndefinedSymbolError, match="undefined symbol 'absent'") as caught:
        build(MISSING, entry="main", target=target_named(name), kind="executable")
    assert caught.value.symbol == "absent"
    assert caught.value.used_in.startswith("the program")


@pytest.mark.parametrize("name", ["native", "aarch64", "thumb-cortex-m7", "wasm32"])
def test_an_entry_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(UndefinedSymbolError, match="'start_here'"):
        build(NOTHING, entry="start_here", target=target_named(name), kind="executable")


def test_a_symbol_defined_twice_names_both_objects() -> None:
    target = target_named("native")
    objects = [read_object(assemble(NOTHING, target, Making()), name) for name in ("first", "second")]
    with pytest.raises(DuplicateSymbolError, match="'main' is defined in first and in second"):
        executable(objects, ARCHITECTURES["x86-64"], "main")


def test_a_program_may_not_define_what_it_exports_twice_with_support() -> None:
    text = NOTHING + "define ptr @memcpy(ptr %a, ptr %b, i64 %n) {\n  ret ptr %a\n}\n"
    # a private memcpy of the program's own is hidden, and no clash
    build(text, entry="main", target=target_named("native"), kind="executable")
    with pytest.raises(DuplicateSymbolError, match="'memcpy' is defined in the program and in support"):
        build(text, entry="main", exports=["memcpy"], target=target_named("native"), kind="executable")


@pytest.mark.parametrize("family", sorted(ARCHITECTURES))
def test_every_product_a_target_lacks_says_which_it_has(family: str) -> None:
    name = next(n for n in NAMES if target_named(n).family == family)
    kinds: tuple[Kind, ...] = ("shared", "executable", "object", "flat", "image")
    for kind in kinds:
        if kind not in KINDS[family]:
            with pytest.raises(UnsupportedProductError, match=f"has no product '{kind}'; it has "):
                build(NOTHING, entry="main", target=target_named(name), kind=kind)


# (family, code, relocation, distance of the target): one past what the field holds
OVERFLOWS = [
    ("x86-64", "e800000000", 4, 1, "R_X86_64_PLT32", 1 << 31),
    ("x86-64", "00000000", 10, 0, "R_X86_64_32", 1 << 32),
    ("aarch64", "00000094", 283, 0, "R_AARCH64_CALL26", 1 << 27),
    ("aarch64", "00000054", 280, 0, "R_AARCH64_CONDBR19", 1 << 20),
    ("aarch64", "00000090", 275, 0, "R_AARCH64_ADR_PREL_PG_HI21", 1 << 32),
    ("riscv64", "97000000e7800000", 19, 0, "R_RISCV_CALL_PLT", 1 << 31),
    ("riscv64", "6f000000", 17, 0, "R_RISCV_JAL", 1 << 20),
    ("thumb", "fff7feff", 10, 0, "R_ARM_THM_CALL", 1 << 24),
]


@pytest.mark.parametrize(("family", "code", "kind", "offset", "name", "distance"), OVERFLOWS)
def test_an_overflow_names_relocation_symbol_and_section(
    family: str, code: str, kind: int, offset: int, name: str, distance: int
) -> None:
    program = one_relocation(family, code, kind, offset)
    program.sections[0].address, program.sections[1].address = 0x1000, 0x1000 + distance + 0x1000
    with pytest.raises(RelocationOverflowError, match=f"{name} to 'far'") as caught:
        program.relocate()
    assert (caught.value.section, caught.value.symbol) == (".text.near", "far")
    program.sections[1].address = 0x1000 + (0 if name == "R_X86_64_32" else distance - 0x1000)
    program.relocate()


@pytest.mark.parametrize("family", sorted(ARCHITECTURES))
def test_an_unknown_relocation_is_named_by_number(family: str) -> None:
    with pytest.raises(UnsupportedRelocationError, match=r"text\.near\+0x0: relocation type 200 to 'far'"):
        one_relocation(family, "0000000000000000", 200, 0).relocate()


@pytest.mark.parametrize("family", sorted(ARCHITECTURES))
def test_a_relocation_outside_its_section_is_refused(family: str) -> None:
    program = one_relocation(family, "00", ARCHITECTURES[family].absolute, 0)
    with pytest.raises(ObjectFormatError, match=r"reaches out of \.text\.near"):
        program.relocate()


def one_relocation(family: str, code: str, kind: int, offset: int):  # type: ignore[no-untyped-def]  # a Program
    architecture = ARCHITECTURES[family]
    near, far = (Section(f".text.{n}", bytearray(), 0, 4, ALLOC | EXECUTE, owner="test") for n in ("near", "far"))
    near.data += bytes.fromhex(code)
    near.size = len(near.data)
    far.data, far.size = bytearray(4), 4
    symbols = [Symbol("near", near, 0), Symbol("far", far, 0)]
    near.relocations.append(Relocation(offset, kind, symbols[1], None if family == "thumb" else 0))
    file = ObjectFile("test", architecture.machine, architecture.bits, [near, far], symbols)
    return prepare([file], architecture, Base.FIXED, ["near"], {})


def test_an_object_for_another_processor_is_refused() -> None:
    code = assemble(NOTHING, target_named("aarch64"), Making())
    with pytest.raises(ObjectFormatError, match=r"it is for machine 183 \(64 bits\), not 62"):
        executable([read_object(code, "arm")], ARCHITECTURES["x86-64"], "main")


@pytest.mark.parametrize(
    "text",
    [
        'define void @main() {\n  call void asm sideeffect "svc #0", ""()\n  ret void\n}\n',
        'module asm "nop"\ndefine void @main() {\n  ret void\n}\n',
    ],
)
def test_inline_assembly_is_refused_before_it_can_end_the_process(text: str) -> None:
    with pytest.raises(AssembleError, match="aarch64: inline assembly cannot be translated"):
        assemble(text, target_named("aarch64"), Making())


@pytest.mark.parametrize("name", ["native", "thumb-cortex-m7", "wasm32"])
def test_code_that_no_product_would_run_is_refused(name: str) -> None:
    text = NOTHING + "define void @first() {\n  ret void\n}\n"
    text += "@llvm.global_ctors = appending global [1 x { i32, ptr, ptr }] [{ i32, ptr, ptr } "
    text += "{ i32 65535, ptr @first, ptr null }]\n@seen = global i32 0\n"
    text = text.replace("  ret void", "  store volatile i32 1, ptr @seen\n  ret void")
    with pytest.raises(ObjectFormatError, match="nothing here runs functions before the entry"):
        build(text, entry="main", target=target_named(name), kind="executable")


def test_a_text_that_only_mentions_assembly_is_accepted() -> None:
    text = '; asm "x"\n@a = constant [5 x i8] c"asm \\22"\n' + NOTHING
    assert assemble(text, target_named("aarch64"), Making())


def test_what_llvm_refuses_is_said_in_its_words() -> None:
    with pytest.raises(AssembleError, match="use of undefined value"):
        assemble("define i32 @main() {\n  ret i32 %x\n}\n", target_named("native"), Making())


def test_what_ends_the_process_inside_llvm_is_an_error_here() -> None:
    text = "define float @main(float %a) {\n  %r = fmul float %a, %a\n  ret float %r\n}\n"
    with pytest.raises(AssembleError, match=r"LLVM cannot translate it: .*__mulsf3"):
        assemble(text, target_named("bpf"), Making())


def test_every_error_of_the_linker_is_one_type() -> None:
    for kind in (AssembleError, DuplicateSymbolError, ObjectFormatError, RelocationOverflowError, UndefinedSymbolError):
        assert issubclass(kind, LinkError)
