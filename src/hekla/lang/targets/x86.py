"""x86-64 by level, as the System V ABI supplement defines them (section 3.1.1, table 3.1), and this very machine."""

import llvmlite.binding as llvm

from hekla.lang.targets.spec import TargetSpec

V2 = ("cx16", "popcnt", "sahf", "sse3", "sse4.1", "sse4.2", "ssse3")
V3 = (*V2, "avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe", "xsave")
V4 = (*V3, "avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl")
# Beyond the levels: what start code can ask a processor for (link/start_x86.py says where).
CHECKED = (
    *V4, "aes", "avx512bitalg", "avx512fp16", "avx512ifma", "avx512vbmi", "avx512vbmi2", "avx512vnni",
    "avx512vpopcntdq", "gfni", "pclmul", "sha", "vaes", "vpclmulqdq",
)  # fmt: skip


def level_bit(required: tuple[str, ...]) -> int:
    """Return the ABI's bit of the highest level whose features are all required: 1 baseline, 2, 4, 8."""
    reached = (level for level, features in ((8, V4), (4, V3), (2, V2)) if set(features) <= set(required))
    return next(reached, 1)


def _level(number: int, vector_bits: int, required: tuple[str, ...]) -> TargetSpec:
    name = f"x86-64-v{number}"
    return TargetSpec(name, "x86-64", "x86_64-unknown-linux-gnu", name, vector_bits=vector_bits, required=required)


LEVELS = (_level(2, 128, V2), _level(3, 256, V3), _level(4, 512, V4))


def native() -> TargetSpec:
    """Return the machine this process runs on, with every feature it has."""
    features = {name for name, on in llvm.get_host_cpu_features().items() if on}
    return TargetSpec(
        "native",
        "x86-64",
        "x86_64-unknown-linux-gnu",
        llvm.get_host_cpu_name(),
        features=tuple(f"+{name}" for name in sorted(features)),
        vector_bits=512 if "avx512f" in features else 256 if "avx2" in features else 128,
        required=tuple(sorted(features.intersection(CHECKED))),
    )
