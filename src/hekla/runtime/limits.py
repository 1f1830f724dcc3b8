"""What this process may use: its affinity and the limits of its control groups, versions 1 and 2.

A container sees every processor of its host, and is slowed or killed when it uses them: ask here, not
`os.cpu_count()`. Source: the kernel's Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst.
"""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

UNLIMITED_V1 = 1 << 60  # bytes; version 1 writes "no limit" as the largest multiple of a page


@dataclass(frozen=True, slots=True)
class Limits:
    """The tightest limit of the process's group and all groups around it; None is no limit."""

    cpus: float | None = None  # processor seconds per second
    memory_bytes: int | None = None


def read_limits(root: Path = Path("/")) -> Limits:
    """Return the limits set on this process under `root` (a system's root folder)."""
    cpus: list[float] = []
    memory: list[int] = []
    for controllers, folder in _groups(root):
        if "" in controllers:
            cpus += _quota(*(_text(folder / "cpu.max").split() or ["max"]))
            memory += _bytes(_text(folder / "memory.max"))
        if "cpu" in controllers:
            cpus += _quota(_text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us"))
        if "memory" in controllers:
            memory += _bytes(_text(folder / "memory.limit_in_bytes"))
    return Limits(min(cpus, default=None), min(memory, default=None))


def usable_cpus(root: Path = Path("/")) -> int:
    """Return how many threads this process can keep busy: its affinity cut by its quota; at least 1."""
    allowed = len(allowed_cpus())
    quota = read_limits(root).cpus
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


def allowed_cpus() -> frozenset[int]:
    """Return the processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):  # Linux only
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def usable_memory_bytes(root: Path = Path("/")) -> int:
    """Return the memory this process may use: the machine's, or its groups' limit where that is less."""
    words = _text(root / "proc/meminfo").split()
    total = int(words[1]) << 10 if words[:1] == ["MemTotal:"] else UNLIMITED_V1
    limit = read_limits(root).memory_bytes
    return total if limit is None else min(total, limit)


def _groups(root: Path) -> Iterator[tuple[frozenset[str], Path]]:
    """Yield (controllers, folder) of each group the process is in, and of every group around it.

    A container's mount shows a part of the tree: mountinfo names which. Version 2 has the controller "".
    """
    mounts = list(_mounts(root))
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        controllers = frozenset(names.split(","))
        for kind, options, shown, mounted in mounts:
            if (kind == "cgroup2") != (names == "") or (names and not controllers <= options):
                continue
            inside = PurePosixPath(path)
            relative = inside.relative_to(shown) if inside.is_relative_to(shown) else PurePosixPath()
            base = root / str(mounted).lstrip("/")
            for part in (relative, *relative.parents):
                yield controllers, base / part


def _mounts(root: Path) -> Iterator[tuple[str, frozenset[str], str, str]]:
    """Yield (type, options, which part of the tree is shown, where) of the control group mounts."""
    for line in _text(root / "proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        fields, tail = left.split(), right.split()
        if len(fields) > 4 and len(tail) > 2 and tail[0] in ("cgroup", "cgroup2"):
            yield tail[0], frozenset(tail[2].split(",")), fields[3], fields[4]


def _quota(quota: str, period: str = "100000") -> list[float]:
    if not quota.lstrip("-").isdigit() or int(quota) <= 0 or not period.isdigit() or int(period) == 0:
        return []
    return [int(quota) / int(period)]


def _bytes(text: str) -> list[int]:
    return [int(text)] if text.isdigit() and int(text) < UNLIMITED_V1 else []


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
