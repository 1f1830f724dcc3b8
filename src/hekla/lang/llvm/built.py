"""A compiled kernel as the cache keeps it: all that is needed to call it, and no trace of how it was made.

offset  size  meaning
0       4     n, little-endian
4       n     JSON: [interface (interface.py), image without its content (llvm/image.py)]
4 + n   -     the image's content
"""

import json
import struct
from dataclasses import dataclass

from hekla.lang.interface import Interface
from hekla.lang.llvm.cache import CodeCache
from hekla.lang.llvm.image import Image

KIND = "image"
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Built:
    """A kernel ready to be loaded."""

    interface: Interface
    image: Image

    def keep(self, cache: CodeCache, key: str) -> None:
        """Write it to the cache, where that takes it."""
        head = json.dumps([self.interface.to_json(), self.image.to_json()], separators=(",", ":")).encode()
        cache.put(key, _LENGTH.pack(len(head)) + head + self.image.content, KIND)

    @staticmethod
    def kept(cache: CodeCache, key: str) -> "Built | None":
        """Return what was kept under a key, if anything."""
        content = cache.get(key, KIND)
        if content is None:
            return None
        begin = _LENGTH.size + _LENGTH.unpack_from(content)[0]
        interface, image = json.loads(content[_LENGTH.size : begin])
        return Built(Interface.from_json(interface), Image.from_json(image, content[begin:]))
