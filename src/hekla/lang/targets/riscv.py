"""64-bit RISC-V: RV64GC, and the same with the vector extension 1.0.

The medium code model addresses everything from the program counter; the small one would need addresses below 2 GiB.
"""

from hekla.lang.targets.spec import TargetSpec

_TRIPLE = "riscv64-unknown-linux-gnu"
_BASE = ("+m", "+a", "+f", "+d", "+c")

TARGETS = (
    TargetSpec(
        "riscv64",
        "riscv64",
        _TRIPLE,
        "generic-rv64",
        features=_BASE,
        abi="lp64d",
        vector_bits=0,
        code_model="medium",
        required=("m", "a", "f", "d", "c"),
    ),
    TargetSpec(
        "riscv64-v",
        "riscv64",
        _TRIPLE,
        "generic-rv64",
        # Code is right for every width of register from 128 bits up: that is what V itself promises.
        features=(*_BASE, "+v"),
        abi="lp64d",
        vector_bits=128,
        code_model="medium",
        required=("m", "a", "f", "d", "c", "v"),
    ),
)
