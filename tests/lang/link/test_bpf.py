"""The kernel's verifier accepts what is built for eBPF, and runs it."""

import ctypes
import os
import platform
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from hekla.lang.link.build import build
from hekla.lang.link.errors import UndefinedSymbolError, UnsupportedRelocationError
from hekla.lang.targets.known import target_named

# A socket filter reads its packet through `llvm.bpf.load.word`; this one computes from a helper's and a loop's numbers.
CALLS = """
define internal i64 @mix(i64 %a, i64 %b) noinline section ".text" {
  %x = mul i64 %a, 31
  %y = xor i64 %x, %b
  ret i64 %y
}
define i32 @main(ptr %packet) section "socket" {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %sum = phi i64 [ 1, %entry ], [ %more, %loop ]
  %more = call i64 @mix(i64 %sum, i64 %i)
  %next = add i64 %i, 1
  %end = icmp eq i64 %next, 6
  br i1 %end, label %done, label %loop
done:
  %low = trunc i64 %more to i32
  %short = and i32 %low, 65535
  ret i32 %short
}
@_license = constant [4 x i8] c"GPL\\00", section "license"
"""
BPF_SYSCALL = {"x86_64": 321, "aarch64": 280, "riscv64": 280}
PROG_LOAD, PROG_TEST_RUN, SOCKET_FILTER = 5, 10, 1
LOG_BYTES = 1 << 20  # what the verifier says of a loop; it refuses where it cannot say it all


def expected() -> int:
    value = 1
    for i in range(6):
        value = (value * 31 ^ i) & (2**64 - 1)
    return value & 0xFFFF


def bpf(command: int, attributes: bytearray) -> int:
    number = BPF_SYSCALL.get(platform.machine())
    if number is None:
        pytest.skip(f"the number of bpf(2) on {platform.machine()} is not known here")
    system = ctypes.CDLL(None, use_errno=True)
    buffer = (ctypes.c_char * len(attributes)).from_buffer(attributes)
    return int(system.syscall(number, command, buffer, len(attributes)))


def load(code: bytes) -> int:
    """Return the program's descriptor, or skip with the kernel's reason where loading is not permitted."""
    instructions, licence, log = (ctypes.create_string_buffer(x) for x in (code, b"GPL\0", bytes(LOG_BYTES)))
    places = [ctypes.addressof(x) for x in (instructions, licence, log)]
    row = struct.pack("<IIQQIIQ", SOCKET_FILTER, len(code) // 8, places[0], places[1], 1, LOG_BYTES, places[2])
    made = bpf(PROG_LOAD, bytearray(row.ljust(128, b"\0")))
    if made < 0:
        error = ctypes.get_errno()
        if not log.value:  # the verifier always says something; without it, the kernel refused to look
            pytest.skip(f"bpf(2): {os.strerror(error)}")
        pytest.fail(log.value.decode())
    return made


def test_the_verifier_accepts_calls_and_loops_and_the_result_is_right() -> None:
    made = build(CALLS, entry="main", target=target_named("bpf"), kind="flat")
    assert len(made.content) % 8 == 0
    descriptor = load(made.content)
    packet = ctypes.create_string_buffer(64)
    attributes = bytearray(128)
    struct.pack_into("<IIIIQQI", attributes, 0, descriptor, 0, 64, 0, ctypes.addressof(packet), 0, 1)
    try:
        if bpf(PROG_TEST_RUN, attributes) < 0:
            pytest.skip(f"bpf(2) cannot run programs: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(descriptor)
    assert struct.unpack_from("<I", attributes, 4)[0] == expected()


def test_the_verifier_refuses_a_planted_fault() -> None:
    made = bytearray(build(CALLS, entry="main", target=target_named("bpf"), kind="flat").content)
    made[-8] = 0xB7  # the last instruction no longer returns
    with pytest.raises(pytest.fail.Exception):
        load(bytes(made))


def test_bpftool_loads_the_object(tmp_path: Path) -> None:
    tool = shutil.which("bpftool", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if tool is None:
        pytest.skip("needs bpftool: apt-get install bpftool")
    path = tmp_path / "filter.o"
    build(CALLS, entry="main", exports=["_license"], target=target_named("bpf"), kind="object", output=path)
    pinned = f"/sys/fs/bpf/hekla_test_{os.getpid()}"
    done = subprocess.run([tool, "prog", "load", str(path), pinned], capture_output=True, text=True, check=False)
    if done.returncode and any(w in done.stderr for w in ("mount", "ermission", "bpf file system", "No such file")):
        pytest.skip(f"bpftool: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    os.unlink(pinned)


def test_data_needs_a_loader_and_is_refused_by_name() -> None:
    text = (
        "@count = internal global i64 7\ndefine i64 @main() {\n  %v = load volatile i64, ptr @count\n  ret i64 %v\n}\n"
    )
    with pytest.raises(UnsupportedRelocationError, match=r"R_BPF_64_64 to '.*' needs a map"):
        build(text, entry="main", target=target_named("bpf"), kind="flat")


def test_an_undefined_function_is_named() -> None:
    text = "declare i64 @absent()\ndefine i64 @main() {\n  %v = call i64 @absent()\n  ret i64 %v\n}\n"
    with pytest.raises(UndefinedSymbolError, match="'absent'"):
        build(text, entry="main", target=target_named("bpf"), kind="flat")
