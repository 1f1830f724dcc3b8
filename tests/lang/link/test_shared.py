"""Shared objects load through ctypes and agree with the same function run by LLVM's own loader."""

import ctypes
import platform
import shutil
import subprocess
from pathlib import Path

import llvmlite.binding as llvm
import pytest

from hekla.lang.link.assemble import initialise
from hekla.lang.link.build import build
from hekla.lang.link.errors import UndefinedSymbolError
from hekla.lang.link.shared import sysv_hash
from hekla.lang.targets.known import target_named

# dot product, a table of functions that must be relocated when loaded, memory from the C library, writable state
TEXT = """
@table = internal constant [2 x ptr] [ptr @plus, ptr @minus]
@state = global i64 5
@where = global ptr @state
declare ptr @aligned_alloc(i64, i64)
declare void @free(ptr)
declare ptr @memcpy(ptr, ptr, i64)

define internal i64 @plus(i64 %a, i64 %b) {
  %r = add i64 %a, %b
  ret i64 %r
}
define internal i64 @minus(i64 %a, i64 %b) {
  %r = sub i64 %a, %b
  ret i64 %r
}
define float @dot(ptr %a, ptr %b, i64 %n) {
entry:
  %none = icmp eq i64 %n, 0
  br i1 %none, label %done, label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %sum = phi float [ 0.0, %entry ], [ %more, %loop ]
  %pa = getelementptr float, ptr %a, i64 %i
  %pb = getelementptr float, ptr %b, i64 %i
  %x = load float, ptr %pa
  %y = load float, ptr %pb
  %product = fmul float %x, %y
  %more = fadd float %sum, %product
  %next = add i64 %i, 1
  %end = icmp eq i64 %next, %n
  br i1 %end, label %done, label %loop
done:
  %r = phi float [ 0.0, %entry ], [ %more, %loop ]
  ret float %r
}
define i64 @apply(i64 %which, i64 %a, i64 %b) {
  %at = getelementptr ptr, ptr @table, i64 %which
  %f = load ptr, ptr %at
  %r = call i64 %f(i64 %a, i64 %b)
  %place = load volatile ptr, ptr @where
  %old = load i64, ptr %place
  %new = add i64 %old, %r
  store i64 %new, ptr %place
  ret i64 %new
}
define i64 @through_heap(i64 %value) {
  %block = call ptr @aligned_alloc(i64 64, i64 64)
  %from = alloca i64
  store volatile i64 %value, ptr %from
  %copy = call ptr @memcpy(ptr %block, ptr %from, i64 8)
  %back = load volatile i64, ptr %block
  call void @free(ptr %block)
  ret i64 %back
}
"""
EXPORTS = ("dot", "apply", "through_heap", "state")
needs_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="needs an x86-64 process")


def built(tmp_path: Path, name: str = "native") -> Path:
    path = tmp_path / f"{name}.so"
    build(TEXT, entry="dot", exports=EXPORTS, target=target_named(name), kind="shared", output=path)
    return path


@needs_x86
def test_a_shared_object_gives_what_the_function_gives_in_process(tmp_path: Path) -> None:
    library = ctypes.CDLL(str(built(tmp_path)))
    initialise()
    machine = llvm.Target.from_default_triple().create_target_machine()
    values = (ctypes.c_float * 37)(*(0.25 * i for i in range(37)))
    kind = ctypes.CFUNCTYPE(ctypes.c_float, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    with llvm.create_mcjit_compiler(llvm.parse_assembly(TEXT), machine) as engine:
        engine.finalize_object()
        wanted = kind(engine.get_function_address("dot"))
        found = kind(ctypes.cast(library.dot, ctypes.c_void_p).value or 0)
        for count in (0, 1, 7, 8, 37):
            assert found(ctypes.addressof(values), ctypes.addressof(values), count) == wanted(
                ctypes.addressof(values), ctypes.addressof(values), count
            )


@needs_x86
def test_addresses_stored_in_data_are_right_where_the_object_lies(tmp_path: Path) -> None:
    library = ctypes.CDLL(str(built(tmp_path)))
    library.apply.restype = ctypes.c_int64
    assert library.apply(0, 30, 4) == 5 + 34
    assert library.apply(1, 30, 4) == 39 + 26
    assert ctypes.c_int64.in_dll(library, "state").value == 65


@needs_x86
def test_memory_comes_from_the_process_allocator(tmp_path: Path) -> None:
    library = ctypes.CDLL(str(built(tmp_path)))
    library.through_heap.restype = ctypes.c_int64
    library.through_heap.argtypes = [ctypes.c_int64]
    assert library.through_heap(-(2**62)) == -(2**62)


@needs_x86
def test_a_fused_multiply_add_needs_no_library(tmp_path: Path) -> None:
    text = "declare float @llvm.fma.f32(float, float, float)\ndefine float @f(float %a, float %b, float %c) {\n"
    text += "  %r = call float @llvm.fma.f32(float %a, float %b, float %c)\n  ret float %r\n}\n"
    path = tmp_path / "fma.so"
    made = build(text, entry="f", target=target_named("x86-64-v2"), kind="shared", output=path)
    assert b"libc" not in made.content
    library = ctypes.CDLL(str(path))
    library.f.restype, library.f.argtypes = ctypes.c_float, [ctypes.c_float] * 3
    near_one = 1 + 2.0**-12  # its square, rounded to f32 before the addition, would lose 2**-24
    assert library.f(near_one, near_one, -1.0) == 2.0**-11 + 2.0**-24


@needs_x86
def test_what_is_not_exported_cannot_be_found(tmp_path: Path) -> None:
    library = ctypes.CDLL(str(built(tmp_path)))
    with pytest.raises(AttributeError):
        library.plus  # noqa: B018  looked up for its error


@needs_x86
def test_the_loader_refuses_an_object_for_a_later_processor(tmp_path: Path) -> None:
    path = built(tmp_path, "x86-64-v4")
    made = bytearray(path.read_bytes())
    at = made.index(b"GNU\0\x02\x80\x00\xc0") + 12
    assert made[at] == 8
    made[at] = 128  # a level that no processor has yet
    path.write_bytes(made)
    with pytest.raises(OSError, match="CPU ISA level is lower than required"):
        ctypes.CDLL(str(path))


@pytest.mark.parametrize("name", ["native", "x86-64-v2", "x86-64-v4", "aarch64", "riscv64"])
def test_readelf_accepts_a_shared_object_without_a_warning(name: str, tmp_path: Path) -> None:
    if shutil.which("readelf") is None:
        pytest.skip("needs readelf: apt-get install binutils")
    done = subprocess.run(["readelf", "-aW", str(built(tmp_path, name))], capture_output=True, text=True, check=True)
    assert not done.stderr
    assert "Warning" not in done.stdout
    assert "apply" in done.stdout
    if name == "x86-64-v4":
        assert "x86 ISA needed: x86-64-v4" in done.stdout


def test_a_name_that_no_library_has_is_refused_when_built() -> None:
    text = "declare void @nowhere()\ndefine void @f() {\n  call void @nowhere()\n  ret void\n}\n"
    with pytest.raises(UndefinedSymbolError, match=r"the program: \.text: undefined symbol 'nowhere'"):
        build(text, entry="f", target=target_named("native"), kind="shared")


def test_the_hash_is_the_abis() -> None:
    assert sysv_hash("printf") == 0x077905A6
    assert sysv_hash("exit") == 0x0006CF04
