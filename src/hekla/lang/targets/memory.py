"""The memory of a machine without an operating system."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MemoryMap:
    """Where things go; addresses and sizes in bytes. The stack is the top of RAM and grows down."""

    flash_start: int
    flash_bytes: int
    ram_start: int
    ram_bytes: int
    stack_bytes: int
