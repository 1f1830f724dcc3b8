"""What can go wrong between LLVM text and a product.

HeklaError
├── LinkError                        the product is refused
│   ├── AssembleError                LLVM refuses the text for this target; carries LLVM's words
│   ├── ObjectFormatError            an object file is damaged, or not what the linker reads
│   ├── UndefinedSymbolError         a name is used and nobody defines it
│   ├── DuplicateSymbolError         two objects define one name
│   ├── RelocationOverflowError      the distance or address does not fit its field
│   ├── UnsupportedRelocationError   a relocation this linker does not do, or that this kind of product cannot hold
│   └── MemoryFullError              the program is larger than the target's flash or memory
└── UnsupportedError
    └── UnsupportedProductError      this target has no product of that kind
"""

from hekla.base.errors import HeklaError, UnsupportedError


class LinkError(HeklaError):
    """The product is refused."""


class AssembleError(LinkError):
    """LLVM refuses the text for this target."""


class ObjectFormatError(LinkError):
    """An object file is damaged, or not what the linker reads."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(problem, where=where)


class UndefinedSymbolError(LinkError):
    """A name is used and nobody defines it."""

    def __init__(self, symbol: str, *, used_in: str) -> None:
        self.symbol, self.used_in = symbol, used_in
        super().__init__(f"undefined symbol {symbol!r}", where=used_in, cure="define it, or remove what calls it")


class DuplicateSymbolError(LinkError):
    """Two objects define one name."""

    def __init__(self, symbol: str, first: str, second: str) -> None:
        self.symbol, self.first, self.second = symbol, first, second
        super().__init__(f"symbol {symbol!r} is defined in {first} and in {second}", cure="rename one of them")


class RelocationOverflowError(LinkError):
    """The distance or address does not fit its field."""

    def __init__(self, relocation: str, symbol: str, section: str, offset: int, value: int, why: str) -> None:
        self.relocation, self.symbol, self.section, self.offset, self.value = relocation, symbol, section, offset, value
        super().__init__(f"{relocation} to {symbol!r}: {value:#x} {why}", where=f"{section}+{offset:#x}")


class UnsupportedRelocationError(LinkError):
    """A relocation this linker does not do, or that this kind of product cannot hold."""

    def __init__(self, relocation: str, symbol: str, section: str, offset: int, why: str) -> None:
        self.relocation, self.symbol, self.section, self.offset = relocation, symbol, section, offset
        super().__init__(f"{relocation} to {symbol!r} {why}", where=f"{section}+{offset:#x}")


class MemoryFullError(LinkError):
    """The program is larger than the target's flash or memory."""

    def __init__(self, memory: str, needed: int, available: int) -> None:
        self.memory, self.needed, self.available = memory, needed, available
        super().__init__(f"the program needs {needed} bytes of {memory}, the target has {available}")


class UnsupportedProductError(UnsupportedError):
    """This target has no product of that kind."""
