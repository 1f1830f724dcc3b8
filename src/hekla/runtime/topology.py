"""How this machine's processors are built: cores, threads, caches, memory nodes, as sysfs tells."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cache:
    """One cache; `shared_by` are the logical processors behind it."""

    level: int
    kind: str  # Data, Instruction or Unified
    size_bytes: int
    line_bytes: int
    shared_by: frozenset[int]


@dataclass(frozen=True, slots=True)
class Core:
    """One core; `cpus` are its hardware threads, by the system's numbers."""

    package: int
    node: int
    cpus: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Topology:
    """The machine. What sysfs does not tell is one core for each processor, without caches, on node 0."""

    cores: tuple[Core, ...]
    caches: tuple[Cache, ...]

    @property
    def cpus(self) -> tuple[int, ...]:
        """All logical processors, in order."""
        return tuple(sorted(c for core in self.cores for c in core.cpus))

    @property
    def nodes(self) -> tuple[int, ...]:
        """All memory nodes (NUMA), in order."""
        return tuple(sorted({core.node for core in self.cores}))

    @property
    def line_bytes(self) -> int:
        """The size of a cache line; 64 where it is unknown."""
        return max((c.line_bytes for c in self.caches), default=64)

    def cache_bytes(self, level: int) -> int:
        """Return the size of one data or unified cache of a level, 0 where there is none."""
        return max((c.size_bytes for c in self.caches if c.level == level and c.kind != "Instruction"), default=0)

    def siblings(self, cpu: int) -> tuple[int, ...]:
        """Return the hardware threads that share a core with this one, itself included."""
        return next((core.cpus for core in self.cores if cpu in core.cpus), (cpu,))

    def one_thread_per_core(self, allowed: frozenset[int]) -> tuple[int, ...]:
        """Return the allowed processors in the order to use them: one of each core first, then the siblings."""
        ranks = [[c for c in core.cpus if c in allowed] for core in self.cores]
        deepest = max((len(r) for r in ranks), default=0)
        return tuple(r[depth] for depth in range(deepest) for r in ranks if depth < len(r))


def read_topology(root: Path = Path("/")) -> Topology:
    """Return the topology of the online processors under `root` (a system's root folder)."""
    base = root / "sys/devices/system"
    online = cpu_list(_text(base / "cpu/online")) or range(os.cpu_count() or 1)
    nodes = {
        cpu: int(folder.name.removeprefix("node"))
        for folder in sorted((base / "node").glob("node[0-9]*"))
        for cpu in cpu_list(_text(folder / "cpulist"))
    }
    cores: dict[tuple[int, ...], Core] = {}
    caches: dict[tuple[int, str, frozenset[int]], Cache] = {}
    for cpu in online:
        here = base / f"cpu/cpu{cpu}"
        siblings = _text(here / "topology/core_cpus_list") or _text(here / "topology/thread_siblings_list")
        cpus = tuple(cpu_list(siblings)) or (cpu,)
        package = int(_text(here / "topology/physical_package_id") or 0)
        cores.setdefault(cpus, Core(max(0, package), nodes.get(cpu, 0), cpus))
        for folder in sorted((here / "cache").glob("index*")):
            cache = _cache(folder, cpu)
            if cache is not None:
                caches.setdefault((cache.level, cache.kind, cache.shared_by), cache)
    return Topology(tuple(cores.values()), tuple(caches.values()))


def cpu_list(text: str) -> list[int]:
    """Return the numbers of the kernel's list format: "0-3,8" is 0, 1, 2, 3, 8."""
    found: list[int] = []
    for part in text.split(","):
        if part.strip():
            first, _, last = part.partition("-")
            found += range(int(first), int(last or first) + 1)
    return found


def _cache(folder: Path, cpu: int) -> Cache | None:
    level, size = _text(folder / "level"), _text(folder / "size")
    if not level or not size:
        return None
    unit = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(size[-1], 1)
    shared = frozenset(cpu_list(_text(folder / "shared_cpu_list"))) or frozenset({cpu})
    line = int(_text(folder / "coherency_line_size") or 64)
    return Cache(int(level), _text(folder / "type"), int(size.rstrip("KMG")) * unit, line, shared)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
