"""What this machine can do: processors this process may use, their features and caches, as Linux tells."""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Processor:
    """The machine this process runs on.

    usable: numbers of the processors this process may run on; physical: how many cores stand behind them (threads of
    one core count once); features: as the kernel names them ("avx512f", "asimd"); cache_bytes: level -> size of one.
    Unknown things are empty, never guessed.
    """

    usable: tuple[int, ...]
    physical: int
    features: frozenset[str]
    cache_bytes: dict[int, int]


@cache
def this_processor() -> Processor:
    """Return the machine this process runs on, read once."""
    return read_processor(
        Path("/sys/devices/system/cpu"), Path("/proc/cpuinfo"), tuple(sorted(os.sched_getaffinity(0)))
    )


def read_processor(devices: Path, information: Path, usable: tuple[int, ...]) -> Processor:
    """Return the machine described by these files of Linux; missing files leave their part empty."""
    cores = {
        (_read(devices / f"cpu{n}/topology/physical_package_id"), _read(devices / f"cpu{n}/topology/core_id") or str(n))
        for n in usable
    }
    caches: dict[int, int] = {}
    for index in sorted((devices / f"cpu{usable[0] if usable else 0}/cache").glob("index*")):
        level, size = _read(index / "level"), _read(index / "size")
        if level.isdigit() and size[:-1].isdigit() and _read(index / "type") != "Instruction":
            caches[int(level)] = int(size[:-1]) * {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(size[-1], 1)
    return Processor(usable, max(1, len(cores)), _features(_read(information)), caches)


def _features(information: str) -> frozenset[str]:
    for line in information.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features", "isa"):
            return frozenset(value.split())
    return frozenset()


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
