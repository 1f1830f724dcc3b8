"""Numbers in WebAssembly: LEB128, seven bits a byte, low ones first, the top bit set where more follow."""

from hekla.lang.link.errors import ObjectFormatError

_MAX_BYTES = 10  # of a 64-bit number


def unsigned(value: int) -> bytes:
    """Return the shortest unsigned form."""
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])


def signed(value: int) -> bytes:
    """Return the shortest signed form."""
    made = bytearray()
    while not -64 <= value < 64:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value & 0x7F])


def vector(items: list[bytes]) -> bytes:
    """Return a count and the items."""
    return unsigned(len(items)) + b"".join(items)


def text(value: str) -> bytes:
    """Return a length and UTF-8."""
    return unsigned(len(value.encode())) + value.encode()


class Cursor:
    """Reads forward through part of a file; only ObjectFormatError leaves it."""

    def __init__(self, data: bytes, where: str, position: int = 0, end: int | None = None) -> None:
        self.data, self.where, self.position = data, where, position
        self.end = len(data) if end is None else end
        if not 0 <= position <= self.end <= len(data):
            raise ObjectFormatError(where, f"a part from {position} to {self.end} lies outside the file")

    @property
    def is_done(self) -> bool:
        """True at the end."""
        return self.position >= self.end

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        if self.position + count > self.end:
            raise ObjectFormatError(self.where, f"it ends before byte {self.position + count}")
        self.position += count
        return self.data[self.position - count : self.position]

    def byte(self) -> int:
        """Return the next byte."""
        return self.take(1)[0]

    def number(self) -> int:
        """Return the next unsigned number."""
        value = 0
        for shift in range(0, 7 * _MAX_BYTES, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise ObjectFormatError(self.where, f"a number at {self.position} does not end")

    def signed_number(self) -> int:
        """Return the next signed number."""
        start = self.position
        value = self.number()
        bits = 7 * (self.position - start)
        return value - (1 << bits) if value >> (bits - 1) else value

    def text(self) -> str:
        """Return the next name."""
        return self.take(self.number()).decode("utf-8", "backslashreplace")

    def part(self) -> "Cursor":
        """Return a cursor over the next part, which starts with its size, and step over it."""
        size = self.number()
        made = Cursor(self.data, self.where, self.position, min(self.position + size, self.end))
        self.take(size)
        return made
