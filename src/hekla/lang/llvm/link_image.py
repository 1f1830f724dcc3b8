"""From a kernel's object file to the image that is mapped to run it."""

from collections.abc import Sequence

from hekla.base.errors import UnsupportedError
from hekla.lang.link.architectures import ARCHITECTURES
from hekla.lang.link.elf_read import read_object
from hekla.lang.link.layout import align_up, gather, place
from hekla.lang.link.program import Base, prepare
from hekla.lang.llvm.image import Image


def link_image(code: bytes, exports: Sequence[str]) -> Image:
    """Return the image of an object file; what it leaves undefined is taken from the process that maps it.

    Errors: UnsupportedError for a processor without a linker; those of hekla.lang.link.errors, which are our fault.
    """
    file = read_object(code, "the kernel's code")
    architecture = next((a for a in ARCHITECTURES.values() if (a.machine, a.bits) == (file.machine, file.bits)), None)
    if architecture is None:
        raise UnsupportedError(f"no kernel can be run on machine {file.machine} of ELF's list yet")
    undefined = {s.name for s in file.symbols if not s.is_defined}
    program = prepare([file], architecture, Base.LOADED, exports, {}, undefined)
    outputs = {o.name: o for o in gather(program.sections)}
    cursor = 0
    for name in (".rodata", ".text"):
        cursor = place(outputs[name], cursor) if name in outputs else cursor
    code_size = align_up(cursor, architecture.page)
    cursor = code_size
    for name in (".data", ".bss"):
        cursor = place(outputs[name], cursor) if name in outputs else cursor
    left = program.relocate()
    stored = [o for o in outputs.values() if not o.is_zeros]
    content = bytearray(max(o.address + o.size for o in stored))
    for output in stored:
        content[output.address : output.address + output.size] = output.content()
    return Image(
        bytes(content),
        align_up(max(cursor, code_size), architecture.page),
        code_size,
        tuple((name, program.names.find(name, "the product").address) for name in exports),
        tuple((d.place, d.symbol.name, d.addend) for d in left if d.symbol is not None),
        tuple((d.place, d.addend) for d in left if d.symbol is None),
    )
