"""Find a target by name, and compare what it needs with what a machine has."""

from collections.abc import Iterable

from hekla.base.errors import NotFoundError, nearest_name
from hekla.lang.targets import aarch64, arm, bpf, riscv, wasm, x86
from hekla.lang.targets.spec import TargetSpec

_FIXED = (*x86.LEVELS, *aarch64.TARGETS, *riscv.TARGETS, *arm.TARGETS, *wasm.TARGETS, *bpf.TARGETS)
NAMES = (*(spec.name for spec in _FIXED), "native")


def target_named(name: str) -> TargetSpec:
    """Return the target of a name. Errors: NotFoundError with the closest known name."""
    if name == "native":
        return x86.native()
    for spec in _FIXED:
        if spec.name == name:
            return spec
    raise NotFoundError(f"no target is called {name!r}", where="--target", cure=nearest_name(name, NAMES))


def missing_features(spec: TargetSpec, present: Iterable[str]) -> tuple[str, ...]:
    """Return what a target requires that a machine with the features `present` lacks."""
    return tuple(sorted(set(spec.required).difference(present)))
