"""What this processor can do: its vector and dot-product instructions, by LLVM's names."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# /proc/cpuinfo's name -> LLVM's, where they differ and matter to us. The rest keep the kernel's spelling.
_X86: Mapping[str, str] = {
    "avx512_vnni": "avx512vnni", "avx_vnni": "avxvnni", "avx512_bf16": "avx512bf16", "avx512_fp16": "avx512fp16",
    "avx512_vbmi2": "avx512vbmi2", "avx512_bitalg": "avx512bitalg", "avx512_vpopcntdq": "avx512vpopcntdq",
    "sse4_1": "sse4.1", "sse4_2": "sse4.2", "pni": "sse3", "abm": "lzcnt", "amx_tile": "amx-tile",
    "amx_int8": "amx-int8", "amx_bf16": "amx-bf16", "pclmulqdq": "pclmul",
}  # fmt: skip
_ARM: Mapping[str, str] = {
    "asimd": "neon", "asimddp": "dotprod", "asimdhp": "fullfp16", "i8mm": "i8mm", "bf16": "bf16", "sve": "sve",
    "sve2": "sve2", "atomics": "lse", "fp": "fp-armv8", "crc32": "crc",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class CpuFeatures:
    """The processor's family and features."""

    architecture: str  # as `platform.machine` says: x86_64, aarch64, riscv64
    names: frozenset[str]

    def has(self, *names: str) -> bool:
        """True where the processor has all of these, by LLVM's names."""
        return self.names.issuperset(names)

    @property
    def vector_bits(self) -> int:
        """The widest vector register one may count on; 0 where there is none."""
        if self.has("avx512f", "avx512bw", "avx512vl"):
            return 512
        if self.has("avx2"):
            return 256
        return 128 if self.names & {"sse2", "neon", "v"} else 0

    @property
    def has_integer_dot(self) -> bool:
        """True where products of bytes are summed by one instruction: VNNI or SDOT."""
        return self.has("avx512vnni") or self.has("avxvnni") or self.has("dotprod")


def cpu_features(root: Path = Path("/"), architecture: str | None = None) -> CpuFeatures:
    """Return what the processor under `root` (a system's root folder) can do; empty where /proc does not say."""
    machine = architecture or platform.machine()
    try:
        text = (root / "proc/cpuinfo").read_text()
    except OSError:
        return CpuFeatures(machine, frozenset())
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip().lower(), value.strip())
    if machine.startswith("riscv"):
        return CpuFeatures(machine, frozenset(_riscv_extensions(fields.get("isa", ""))))
    words = (fields.get("flags") or fields.get("features") or "").split()
    table = _X86 if "flags" in fields else _ARM
    return CpuFeatures(machine, frozenset(table.get(w, w) for w in words))


def _riscv_extensions(isa: str) -> list[str]:
    """Return the extensions of an ISA string: rv64imafdcv_zicsr_zba -> i, m, a, f, d, c, v, zicsr, zba."""
    first, *long = isa.lower().split("_")
    return [*first.removeprefix("rv64").removeprefix("rv32"), *long]
