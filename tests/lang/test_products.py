"""Products of kernels for other machines, run where a runner is installed, against the same kernel in this process."""

import ctypes
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from tests.lang.link.machines import RUNNABLE, command
from typer.testing import CliRunner

from hekla.base.errors import ConfigError, NotFoundError
from hekla.cli.build import build
from hekla.lang.errors import ArgumentError, TargetError, VectorizeError
from hekla.lang.files import kernel_in
from hekla.lang.link.build import Kind
from hekla.lang.products import FAULT_STATUS, build_product
from hekla.lang.targets.known import target_named

FILE = Path(__file__).parent / "built.py"
PROGRAMS = ("floats", "integers", "conversions", "owned", "side_by_side")
QUICK = ("native", "aarch64", "thumb-cortex-m7", "wasm32")


def status_of(name: str, target: str, folder: Path, kind: Kind = "executable") -> int:
    """Build a program, run it, and return its exit status."""
    path = folder / f"{name}.{target}"
    build_product(kernel_in(FILE, name), target=target, kind=kind, output=path)
    return subprocess.run(command(target_named(target).family, path), timeout=60, check=False).returncode


@pytest.mark.parametrize(
    "target", [t if t in QUICK else pytest.param(t, marks=pytest.mark.slow) for t in RUNNABLE], ids=str
)
def test_programs_compute_on_every_machine_what_they_compute_here(target: str, tmp_path: Path) -> None:
    for name in PROGRAMS if target not in QUICK else PROGRAMS[:3]:
        assert status_of(name, target, tmp_path) == kernel_in(FILE, name)(), name


@pytest.mark.slow
@pytest.mark.parametrize("target", QUICK)
def test_owned_memory_and_parallel_loops_on_every_machine(target: str, tmp_path: Path) -> None:
    for name in PROGRAMS[3:]:
        assert status_of(name, target, tmp_path) == kernel_in(FILE, name)(), name
    assert status_of("full", target, tmp_path) == FAULT_STATUS


def test_a_fault_is_an_exit_status(tmp_path: Path) -> None:
    assert status_of("full", "native", tmp_path) == FAULT_STATUS


def test_the_programs_differ_and_are_no_accident() -> None:
    assert len({kernel_in(FILE, name)() for name in PROGRAMS}) >= 3


def test_a_shared_library_is_called_through_its_c_interface(tmp_path: Path) -> None:
    path = tmp_path / "dot.so"
    build_product(kernel_in(FILE, "dot"), target="x86-64-v2", kind="shared", output=path)
    dot = ctypes.CDLL(str(path)).dot
    dot.restype = ctypes.c_float
    x, y = np.arange(19, dtype=np.float32), np.ones(19, np.float32)
    word = ctypes.c_int64
    assert dot(x.ctypes.data_as(ctypes.c_void_p), word(19), y.ctypes.data_as(ctypes.c_void_p), word(19)) == 171


def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with pytest.raises(
        ArgumentError, match="a program is a kernel that returns i32, its exit status, and takes nothing or one View"
    ):
        build_product(kernel_in(FILE, "dot"), target="native", kind="executable", output=path)
    with pytest.raises(NotFoundError, match="no target is called 'riscv'"):
        build_product(kernel_in(FILE, "dot"), target="riscv", kind="object", output=path)
    with pytest.raises(TargetError, match="carried demands avx2, which is of x86_64; the target is aarch64"):
        build_product(kernel_in(FILE, "carried"), target="aarch64", kind="object", output=path)
    with pytest.raises(VectorizeError, match="a turn may read what an earlier one wrote"):
        build_product(kernel_in(FILE, "carried"), target="x86-64-v3", kind="object", output=path)
    assert not path.exists()


def test_a_demand_is_checked_for_the_products_own_machine(tmp_path: Path) -> None:
    made = build_product(kernel_in(FILE, "scale"), target="aarch64", kind="object")
    assert b"scale" in made.content
    with pytest.raises(VectorizeError, match="this loop was not vectorised for native"):
        build_product(kernel_in(FILE, "scale"), target="thumb-cortex-m7", kind="object")


def test_the_command_shows_the_line_that_is_wrong(tmp_path: Path) -> None:
    program = tmp_path / "wrong.py"
    program.write_text("from hekla.lang import *\n\n\n@kernel\ndef wrong(x: f32) -> f32:\n    return x + i32(1)\n")
    for words in (
        ["build", f"{program}:wrong", "-o", str(tmp_path / "wrong.so")],
        ["explain", "asm", f"{program}:wrong"],
    ):
        done = subprocess.run([sys.executable, "-m", "hekla", *words], capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert done.stderr.splitlines() == [
            f"error: {program}:6:12: + needs two values of one type, got f32 and i32",
            "    return x + i32(1)",
            "           ^^^^^^^^^^",
            "  cure: convert it: f32(...)",
        ]


def test_the_command_builds_and_says_how_large_it_is(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(build)
    path = tmp_path / "integers"
    result = CliRunner().invoke(app, [f"{FILE}:integers", "--target", "x86-64-v2", "-o", str(path)])
    assert result.exception is None, result.exception
    assert result.stdout.startswith(f"{path}: {path.stat().st_size} bytes; ")
    assert subprocess.run([str(path)], check=False, timeout=60).returncode == kernel_in(FILE, "integers")()
    result = CliRunner().invoke(app, [str(FILE), "-o", str(path)])
    assert isinstance(result.exception, ConfigError)
    assert "it has carried, churned, collatz, conversions, dot" in str(result.exception)
    result = CliRunner().invoke(app, [f"{FILE}:dot", "--kind", "objct", "-o", str(path)])
    assert "did you mean 'object'" in str(result.exception)
