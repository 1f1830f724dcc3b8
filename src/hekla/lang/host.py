"""Which machine this process runs on, told from the system and not by LLVM, whose library takes 25 ms to load."""

import platform
from functools import cache
from pathlib import Path

# What decides which instructions LLVM uses, by the kernel's names for x86, Arm and RISC-V; the rest changes as it runs.
_TELLING = frozenset(
    {
        "vendor_id", "cpu family", "model", "model name", "stepping", "flags",
        "features", "cpu implementer", "cpu architecture", "cpu variant", "cpu part", "cpu revision",
        "isa", "mmu", "uarch", "mvendorid", "marchid", "mimpid",
    }
)  # fmt: skip
_BLOCK_BYTES = 16384  # the first processor's lines; the file is made as it is read, and long where processors are many


def processor(root: Path) -> str:
    """Return a text that differs where processors differ in what they can do; empty where /proc does not say."""
    try:
        with (root / "proc/cpuinfo").open("rb") as file:
            block = file.read(_BLOCK_BYTES).decode(errors="replace").split("\n\n")[0]
    except OSError:
        return ""
    lines = (line.partition(":") for line in block.splitlines())
    told = [f"{name.strip().lower()}={value.strip()}" for name, _, value in lines if name.strip().lower() in _TELLING]
    return "\n".join([platform.machine(), *told]) if told else ""


@cache
def this_processor() -> str:
    """Return `processor` of this machine."""
    return processor(Path("/"))
