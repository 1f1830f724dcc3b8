"""Find the processor's record for a target's family."""

from hekla.lang.link.relocate_aarch64 import AARCH64
from hekla.lang.link.relocate_riscv import RISCV64
from hekla.lang.link.relocate_thumb import THUMB
from hekla.lang.link.relocate_x86 import X86_64

ARCHITECTURES = {"x86-64": X86_64, "aarch64": AARCH64, "riscv64": RISCV64, "thumb": THUMB}
