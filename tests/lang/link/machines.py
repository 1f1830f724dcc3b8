"""Run what was built: which command runs a product of each target, and why it cannot where a runner is missing."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hekla.lang.link.build import Kind, build
from hekla.lang.targets.known import target_named

RISCV_CPU = "rv64,v=true,vlen=256,elen=64,vext_spec=v1.0"
# nothing but the program itself may read standard input
QUIET = ("-display", "none", "-serial", "none", "-monitor", "none")
SEMIHOSTING = ("-semihosting-config", "enable=on,target=native")
RUNNERS: dict[str, list[str]] = {
    "x86-64": [],
    "aarch64": ["qemu-aarch64-static", "-cpu", "max"],
    "riscv64": ["qemu-riscv64-static", "-cpu", RISCV_CPU],
    "thumb": ["qemu-system-arm", "-M", "mps2-an500", *QUIET, *SEMIHOSTING, "-kernel"],
    "wasm32": [sys.executable, str(Path(__file__).with_name("run_wasm.py"))],
}
RUNNABLE = (
    "native",
    "x86-64-v2",
    "aarch64",
    "aarch64-cortex-a53",
    "aarch64-neoverse-n1",
    "aarch64-neoverse-v1",
    "riscv64",
    "riscv64-v",
    "thumb-cortex-m7",
    "wasm32",
)


def command(family: str, path: Path, *arguments: str) -> list[str]:
    """Return what runs a product with arguments, or skip the test and say what is missing."""
    runner = RUNNERS[family]
    if family == "wasm32":
        pytest.importorskip("wasmtime", reason="needs the wasmtime package")
    elif runner and shutil.which(runner[0]) is None:
        pytest.skip(f"needs {runner[0]}: apt-get install qemu-user-static qemu-system-arm")
    if family == "thumb" and arguments:
        return [*runner, str(path), "-append", " ".join(arguments)]
    return [*runner, str(path), *arguments]


def run(
    text: str, target_name: str, folder: Path, *, kind: Kind = "executable", entry: str = "main"
) -> tuple[str, int]:
    """Build a program, run it, and return (what it printed, its exit status)."""
    target = target_named(target_name)
    path = folder / f"{target_name}.{kind}"
    build(text, entry=entry, target=target, kind=kind, output=path)
    # qemu-system-arm sends what a program prints through semihosting to its own standard error
    done = subprocess.run(
        command(target.family, path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout, done.returncode
