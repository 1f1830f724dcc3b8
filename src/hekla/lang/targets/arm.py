"""Cortex-M7 with its double-precision FPU, without an operating system.

The default memory is that of a 1 MiB flash, 256 KiB RAM part; `dataclasses.replace` gives another one. Flash at 0 and
RAM at 0x20000000 are also what qemu's mps2-an500 board has.
"""

from hekla.lang.targets.memory import MemoryMap
from hekla.lang.targets.spec import TargetSpec

TARGETS = (
    TargetSpec(
        "thumb-cortex-m7",
        "thumb",
        "thumbv7em-unknown-none-eabihf",
        "cortex-m7",
        pointer_bits=32,
        vector_bits=0,
        required=("fp-armv8d16", "dsp"),
        memory=MemoryMap(0, 1 << 20, 0x2000_0000, 256 << 10, 8 << 10),
    ),
)
