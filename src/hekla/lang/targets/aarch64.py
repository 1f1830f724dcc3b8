"""64-bit Arm: any ARMv8-A, and the processors worth tuning for. NEON is part of the base."""

from hekla.lang.targets.spec import TargetSpec

_TRIPLE = "aarch64-unknown-linux-gnu"

TARGETS = (
    TargetSpec("aarch64", "aarch64", _TRIPLE, "generic", features=("+neon",), required=("neon",)),
    TargetSpec("aarch64-cortex-a53", "aarch64", _TRIPLE, "cortex-a53", required=("neon",)),
    TargetSpec(
        "aarch64-neoverse-n1",
        "aarch64",
        _TRIPLE,
        "neoverse-n1",
        required=("neon", "dotprod", "fullfp16", "lse", "rcpc"),
    ),
    TargetSpec(
        "aarch64-neoverse-v1",
        "aarch64",
        _TRIPLE,
        "neoverse-v1",
        vector_bits=256,
        required=(
            "neon",
            "dotprod",
            "fullfp16",
            "lse",
            "rcpc",
            "jsconv",
            "complxnum",
            "fp16fml",
            "sve",
            "bf16",
            "i8mm",
        ),
    ),
)
