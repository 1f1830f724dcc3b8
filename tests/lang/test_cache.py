"""The store of object code: hits, damage, full disks, two writers."""
# mypy: disable-error-code="valid-type,no-untyped-def,misc,operator,type-arg,no-any-return"
# (the bodies and annotations of kernels are Hekla's language, which mypy reads as Python)

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hekla.base.errors import UnsupportedError
from hekla.lang import Options, f64, kernel
from hekla.lang.kernel import Kernel
from hekla.lang.llvm.cache import HEADER_BYTES, CodeCache
from hekla.lang.llvm.target import Target, host_target


@kernel
def twice(x: f64) -> f64:
    return x + x


def fresh(cache: CodeCache, *, checked: bool = False) -> Kernel:
    """Return the kernel with nothing compiled in this process."""
    return Kernel(twice.definition, Options(cache=cache, checked=checked))


def entries(folder: Path, kind: str = "*") -> list[Path]:
    """Return the files of the store: object files end in .o, what is loaded without a front end in .image."""
    return sorted(p for p in folder.rglob(f"*.{kind}") if p.is_file())


def test_the_second_compilation_is_read_from_disk(tmp_path: Path) -> None:
    cache = CodeCache(tmp_path)
    first, second = fresh(cache).compile(), fresh(cache).compile()
    assert (first.code[1], second.code[1]) == (False, True)
    assert first.code[0] == second.code[0]
    assert second(4.0) == 8.0


def test_other_flags_are_other_code(tmp_path: Path) -> None:
    cache = CodeCache(tmp_path)
    assert not fresh(cache).compile().code[1]
    assert not fresh(cache, checked=True).compile().code[1]
    assert len(entries(tmp_path, "o")) == len(entries(tmp_path, "image")) == 2


@pytest.mark.parametrize("kind", ["o", "image"])
@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "magic"])
def test_a_damaged_entry_is_rebuilt(tmp_path: Path, damage: str, kind: str) -> None:
    cache = CodeCache(tmp_path)
    code, _ = fresh(cache).compile().code
    if kind == "o":
        entries(tmp_path, "image")[0].unlink()
    (path,) = entries(tmp_path, kind)
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[HEADER_BYTES + 100] ^= 1
    elif damage == "magic":
        content[0] ^= 1
    path.write_bytes(content[: {"cut": len(content) // 2, "empty": 0}.get(damage, len(content))])
    again = fresh(cache).compile()
    assert again.code == (code, kind == "image")  # the image is linked again from the object file
    assert again(1.0) == 2.0
    assert fresh(cache).compile().code[1]
    assert len(entries(tmp_path, "o") + entries(tmp_path, "image")) == 2


def test_a_disk_that_takes_nothing_costs_only_time() -> None:
    for folder in (Path("/proc/no/such/place"), Path("/dev/full/under-a-device"), None):
        compiled = fresh(CodeCache(folder)).compile()
        assert compiled(2.0) == 4.0
        assert not compiled.code[1]


def test_a_failed_write_leaves_no_rest(tmp_path: Path) -> None:
    cache = CodeCache(tmp_path)
    key = "ab" * 32
    path = cache.path(key)
    assert path is not None
    path.mkdir(parents=True)  # the final rename cannot succeed
    assert not cache.put(key, b"code")
    assert entries(tmp_path) == []


def test_two_processes_fill_one_store(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from hekla.lang import f64, kernel\n\n\n@kernel\ndef thrice(x: f64) -> f64:\n    return 3.0 * x\n\n\n"
        "assert thrice(2.0) == 6.0\n"
    )
    environment = {**os.environ, "HEKLA_CACHE": str(tmp_path / "store")}
    running = [subprocess.Popen([sys.executable, str(program)], env=environment) for _ in range(2)]
    assert [p.wait(60) for p in running] == [0, 0]
    assert len(entries(tmp_path / "store", "o")) == len(entries(tmp_path / "store", "image")) == 1


def test_code_for_another_processor_is_another_entry(tmp_path: Path) -> None:
    cache = CodeCache(tmp_path)
    host = host_target()
    plain = Target(host.triple, "generic", frozenset())
    assert not fresh(cache).compile().code[1]
    assert not fresh(cache).with_options(target=plain).compile().code[1]
    assert fresh(cache).compile().code[1]
    assert len(entries(tmp_path, "o")) == len(entries(tmp_path, "image")) == 2


def test_code_this_machine_cannot_run_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    host = host_target()
    family = host.triple.split("-")[0]
    other = "aarch64" if family == "x86_64" else "x86_64"
    for target, message in (
        (Target(host.triple, host.cpu, host.features | {"amx-fp8", "avx10.2"}), "which the processor lacks"),
        (Target(host.triple, "some-other-cpu", frozenset()), "is for the processor some-other-cpu"),
        (Target(f"{other}-unknown-linux-gnu", "generic", frozenset()), f"this code is for {other}"),
    ):
        with pytest.raises(UnsupportedError, match=message):
            target.require_runnable("program()")
    level = Target(host.triple, "x86-64-v4", frozenset())
    assert {"avx512bw", "avx2"} <= level.needed


def test_a_full_disk_costs_only_time(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import resource, signal\nfrom hekla.lang import f64, kernel\n\n\n@kernel\ndef thrice(x: f64) -> f64:\n"
        "    return 3.0 * x\n\n\nresource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\nassert thrice(2.0) == 6.0\n"
    )
    environment = {**os.environ, "HEKLA_CACHE": str(tmp_path / "store"), "PYTHONDONTWRITEBYTECODE": "1"}
    assert subprocess.run([sys.executable, str(program)], env=environment, check=False, timeout=60).returncode == 0
    assert entries(tmp_path / "store") == []


@pytest.mark.parametrize("home", ["/proc/no/such/home", None])
def test_a_user_without_a_home_has_no_cache_and_no_trouble(tmp_path: Path, home: str | None) -> None:
    program = tmp_path / "program.py"
    # 54321 is the number of nobody: `Path.home` then has nothing to go by
    program.write_text(
        "import os\nfrom hekla.lang import f64, kernel\nfrom hekla.lang.llvm.cache import CodeCache\n\n\n"
        "@kernel\ndef thrice(x: f64) -> f64:\n    return 3.0 * x\n\n\n"
        "os.getuid = lambda: 54321\nif 'HOME' not in os.environ:\n    assert CodeCache.standard().folder is None\n"
        "assert thrice(2.0) == 6.0\n"
    )
    environment = {n: v for n, v in os.environ.items() if n not in ("HOME", "XDG_CACHE_HOME", "HEKLA_CACHE")}
    if home is not None:
        environment["HOME"] = home
    assert subprocess.run([sys.executable, str(program)], env=environment, check=False, timeout=60).returncode == 0
