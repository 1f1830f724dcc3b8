"""A flat binary runs wherever it is mapped, and refuses to hold an address."""

import ctypes
import mmap
import platform
import subprocess
from pathlib import Path

import pytest
from tests.lang.link.machines import command

from hekla.lang.link.build import build
from hekla.lang.link.errors import UnsupportedRelocationError
from hekla.lang.targets.known import target_named

TEXT = """
@weights = internal constant [8 x i32] [i32 1, i32 2, i32 4, i32 8, i32 16, i32 32, i32 64, i32 128]
define internal i32 @scale(i32 %x) noinline section ".text.scale" {
  %r = mul i32 %x, 3
  ret i32 %r
}
define i32 @run(i32 %count) {
entry:
  br label %loop
loop:
  %i = phi i32 [ 0, %entry ], [ %next, %loop ]
  %sum = phi i32 [ 0, %entry ], [ %more, %loop ]
  %at = getelementptr i32, ptr @weights, i32 %i
  %w = load i32, ptr %at
  %s = call i32 @scale(i32 %w)
  %more = add i32 %sum, %s
  %next = add i32 %i, 1
  %end = icmp eq i32 %next, %count
  br i1 %end, label %done, label %loop
done:
  ret i32 %more
}
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="needs an x86-64 process")
@pytest.mark.parametrize("shift", [0, 4096, 8192])
def test_a_flat_binary_runs_wherever_it_is_mapped(shift: int) -> None:
    made = build(TEXT, entry="run", target=target_named("native"), kind="flat")
    room = mmap.mmap(-1, 16384, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    room[shift : shift + len(made.content)] = made.content
    address = ctypes.addressof(ctypes.c_char.from_buffer(room)) + shift
    call = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_int32)(address)
    assert [call(n) for n in (1, 3, 8)] == [3, 21, 765]


# A program that carries the flat binary as data in its code, and calls it: so that it runs on other processors.
@pytest.mark.parametrize("name", ["aarch64", "riscv64", "riscv64-v"])
def test_a_flat_binary_runs_on_other_processors(name: str, tmp_path: Path) -> None:
    target = target_named(name)
    content = build(TEXT, entry="run", target=target, kind="flat").content
    numbers = ", ".join(f"i8 {byte}" for byte in content)
    text = f"""
@flat = internal constant [{len(content)} x i8] [{numbers}], align 4096
define i32 @main() {{
  %r = call i32 @flat(i32 5)
  ret i32 %r
}}
"""
    path = tmp_path / name
    build(text, entry="main", target=target, kind="executable", output=path)
    # constants may not be executed: here they must be
    marked = bytearray(path.read_bytes())
    for number in range(int.from_bytes(marked[56:58], "little")):
        marked[64 + 56 * number + 4] |= 1 if marked[64 + 56 * number] == 1 else 0
    path.write_bytes(marked)
    done = subprocess.run(command(target.family, path), check=False)
    assert done.returncode == 93


@pytest.mark.parametrize("name", ["native", "aarch64", "riscv64"])
def test_a_stored_address_is_refused_by_name(name: str) -> None:
    text = """
@target = internal global i32 3
@pointer = internal global ptr @target
define i32 @run() {
  %p = load volatile ptr, ptr @pointer
  %v = load i32, ptr %p
  store volatile ptr null, ptr @pointer
  ret i32 %v
}
"""
    with pytest.raises(UnsupportedRelocationError, match=r"R_\w+64 to '.*' stores an address.*"):
        build(text, entry="run", target=target_named(name), kind="flat")
