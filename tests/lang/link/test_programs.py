"""Programs built for every target run there and print what the arithmetic says."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from tests.lang.link.machines import RUNNABLE, RUNNERS, command, run
from tests.lang.link.programs import HELLO_TENSOR, HELLO_TENSOR_OUTPUT, MACHINERY, MACHINERY_OUTPUT, text_for

from hekla.lang.link.build import build
from hekla.lang.link.errors import MemoryFullError
from hekla.lang.link.start_check import refusal
from hekla.lang.link.start_x86 import REFUSED
from hekla.lang.targets.known import target_named
from hekla.lang.targets.memory import MemoryMap

ELF = tuple(name for name in RUNNABLE if name != "wasm32")


@pytest.mark.parametrize("name", RUNNABLE)
def test_hello_tensor_prints_its_result_and_is_small(name: str, tmp_path: Path) -> None:
    printed, status = run(text_for(HELLO_TENSOR, target_named(name)), name, tmp_path)
    assert (printed, status) == (HELLO_TENSOR_OUTPUT, 4)
    assert (tmp_path / f"{name}.executable").stat().st_size < 50_000


@pytest.mark.parametrize("name", RUNNABLE)
def test_tables_jumps_data_and_memory_work(name: str, tmp_path: Path) -> None:
    printed, status = run(text_for(MACHINERY, target_named(name)), name, tmp_path)
    assert (printed, status) == (MACHINERY_OUTPUT, 17)


@pytest.mark.parametrize("name", ELF)
def test_readelf_accepts_an_executable_without_a_warning(name: str, tmp_path: Path) -> None:
    if shutil.which("readelf") is None:
        pytest.skip("needs readelf: apt-get install binutils")
    path = tmp_path / name
    target = target_named(name)
    build(text_for(MACHINERY, target), entry="main", target=target, kind="executable", output=path)
    done = subprocess.run(["readelf", "-aW", str(path)], capture_output=True, text=True, check=True)
    assert not done.stderr
    assert "Warning" not in done.stdout


def test_readelf_warns_of_a_planted_fault(tmp_path: Path) -> None:
    if shutil.which("readelf") is None:
        pytest.skip("needs readelf: apt-get install binutils")
    target = target_named("aarch64")
    made = build(text_for(MACHINERY, target), entry="main", target=target, kind="executable").content
    path = tmp_path / "broken"
    path.write_bytes(made[:-10])
    done = subprocess.run(["readelf", "-aW", str(path)], capture_output=True, text=True, check=False)
    assert done.stderr


@pytest.mark.parametrize("name", RUNNABLE)
def test_the_same_text_gives_the_same_bytes(name: str) -> None:
    target = target_named(name)
    text = text_for(HELLO_TENSOR, target)
    first = build(text, entry="main", target=target, kind="executable")
    assert first.content == build(text, entry="main", target=target, kind="executable").content


def test_an_image_runs_from_flash_and_says_how_much_memory_it_needs(tmp_path: Path) -> None:
    target = target_named("thumb-cortex-m7")
    printed, status = run(text_for(HELLO_TENSOR, target), "thumb-cortex-m7", tmp_path, kind="image")
    assert (printed, status) == (HELLO_TENSOR_OUTPUT, 4)
    made = build(text_for(HELLO_TENSOR, target), entry="main", target=target, kind="image")
    assert int.from_bytes(made.content[:4], "little") == 0x2000_0000 + (256 << 10)
    assert made.content[4] & 1, "the reset vector must be Thumb code"
    assert made.flash_bytes == len(made.content)
    assert target.memory is not None
    assert made.ram_bytes == 16 + target.memory.stack_bytes  # the result, 4 x f32


def test_a_program_too_large_for_its_memory_is_refused() -> None:
    target = replace(target_named("thumb-cortex-m7"), memory=MemoryMap(0, 1 << 20, 0x2000_0000, 4096, 4096))
    with pytest.raises(MemoryFullError, match=r"needs \d+ bytes of RAM, stack included, the target has 4096"):
        build(text_for(HELLO_TENSOR, target), entry="main", target=target, kind="image")
    target = replace(target_named("thumb-cortex-m7"), memory=MemoryMap(0, 256, 0x2000_0000, 1 << 18, 4096))
    with pytest.raises(MemoryFullError, match="of flash, the target has 256"):
        build(text_for(HELLO_TENSOR, target), entry="main", target=target, kind="image")


def test_a_processor_without_the_features_gets_a_message_and_no_illegal_instruction(tmp_path: Path) -> None:
    emulator = shutil.which("qemu-x86_64-static")
    if emulator is None:
        pytest.skip("needs qemu-x86_64-static: apt-get install qemu-user-static")
    target = target_named("x86-64-v3")
    path = tmp_path / "hello"
    build(text_for(HELLO_TENSOR, target), entry="main", target=target, kind="executable", output=path)
    old = subprocess.run([emulator, "-cpu", "Nehalem", str(path)], capture_output=True, text=True, check=False)
    assert old.returncode == REFUSED
    assert "this program is built for x86-64-v3" in old.stderr
    new = subprocess.run([emulator, "-cpu", "max", str(path)], capture_output=True, text=True, check=False)
    assert (new.stdout, new.returncode) == (HELLO_TENSOR_OUTPUT, 4)


@pytest.mark.parametrize(
    ("name", "emulator", "cpu"),
    [
        ("aarch64-neoverse-n1", "qemu-aarch64-static", "cortex-a53"),
        ("aarch64-neoverse-v1", "qemu-aarch64-static", "neoverse-n1"),
        ("riscv64-v", "qemu-riscv64-static", "rv64"),
    ],
)
def test_other_processors_refuse_too(name: str, emulator: str, cpu: str, tmp_path: Path) -> None:
    if shutil.which(emulator) is None:
        pytest.skip(f"needs {emulator}: apt-get install qemu-user-static")
    target = target_named(name)
    path = tmp_path / "hello"
    build(text_for(HELLO_TENSOR, target), entry="main", target=target, kind="executable", output=path)
    done = subprocess.run([emulator, "-cpu", cpu, str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (REFUSED, refusal(target) + "\n")


def test_vector_code_differs_between_targets_with_and_without_vectors(tmp_path: Path) -> None:
    sizes = {}
    for name in ("riscv64", "riscv64-v"):
        target = target_named(name)
        made = build(text_for(HELLO_TENSOR, target), entry="main", target=target, kind="executable")
        sizes[name] = dict(made.sections)[".text"]
    assert sizes["riscv64-v"] < sizes["riscv64"]


def test_an_executable_may_be_run_by_anybody(tmp_path: Path) -> None:
    target = target_named("x86-64-v2")
    path = tmp_path / "hello"
    build(text_for(HELLO_TENSOR, target), entry="main", target=target, kind="executable", output=path)
    assert path.stat().st_mode & 0o111 == 0o111
    done = subprocess.run([*RUNNERS["x86-64"], *command("x86-64", path)], capture_output=True, text=True, check=False)
    assert done.stdout == HELLO_TENSOR_OUTPUT
