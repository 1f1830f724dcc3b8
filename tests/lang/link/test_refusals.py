"""A processor without what a product needs is refused in words, before an illegal instruction: each kind of product."""

import platform
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.lang.link.machines import QUIET, SEMIHOSTING, command

from hekla.lang.link.architectures import ARCHITECTURES
from hekla.lang.link.assemble import Making, assemble
from hekla.lang.link.build import build, start_object
from hekla.lang.link.elf_read import read_object
from hekla.lang.link.executable import executable
from hekla.lang.link.start_check import load_check, refusal, start_check
from hekla.lang.link.start_x86 import REFUSED
from hekla.lang.targets.known import target_named
from hekla.lang.targets.x86 import CHECKED, native

MAIN = "define i32 @main() {\n  ret i32 5\n}\n"
ADD = "define i64 @add(i64 %a, i64 %b) {\n  %r = add i64 %a, %b\n  ret i64 %r\n}\n"
needs_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="needs an x86-64 process")


def missing_feature() -> str:
    """Return a feature that start code can ask for and this processor lacks."""
    lacks = [f for f in CHECKED if f not in native().required]
    if not lacks:
        pytest.skip("this processor lacks no feature that is asked for")
    return lacks[0]


@needs_x86
def test_a_program_for_another_x86_is_refused(tmp_path: Path) -> None:
    target = replace(native(), required=(*native().required, missing_feature()))
    path = tmp_path / "program"
    build(MAIN, entry="main", target=target, kind="executable", output=path)
    done = subprocess.run([path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (REFUSED, refusal(target) + "\n")


@needs_x86
@pytest.mark.parametrize("is_missing", [False, True])
def test_a_shared_object_for_another_x86_is_refused_when_it_is_loaded(is_missing: bool, tmp_path: Path) -> None:
    target = native()
    if is_missing:
        target = replace(target, required=(*target.required, missing_feature()))
    path = tmp_path / "add.so"
    build(ADD, entry="add", target=target, kind="shared", output=path)
    program = f"import ctypes; print(ctypes.CDLL({str(path)!r}).add(2, 3))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    if is_missing:
        assert (done.returncode, done.stdout, done.stderr) == (REFUSED, "", refusal(target) + "\n")
    else:
        assert (done.returncode, done.stdout) == (0, "5\n")


HOST = """
declare i64 @hekla_write(i32, ptr, i64)
declare void @hekla_exit(i32)
declare void @hekla_check()
define i64 @getauxval(i64 %kind) {
  %is.first = icmp eq i64 %kind, 16
  %r = select i1 %is.first, i64 HWCAP, i64 -1
  ret i64 %r
}
define i64 @write(i32 %file, ptr %from, i64 %count) {
  %r = call i64 @hekla_write(i32 %file, ptr %from, i64 %count)
  ret i64 %r
}
define void @_exit(i32 %status) {
  call void @hekla_exit(i32 %status)
  ret void
}
define i32 @main() {
  call void @hekla_check()
  ret i32 5
}
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["aarch64-neoverse-n1", "aarch64-neoverse-v1", "riscv64-v"])
@pytest.mark.parametrize("capable", [False, True])
def test_what_a_loader_calls_refuses_by_what_linux_says(name: str, capable: bool, tmp_path: Path) -> None:
    """The check of a shared object, in a program that plays the C library."""
    target = target_named(name)
    check = load_check(target)
    assert check is not None
    base = target_named(target.family)
    text = HOST.replace("HWCAP", "-1" if capable else "1")
    objects = [read_object(assemble(text, base, Making(1)), "main"), check, start_check("main", base)]
    objects.append(start_object(base, "main"))
    path = tmp_path / "program"
    path.write_bytes(executable(objects, ARCHITECTURES[target.family], "_start")[0])
    path.chmod(0o755)
    done = subprocess.run(command(target.family, path), capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == ((5, "") if capable else (REFUSED, refusal(target) + "\n"))


def test_the_base_of_a_family_needs_no_check() -> None:
    assert load_check(target_named("aarch64")) is None
    assert load_check(target_named("riscv64")) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "cpu"),
    [("aarch64-neoverse-n1", "cortex-a53"), ("aarch64-neoverse-v1", "neoverse-n1"), ("riscv64-v", "rv64")],
)
def test_a_program_for_a_better_processor_is_refused(name: str, cpu: str, tmp_path: Path) -> None:
    target = target_named(name)
    path = tmp_path / "program"
    build(MAIN, entry="main", target=target, kind="executable", output=path)
    runner, *_ = command(target.family, path)
    done = subprocess.run([runner, "-cpu", cpu, str(path)], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (REFUSED, refusal(target) + "\n")


@pytest.mark.parametrize(("board", "runs"), [("mps2-an500", True), ("mps2-an386", False)])
def test_an_image_asks_for_f64(board: str, runs: bool, tmp_path: Path) -> None:
    """The second board has a Cortex-M4, whose unit computes with f32 alone."""
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("needs qemu-system-arm: apt-get install qemu-system-arm")
    target = target_named("thumb-cortex-m7")
    path = tmp_path / "image"
    build(MAIN, entry="main", target=target, kind="executable", output=path)
    call = ["qemu-system-arm", "-M", board, *QUIET, *SEMIHOSTING, "-kernel", str(path)]
    done = subprocess.run(call, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == ((5, "") if runs else (REFUSED, refusal(target) + "\n"))
