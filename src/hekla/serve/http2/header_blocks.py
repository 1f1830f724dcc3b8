"""Response header blocks as constants: HPACK without a dynamic table (RFC 7541), so that no state is shared."""

from collections.abc import Iterable

from hpack.table import HeaderTable

Headers = Iterable[tuple[bytes, bytes]]

# Sent before the first block after the peer shrank our table: "I use no dynamic table" (RFC 7541 section 4.2).
EMPTY_TABLE = b"\x20"

_EXACT = {entry: index for index, entry in enumerate(HeaderTable.STATIC_TABLE, 1)}
_NAMES = {entry[0]: index for index, entry in reversed(list(enumerate(HeaderTable.STATIC_TABLE, 1)))}


def encode_block(headers: Headers) -> bytes:
    """Return a header block: static entries by index, everything else literal, never indexed, never Huffman-coded."""
    return b"".join(_field(name, value) for name, value in headers)


def _field(name: bytes, value: bytes) -> bytes:
    index = _EXACT.get((name, value))
    if index is not None:
        return _integer(index, 7, 0x80)
    index = _NAMES.get(name)
    start = _integer(index, 4, 0) if index is not None else b"\0" + _integer(len(name), 7, 0) + name
    return start + _integer(len(value), 7, 0) + value


def _integer(value: int, bits: int, top: int) -> bytes:
    """RFC 7541 section 5.1."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([top | value])
    out = bytearray([top | limit])
    value -= limit
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
