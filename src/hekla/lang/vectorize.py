"""`@vectorize(arch=...)`: scalar loops that must become vector code, or the kernel does not compile."""

from collections.abc import Callable
from dataclasses import replace
from types import FunctionType
from typing import Any

from hekla.base.errors import ConfigError, nearest_name
from hekla.lang.demand import ARCHES, VectorDemand
from hekla.lang.front.definition import Definition
from hekla.lang.kernel import Kernel


def vectorize(*, arch: str, reassociate: bool = False) -> Callable[[Any], Kernel]:
    """Make a kernel whose innermost loops are vector code; it goes on a function or above `@kernel`.

    arch: "avx512", "avx2", "sse2", "neon", "sve", "rvv", or "native" for whatever the target has.
    reassociate: float sums and products may be regrouped; without it a loop that sums floats is refused.
    Errors: ConfigError for an unknown arch; at compile time VectorizeError at the loop that stayed scalar, with
        LLVM's reason, and TargetError where the target has not the instructions. Unoptimised and checked builds
        keep loops scalar and demand nothing.
    Any: a plain function or a Kernel.
    """
    if arch not in ARCHES:
        raise ConfigError(f"@vectorize(arch={arch!r}) is not a vector architecture", cure=nearest_name(arch, ARCHES))
    demand = VectorDemand(arch, reassociate)

    def decorate(given: Any) -> Kernel:  # Any: see above
        if isinstance(given, Kernel):
            return Kernel(replace(given.definition, demand=demand), given.options)
        if not isinstance(given, FunctionType):
            raise ConfigError(f"@vectorize goes on a function or a kernel, got {given!r}")
        return Kernel(Definition(given, demand=demand))

    return decorate
