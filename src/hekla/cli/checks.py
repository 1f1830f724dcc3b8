"""The checks of `hekla doctor`. Each looks at one thing and says what it found; none changes anything."""

import importlib.metadata
import os
import platform
import re
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hekla.base.errors import ConfigError
from hekla.cli.offline import models_in

# What makes engines fast, by the kernel's name for it; x86-64 and AArch64.
_FAST = ("avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "asimddp", "sve")
_NEEDED_MIB = 512
_MARKER = re.compile(r"^[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    state: Literal["ok", "note", "fail"]
    found: str
    cure: str = ""


def run_checks(repository: Path, ports: Iterable[tuple[str, int]]) -> list[Finding]:
    """Return what each check found, in the order in which a person would fix things."""
    return [
        _python(),
        _cpu(_cpu_flags()),
        _memory(_available_mib()),
        *(_port(name, port) for name, port in ports),
        *_packages(importlib.metadata.requires("hekla") or []),
        *_models(repository),
    ]


def _python() -> Finding:
    return Finding("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def _cpu(flags: frozenset[str]) -> Finding:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    fast = [flag for flag in _FAST if flag in flags]
    found = f"{count} CPUs with {', '.join(fast) or 'no vector extension that is known here'}"
    if sys.platform == "linux" and not {"avx2", "asimd"} & flags:
        return Finding("cpu", "note", found, "engines will be slow: AVX2 or NEON is missing")
    return Finding("cpu", "ok", found)


def _cpu_flags() -> frozenset[str]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return frozenset()
    found = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", text, re.MULTILINE)
    return frozenset(found[1].split()) if found else frozenset()


def _memory(available_mib: int | None) -> Finding:
    if available_mib is None:
        return Finding("memory", "note", "free memory is not known on this system")
    found = f"{available_mib} MiB free"
    if available_mib < _NEEDED_MIB:
        return Finding("memory", "note", found, f"the sample models want {_NEEDED_MIB} MiB")
    return Finding("memory", "ok", found)


def _available_mib() -> int | None:
    try:
        found = re.search(r"^MemAvailable:\s*(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) // 1024 if found else None


def _port(name: str, port: int) -> Finding:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            cure = f"stop what listens there, or choose another --{name}-port"
            return Finding(f"port {port}", "fail", f"cannot be used: {(error.strerror or str(error)).lower()}", cure)
    return Finding(f"port {port}", "ok", f"free for {name}")


def _packages(requirements: Iterable[str]) -> list[Finding]:
    """Look whether what the distribution asks for is installed; extras that are missing are a note."""
    present = 0
    missing: list[Finding] = []
    for requirement in requirements:
        name, extra = _MARKER.findall(requirement)[0], "extra ==" in requirement
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            if "sys_platform" in requirement:
                continue
            if not extra:
                missing.append(Finding("packages", "fail", f"{name} is missing", "run `pip install hekla` again"))
        else:
            present += not extra
    return missing or [Finding("packages", "ok", f"all {present} that are needed")]


def _models(repository: Path) -> list[Finding]:
    if not repository.is_dir():
        return [Finding("models", "note", f"there is no folder {repository}", "`hekla models pull` makes the samples")]
    try:
        found = models_in([repository])
    except ConfigError as error:
        return [Finding("models", "fail", str(error))]
    refused = [Finding("models", "fail", entry["reason"]) for entry in found if entry["state"] == "REFUSED"]
    names = sorted({entry["name"] for entry in found if entry["state"] != "REFUSED"})
    served = Finding("models", "ok", f"{', '.join(names)} in {repository}")
    empty = Finding("models", "note", f"no model in {repository}", "`hekla models pull` makes the samples")
    return [*refused, served if names else empty]
