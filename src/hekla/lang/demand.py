"""What `@vectorize` demands of a kernel's loops."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Arch:
    """A family of vector instructions: the processors that may have it and LLVM's names of what it needs."""

    family: str  # how the target's triple begins
    features: tuple[str, ...]
    bits: int  # the widest register to use


ARCHES: Mapping[str, Arch] = {
    "avx512": Arch("x86_64", ("avx512f", "avx512bw", "avx512dq", "avx512vl"), 512),
    "avx2": Arch("x86_64", ("avx2", "fma"), 256),
    "sse2": Arch("x86_64", ("sse2",), 128),
    "neon": Arch("aarch64", ("neon",), 128),
    "sve": Arch("aarch64", ("sve",), 512),
    "rvv": Arch("riscv64", ("v",), 512),
    "native": Arch("", (), 512),
}


@dataclass(frozen=True, slots=True)
class VectorDemand:
    """Every innermost loop of the kernel, and of what it calls, must become vector code.

    arch: a name in ARCHES; "native" is whatever the target has.
    reassociate: sums and products of floats may be regrouped (the kernel's own, not those of its callees), so that
        they differ from the interpreter's by rounding.
    """

    arch: str
    reassociate: bool = False
