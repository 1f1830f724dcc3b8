"""What compiling costs: each kernel cold, all of them cold, and all of them again from the cache on disk."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hekla.kernels.catalogue import all_sweeps
from hekla.lang.kernel import Kernel
from hekla.lang.llvm.cache import CodeCache
from hekla.lang.sweep import Sweep

HEADS = ("kernel", "cold ms", "warm ms", "LLVM runs when warm", "bytes of code")


@dataclass(frozen=True, slots=True)
class Compilation:
    """Milliseconds to the first call of one kernel, without a cache entry and with one."""

    name: str
    cold_ms: float
    warm_ms: float
    warm_compiles: int
    code_bytes: int

    def cells(self) -> list[str]:
        """Return what the table shows."""
        return [self.name, f"{self.cold_ms:.0f}", f"{self.warm_ms:.1f}", str(self.warm_compiles), str(self.code_bytes)]


def compilations() -> Sequence[Compilation]:
    """Compile every kernel that declares a sweep, twice, and return the times and their sum."""
    sweeps = {s.name: s for s in all_sweeps()}
    with tempfile.TemporaryDirectory() as folder:
        cache = CodeCache(Path(folder))
        cold = {name: _first_use(s, cache) for name, s in sweeps.items()}
        warm = {name: _first_use(s, cache) for name, s in sweeps.items()}
    found = [Compilation(n, cold[n][0], warm[n][0], 0 if warm[n][1] else 1, cold[n][2]) for n in sorted(sweeps)]
    return [*found, _sum(found)]


def _first_use(sweep: Sweep, cache: CodeCache) -> tuple[float, bool, int]:
    """Return (milliseconds, whether the code came from the cache, its bytes)."""
    case = sweep.cases(np.random.default_rng(0))[-1]
    start = time.perf_counter()
    fresh: Kernel = sweep.kernel.with_options(cache=cache)
    compiled = fresh.compiled_for(case, dict(sweep.named))
    assert compiled.entry is not None
    spent = time.perf_counter() - start
    built, was_cached = compiled.code
    return spent * 1e3, was_cached, len(built.image.content)


def _sum(found: Sequence[Compilation]) -> Compilation:
    totals: Iterator[float] = (
        sum(getattr(c, field) for c in found) for field in ("cold_ms", "warm_ms", "warm_compiles", "code_bytes")
    )
    cold, warm, compiles, code = totals
    return Compilation(f"all {len(found)}", cold, warm, int(compiles), int(code))
