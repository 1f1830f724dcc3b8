"""Products for other machines: objects a C linker takes, static programs that run under emulation."""
# mypy: disable-error-code="valid-type,no-untyped-def,misc,operator,type-arg,index,no-any-return"
# (the bodies and annotations of kernels are Hekla's language, which mypy reads as Python)

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from hekla.base.errors import UnsupportedError
from hekla.lang import (
    ArgumentError,
    Array,
    MutView,
    Vec,
    View,
    buffer,
    dot4,
    f32,
    fma,
    i8,
    i32,
    index,
    iota,
    kernel,
    load,
    reduce_add,
    store,
    u8,
    unroll,
)
from hekla.lang.build import TARGETS, build
from hekla.lang.llvm.elf import link
from hekla.lang.math import exp

EMULATORS = {
    "x86_64": [],
    "aarch64": ["qemu-aarch64-static", "-cpu", "max"],
    "riscv64": ["qemu-riscv64-static", "-cpu", "rv64,v=true,vlen=256,elen=64,vext_spec=v1.0"],
}


@kernel
def dot(x: View[f32, 1], y: View[f32, 1]) -> f32:
    n = len(x)
    total = Vec[f32, 16](0.0)
    for i in range(0, n, 16):
        total = fma(load(x, i, width=16, count=n - i), load(y, i, width=16, count=n - i), total)
    return reduce_add(total)


@kernel
def saxpy(a: f32, x: View[f32, 1], y: MutView[f32, 1]):
    for i in range(len(x)):
        y[i] = a * x[i] + y[i]


@kernel
def hello_tensor() -> i32:
    """Vectors, scalar loops, integer dot products, exponentials, big arrays: all in one number.

    The arrays are filled by loops, so that LLVM does not compute the number beforehand.
    """
    x = Array[f32, 1000](1.0)
    y = Array[f32, 1000](0.0)
    w = y.mut()
    for i in range(1000):
        w[i] = f32(i % 7)
    saxpy(2.0, x.view(), w)
    product = dot(x.view(), w)  # 2000 + 142 * 21 + 15
    bytes_ = Array[u8, 128](3)
    signs = Array[i8, 128](-2)
    sums = dot4(Vec[i32, 16](1), load(bytes_.view(), 0, width=64), load(signs.view(), 0, width=64))
    e = exp(load(x.view(), 3, width=8) * f32(iota(i32, width=8)))  # e^0 to e^7
    total = i32(product) + reduce_add(sums) + i32(reduce_add(e))
    return total % 251


def run(program: bytes, machine: str, folder: Path) -> int:
    """Run a program, under emulation where it is for another machine, and return its exit status."""
    emulator = EMULATORS[machine]
    if emulator and shutil.which(emulator[0]) is None:
        pytest.skip(f"{emulator[0]} is not installed")
    path = folder / "program"
    path.write_bytes(program)
    path.chmod(0o755)
    return subprocess.run([*emulator, str(path)], timeout=60, check=False).returncode


@pytest.mark.parametrize("target", [t for t in sorted(TARGETS) if t != "x86-64-v4"])
def test_a_static_program_gives_the_same_number_on_every_machine(target: str, tmp_path: Path) -> None:
    expected = int(hello_tensor.compile().interpret())
    assert hello_tensor() == expected
    program = build(hello_tensor, target, "executable")
    assert len(program) < 50_000
    assert run(program, TARGETS[target].triple.split("-")[0], tmp_path) == expected


@pytest.mark.skipif(shutil.which("readelf") is None, reason="readelf is not installed")
@pytest.mark.parametrize("target", sorted(TARGETS))
def test_readelf_finds_nothing_to_complain_of(target: str, tmp_path: Path) -> None:
    path = tmp_path / "program"
    path.write_bytes(build(hello_tensor, target, "executable"))
    seen = subprocess.run(["readelf", "-hlW", str(path)], capture_output=True, text=True, check=True)
    assert "EXEC (Executable file)" in seen.stdout
    assert seen.stderr == ""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no C linker is installed")
def test_an_object_is_called_from_c(tmp_path: Path) -> None:
    (tmp_path / "saxpy.o").write_bytes(build(saxpy, "native", "object"))
    library = tmp_path / "libsaxpy.so"
    subprocess.run(["gcc", "-shared", "-o", str(library), str(tmp_path / "saxpy.o")], check=True)
    function = ctypes.CDLL(str(library)).saxpy
    function.restype = None
    function.argtypes = [ctypes.c_float, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64]
    x, y = np.arange(10, dtype=np.float32), np.ones(10, np.float32)
    function(2.0, x.ctypes.data, 10, y.ctypes.data, 10)
    assert (y == 2 * x + 1).all()


def test_what_cannot_be_built_is_refused() -> None:
    @kernel
    def allocates() -> i32:
        b = buffer(f32, 4)
        return i32(len(b))

    with pytest.raises(UnsupportedError, match=r"no target .riscv65.; did you mean .riscv64"):
        build(hello_tensor, "riscv65", "object")
    with pytest.raises(ArgumentError, match=r"saxpy\(\): an executable is a kernel without parameters"):
        build(saxpy, "aarch64", "executable")
    with pytest.raises(UnsupportedError, match="buffers and checks need the runtime"):
        build(allocates, "aarch64", "executable")


def test_a_symbol_that_is_nowhere_is_named() -> None:
    @kernel
    def inner(n: index) -> index:
        return n + 1

    with pytest.raises(AssertionError, match="_start"):
        link(build(inner, "riscv64", "object"), "_start")


def test_unrolled_code_branches_far_enough(tmp_path: Path) -> None:
    @kernel
    def large() -> i32:
        a = Array[i32, 512](1)
        view = a.mut()
        for turn in range(3):
            for i in unroll(range(300)):
                if view[i] % 3 == i32(turn):
                    view[i + 1] = view[i] * 5 + i
        store(view, 0, load(view, 300, width=4))
        return view[0] % 199 + 20

    expected = int(large.compile().interpret())
    for target, machine in (("aarch64", "aarch64"), ("riscv64", "riscv64"), ("x86-64-v2", "x86_64")):
        assert run(build(large, target, "executable"), machine, tmp_path) == expected
