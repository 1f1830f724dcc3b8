"""eBPF, instruction set version 3 (32-bit operations and jumps): what Linux has verified since 5.1.

The machine has no floating point and no vectors; LLVM ends the process when it meets one.
"""

from hekla.lang.targets.spec import TargetSpec

TARGETS = (TargetSpec("bpf", "bpf", "bpfel-unknown-none", "v3", vector_bits=0, generator_may_exit=True),)
