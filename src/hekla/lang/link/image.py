"""A Cortex-M image: what flash holds from its first byte on, as bare bytes or as an ELF file for a debugger.

flash                          RAM
 0   vector table (64 bytes)    0     .data, copied from flash by the start code
64   code                       ...   .bss, cleared by it
...  constants                  ...   free
...  .data's first values       top   the stack, growing down
"""

from collections.abc import Sequence

from hekla.lang.link.architecture import Architecture
from hekla.lang.link.elf_write import EXECUTABLE, LOAD, Segment, elf_file, header_bytes
from hekla.lang.link.errors import MemoryFullError
from hekla.lang.link.layout import Output, align_up, gather, place
from hekla.lang.link.objects import ObjectFile, Symbol
from hekla.lang.link.program import Base, Program, prepare
from hekla.lang.link.start_thumb import VECTOR_SYMBOL, VECTORS
from hekla.lang.targets.memory import MemoryMap

_WORD = 4
_PROVIDED = ("__data_load", "__data_start", "__data_end", "__bss_start", "__bss_end", "__stack_top")
_READ_EXECUTE, _READ_WRITE = 5, 6


def image(
    objects: Sequence[ObjectFile], architecture: Architecture, memory: MemoryMap, *, elf: bool
) -> tuple[bytes, list[Output], int]:
    """Return the image, what is in it and how many bytes of flash it takes. Errors: MemoryFullError."""
    provided = {name: Symbol(name, None, 0, absolute=True) for name in _PROVIDED}
    program = prepare(objects, architecture, Base.FIXED, [VECTOR_SYMBOL, "_start"], provided)
    outputs, load = _lay_out(program, memory, provided)
    program.relocate()
    used = max((load if o.name == ".data" else o.address) + o.size for o in outputs if not o.is_zeros)
    used -= memory.flash_start
    if elf:
        entry = program.names.find("_start", "the product").address
        return _elf(architecture, entry, outputs, load, memory), outputs, used
    made = bytearray()
    for output in outputs:
        if not output.is_zeros:
            at = (load if output.name == ".data" else output.address) - memory.flash_start
            made += bytes(at - len(made)) + output.content()
    return bytes(made), outputs, used


def _lay_out(program: Program, memory: MemoryMap, provided: dict[str, Symbol]) -> tuple[list[Output], int]:
    """Set addresses and the linker's symbols; return the outputs and where .data lies in flash."""
    vectors = Output(VECTORS, [s for s in program.sections if s.name == VECTORS])
    found = {o.name: o for o in gather(s for s in program.sections if s.name != VECTORS)}
    outputs = [vectors, *(found[n] for n in (".text", ".rodata", ".data", ".bss") if n in found)]
    flash = memory.flash_start
    for output in outputs:
        if output.name not in (".data", ".bss"):
            flash = place(output, flash)
    load = align_up(flash, 8)
    ends = {".data": memory.ram_start, ".bss": memory.ram_start}
    starts = dict(ends)
    ram = memory.ram_start
    for name in ends:
        starts[name] = ends[name] = ram = align_up(ram, _WORD)
        if name in found:
            ram = align_up(place(found[name], ram), _WORD)
            found[name].size = ram - found[name].address
            starts[name], ends[name] = found[name].address, ram
    data = found.get(".data")
    used = load + data.size if data else flash
    _check("flash", used - memory.flash_start, memory.flash_bytes)
    _check("RAM, stack included", ram - memory.ram_start + memory.stack_bytes, memory.ram_bytes)
    values = (load, starts[".data"], ends[".data"], starts[".bss"], ends[".bss"], memory.ram_start + memory.ram_bytes)
    for name, value in zip(_PROVIDED, values, strict=True):
        provided[name].value = value
    return outputs, load


def _check(what: str, needed: int, available: int) -> None:
    if needed > available:
        raise MemoryFullError(what, needed, available)


def _elf(architecture: Architecture, entry: int, outputs: list[Output], load: int, memory: MemoryMap) -> bytes:
    fixed = [o for o in outputs if o.name not in (".data", ".bss")]
    moved = [o for o in outputs if o.name in (".data", ".bss")]
    start = align_up(header_bytes(architecture, 1 + bool(moved)), 128)
    for output in fixed:
        output.offset = start + output.address - memory.flash_start
    size = max(o.offset + o.size for o in fixed) - start
    segments = [Segment(LOAD, _READ_EXECUTE, start, memory.flash_start, memory.flash_start, size, size, 4)]
    if moved:
        first, last = moved[0], moved[-1]
        for output in moved:
            output.offset = start + load - memory.flash_start
        stored = 0 if first.is_zeros else first.size
        extent = last.address + last.size - first.address
        segments.append(Segment(LOAD, _READ_WRITE, first.offset, first.address, load, stored, extent, 4))
    return elf_file(architecture, EXECUTABLE, entry, segments, outputs)
