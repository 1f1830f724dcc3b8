"""A flat binary: code first, the entry at byte 0, then constants and data; it runs on any page of memory.

It must start at a multiple of 4096 bytes (AArch64 addresses data by pages).

offset         meaning
0              the entry's section, then all other code
aligned        read-only data
aligned        data
end of file    zeros: the loader adds `zero_bytes` zero bytes behind the file; all must be mapped writable where used

Nothing may store an address: a relocation that does is refused by name.
"""

from collections.abc import Sequence

from hekla.lang.link.architecture import Architecture
from hekla.lang.link.errors import LinkError
from hekla.lang.link.layout import Output, gather, place
from hekla.lang.link.objects import ObjectFile
from hekla.lang.link.program import Base, prepare


def flat(objects: Sequence[ObjectFile], architecture: Architecture, entry: str) -> tuple[bytes, list[Output]]:
    """Return the bytes and what is in them."""
    program = prepare(objects, architecture, Base.ANYWHERE, [entry], {})
    found = {o.name: o for o in gather(program.sections)}
    outputs = [found[name] for name in (".text", ".rodata", ".data", ".bss") if name in found]
    cursor = 0
    for output in outputs:
        cursor = place(output, cursor)
        output.offset = output.address
    program.relocate()
    if program.names.find(entry, "the product").address != 0:
        raise LinkError(f"{entry!r} is not at the start of its section", cure="make every other function internal")
    stored = [o for o in outputs if not o.is_zeros]
    made = bytearray(max(o.address + o.size for o in stored))
    for output in stored:
        made[output.address : output.address + output.size] = output.content()
    return bytes(made), outputs
