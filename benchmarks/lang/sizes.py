"""How large products are: static programs of every target, and what an image takes of flash and memory."""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.lang.hello import hello_floats, hello_tensor
from hekla.lang.kernel import Kernel
from hekla.lang.link.build import KINDS
from hekla.lang.products import build_product
from hekla.lang.targets.known import NAMES, target_named
from hekla.lang.targets.memory import MemoryMap

HEADS = ("target", "program", "file bytes", "stored bytes", "written-to bytes", "flash of image", "RAM of image")


@dataclass(frozen=True, slots=True)
class Size:
    """One program for one target; the last two are 0 where a target has no image."""

    target: str
    program: str
    file_bytes: int
    stored_bytes: int
    ram_bytes: int
    image_bytes: int = 0
    image_ram_bytes: int = 0

    def cells(self) -> list[str]:
        """Return what the table shows."""
        numbers = [self.file_bytes, self.stored_bytes, self.ram_bytes]
        image = [self.image_bytes, self.image_ram_bytes]
        return [self.target, self.program, *map(str, numbers), *(str(n) if n else "" for n in image)]


def sizes() -> Iterator[Size]:
    """Build each program for each target that has programs."""
    for name in NAMES:
        target = target_named(name)
        for program in (hello_tensor, hello_floats):
            if "executable" in KINDS[target.family]:
                yield _size(name, program, target.memory)


def _size(name: str, program: Kernel, memory: MemoryMap | None) -> Size:
    made = build_product(program, target=name, kind="executable")
    found = Size(name, program.__name__, len(made.content), made.flash_bytes, made.ram_bytes)
    if memory is None:
        return found
    image = build_product(program, target=name, kind="image")
    return Size(
        name,
        program.__name__,
        found.file_bytes,
        found.stored_bytes,
        found.ram_bytes,
        image.flash_bytes,
        image.ram_bytes,
    )
