"""Programs print, read and take arguments on every machine, and mean the same in this process and interpreted."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from tests.lang.link.machines import RUNNABLE, command

from hekla.lang.files import kernel_in
from hekla.lang.printing import integer_of, put_float
from hekla.lang.products import FAULT_STATUS, build_product
from hekla.lang.targets.known import target_named

FILE = Path(__file__).parent / "spoken.py"
QUICK = ("native", "aarch64")
EVERY = [t if t in QUICK else pytest.param(t, marks=pytest.mark.slow) for t in RUNNABLE]
NUMBERS = "0 0.333333\n1 -0.166667\n2 3.33333e-08\n3 1e+10\n4 0\n-7 18446744073709551615 255 inf nan\n\n"
ECHO = "arguments: 3\n12\n-5\nx\nsum 7\n"


def ran(name: str, target: str, folder: Path, *arguments: str, given: bytes = b"") -> tuple[bytes, int]:
    """Build a program, run it, and return (what it printed, its exit status)."""
    path = folder / f"{name}.{target}"
    build_product(kernel_in(FILE, name), target=target, kind="executable", output=path)
    family = target_named(target).family
    done = subprocess.run(
        command(family, path, *arguments), input=given, capture_output=True, timeout=60, check=False, cwd=folder
    )
    return done.stderr if family == "thumb" else done.stdout, done.returncode


@pytest.mark.parametrize("target", EVERY)
def test_numbers_and_texts_are_printed(target: str, tmp_path: Path) -> None:
    assert ran("hello", target, tmp_path) == (b"hello 3 1.5\n", 3)
    assert ran("numbers", target, tmp_path) == (NUMBERS.encode(), 0)


@pytest.mark.parametrize("target", EVERY)
def test_arguments_are_a_view_of_their_bytes(target: str, tmp_path: Path) -> None:
    assert ran("echo", target, tmp_path, "12", "-5", "x") == (ECHO.encode(), 3)
    assert ran("echo", target, tmp_path) == (b"arguments: 0\nsum 0\n", 0)


@pytest.mark.parametrize("target", EVERY)
def test_standard_input_is_read_to_its_end(target: str, tmp_path: Path) -> None:
    x = np.arange(37, dtype=np.float32)
    printed, status = ran("sums", target, tmp_path, given=x.tobytes())
    assert (np.frombuffer(printed, np.float32) == 2 * x).all()
    assert status == 37


@pytest.mark.parametrize("target", EVERY)
def test_files_are_read_and_written(target: str, tmp_path: Path) -> None:
    content = bytes(range(256)) * 5
    (tmp_path / "from").write_bytes(content)
    assert ran("copies", target, tmp_path, "from", "to") == (b"copied 1280\n", 0)
    assert (tmp_path / "to").read_bytes() == content
    assert ran("copies", target, tmp_path, "absent", "to") == (b"no such file: absent\n", 2)


@pytest.mark.parametrize("target", EVERY)
def test_a_fault_is_said_with_its_place_and_is_an_exit_status(target: str, tmp_path: Path) -> None:
    path = tmp_path / "fault"
    build_product(kernel_in(FILE.with_name("built.py"), "full"), target=target, kind="executable", output=path)
    family = target_named(target).family
    done = subprocess.run(command(family, path), capture_output=True, timeout=60, check=False)
    assert done.returncode == FAULT_STATUS
    assert done.stderr.startswith(b"built.py:")
    assert done.stderr.endswith(b": the region is full\n")


@pytest.mark.parametrize("way", ["compiled", "interpreted"])
def test_the_same_program_runs_in_this_process(way: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def call(name: str, *given: object) -> object:
        kernel = kernel_in(FILE, name)
        return kernel(*given) if way == "compiled" else kernel.compile().interpret(*given)

    assert call("hello") == 3
    assert capfd.readouterr().out == "hello 3 1.5\n"
    assert call("echo", np.frombuffer(b"12\x00-5\x00x\x00", np.uint8)) == 3
    assert capfd.readouterr().out == ECHO
    assert call("numbers") == 0
    assert capfd.readouterr().out == NUMBERS
    (tmp_path / "from").write_bytes(b"abc" * 200)
    names = f"{tmp_path}/from\0{tmp_path}/to\0".encode()
    assert call("copies", np.frombuffer(names, np.uint8)) == 0
    assert (tmp_path / "to").read_bytes() == b"abc" * 200
    assert capfd.readouterr().out == "copied 600\n"


def test_floats_are_printed_as_python_formats_them() -> None:
    rng = np.random.default_rng(3)
    bits = rng.integers(0, 2**64, 3000, dtype=np.uint64).view(np.float64)
    ties = np.array([999999.5, 1234565.0, 1234575.0, 9.999995e-5, 2.5, 5e-324, 1.7976931348623157e308, -0.0, 1e22])
    plain = rng.uniform(-1, 1, 3000) * 10.0 ** rng.integers(-8, 9, 3000)
    line = np.zeros(32, np.uint8)
    for value in (*bits[np.isfinite(bits)], *ties, *plain):
        size = put_float(value, line)
        assert bytes(line[:size]).decode() == format(float(value), ".6g")


def test_a_text_that_is_no_number_gives_the_other_value() -> None:
    for words, value in ((b"12", 12), (b"-12", -12), (b"+3", 3), (b"", -1), (b"-", -1), (b"1x", -1)):
        assert integer_of(np.frombuffer(words, np.uint8), -1) == value


def test_a_refusal_of_the_system_is_minus_one(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from hekla.lang import *\n\n\n"
        "@kernel\ndef main() -> i32:\n"
        "    a = Array[u8, 4](0)\n"
        "    return i32(write(77, a.view())) + i32(read(77, a.mut())) * 10 + open_file(text('/none/such')) * 100\n"
    )
    kernel = kernel_in(program, "main")
    assert kernel() == kernel.compile().interpret() == -111
    path = tmp_path / "program"
    build_product(kernel, target="native", kind="executable", output=path)
    assert subprocess.run([path], check=False).returncode == -111 & 255


def test_this_process_keeps_its_descriptors(tmp_path: Path) -> None:
    (tmp_path / "from").write_bytes(b"abc")
    before = len(os.listdir("/proc/self/fd"))
    kernel_in(FILE, "copies")(np.frombuffer(f"{tmp_path}/from\0{tmp_path}/to\0".encode(), np.uint8))
    assert len(os.listdir("/proc/self/fd")) == before


ARENAS = {"native": 1 << 26, "aarch64": 1 << 26, "riscv64": 1 << 26, "thumb-cortex-m7": 1 << 16, "wasm32": 1 << 18}


@pytest.mark.parametrize("target", [t if t == "native" else pytest.param(t, marks=pytest.mark.slow) for t in ARENAS])
def test_memory_that_was_given_back_is_one_piece_again(target: str, tmp_path: Path) -> None:
    """All of the arena can be had after many takes and drops, and not a byte more."""
    most = ARENAS[target] - 128  # a block has 64 bytes of its own, and a buffer is rounded up to whole 64
    wanted = sum(64 + t * 37 % 500 + 1 + t * 91 % 900 + 200 + (40 if t % 3 == 0 else 0) for t in range(40))
    assert ran("refilled", target, tmp_path, str(most)) == (f"{wanted} {most}\n".encode(), 0)
    assert ran("refilled", target, tmp_path, str(ARENAS[target]))[1] == FAULT_STATUS
