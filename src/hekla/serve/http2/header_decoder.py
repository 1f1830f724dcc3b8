"""Request header blocks to fields: the `hpack` library, and a short way for the blocks gRPC clients repeat.

After its first call a client sends almost only indexed fields, the same bytes each time. So decoded blocks are
remembered, by their bytes, until the dynamic table changes; and a block of indexed fields and of literals whose names
are indexed (a `grpc-timeout` say) is decoded here in one loop. All else goes to the library.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from hpack import Decoder, HPACKError, OversizedHeaderListError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from hekla.serve.http2.frames import DEFAULT_TABLE_SIZE, ConnectionFault, ErrorCode

Fields = list[tuple[bytes, bytes]]
Head = TypeVar("Head")

_STATIC = HeaderTable.STATIC_TABLE
_STATIC_SIZE = len(_STATIC)
_ENTRY_OVERHEAD = 32
# By the upper four bits of a field's first byte, the bits of its index: literal not added to the table (RFC 7541
# sections 6.2.2, 6.2.3), a change of the table's size (0: left to the library), literal added (6.2.1), indexed (6.1).
_INDEX_MASKS = (0x0F, 0x0F, 0, 0, 0x3F, 0x3F, 0x3F, 0x3F, *[0x7F] * 8)
_REMEMBERED = 128  # distinct blocks per connection; a client has one or two per method it calls
_REMEMBERED_BYTES = 1024


class HeaderDecoder(Generic[Head]):
    """The decoding side of one connection. `read` turns fields into what the application works with."""

    __slots__ = ("_decoder", "_has_added", "_limit", "_read", "remembered")

    def __init__(self, limit_bytes: int, read: Callable[[Fields], Head]) -> None:
        self._decoder = Decoder(max_header_list_size=limit_bytes)
        self._decoder.max_allowed_table_size = DEFAULT_TABLE_SIZE
        self._limit = limit_bytes
        self._read = read
        self._has_added = False  # by the block decoded last
        self.remembered: dict[bytes, Head] = {}  # looked up by the connection before it calls `decode`

    def decode(self, block: bytes) -> Head:
        """Return what `read` makes of a block's fields, and remember it where the same bytes will mean the same.

        Errors: ConnectionFault: the two tables no longer agree, or the list is over the limit.
        """
        fields = self._decode_shortly(block)
        if fields is None:
            return self._read(self.decode_fields(block))
        head = self._read(fields)
        if not self._has_added and len(block) <= _REMEMBERED_BYTES:
            if len(self.remembered) >= _REMEMBERED:
                self.remembered.clear()
            self.remembered[block] = head
        return head

    def decode_fields(self, block: bytes) -> Fields:
        """Return the fields of any block, by the library. Errors: ConnectionFault."""
        self.remembered.clear()  # the block may change the dynamic table, by which remembered ones were read
        try:
            return [(bytes(field[0]), bytes(field[1])) for field in self._decoder.decode(block, raw=True)]
        except OversizedHeaderListError as error:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, str(error)) from error
        # The library lets IndexError and the like through on some damaged blocks.
        except (HPACKError, IndexError, ValueError) as error:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, f"header block: {error}") from error

    def _decode_shortly(self, block: bytes) -> Fields | None:
        """Return a block's fields; None, with nothing changed, where the library must decide."""
        fields: Fields = []
        added: Fields = []
        table = self._decoder.header_table
        dynamic = table.dynamic_entries
        size = 0
        position, end = 0, len(block)
        try:
            while position < end:
                first = block[position]
                position += 1
                mask = _INDEX_MASKS[first >> 4]
                index = first & mask
                if index == mask:
                    if not mask:
                        return None
                    index += block[position]
                    if block[position] >= 0x80:
                        return None
                    position += 1
                # What is added moves the other entries; a block that goes on with those is the library's.
                if not index or (added and index > _STATIC_SIZE):
                    return None
                field = _STATIC[index - 1] if index <= _STATIC_SIZE else dynamic[index - 1 - _STATIC_SIZE]
                if first < 0x80:
                    value, position = _value(block, position)
                    field = (field[0], value)
                    if first >= 0x40:
                        added.append(field)
                fields.append(field)
                size += len(field[0]) + len(field[1]) + _ENTRY_OVERHEAD
        except (IndexError, HPACKError):
            return None
        if size > self._limit:
            return None
        self._has_added = bool(added)
        if added:
            self.remembered.clear()
            for name, value in added:
                table.add(name, value)
        return fields


def _value(block: bytes, position: int) -> tuple[bytes, int]:
    """Return a literal value and where the next field begins. Errors: IndexError where the library must decide."""
    length = block[position]
    start = position + 1
    stop = start + (length & 0x7F)
    if length & 0x7F == 0x7F or stop > len(block):
        raise IndexError(position)
    value = block[start:stop]
    return (decode_huffman(value) if length & 0x80 else value), stop
