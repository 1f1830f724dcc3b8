"""Request header blocks to fields: the `hpack` library, and a short way for the blocks gRPC clients repeat.

After its first call a client sends almost only indexed fields, the same bytes each time. So decoded blocks are
remembered, by their bytes, until the dynamic table changes; and a block that changes no table (indexed fields and
literals without indexing, a `grpc-timeout` say) is decoded here in one loop. All else goes to the library.
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
_REMEMBERED = 128  # distinct blocks per connection; a client has one or two per method it calls
_REMEMBERED_BYTES = 1024


class HeaderDecoder(Generic[Head]):
    """The decoding side of one connection. `read` turns fields into what the application works with."""

    __slots__ = ("_decoder", "_limit", "_read", "remembered")

    def __init__(self, limit_bytes: int, read: Callable[[Fields], Head]) -> None:
        self._decoder = Decoder(max_header_list_size=limit_bytes)
        self._decoder.max_allowed_table_size = DEFAULT_TABLE_SIZE
        self._limit = limit_bytes
        self._read = read
        self.remembered: dict[bytes, Head] = {}  # looked up by the connection before it calls `decode`

    def decode(self, block: bytes) -> Head:
        """Return what `read` makes of a block's fields, and remember it where the same bytes will mean the same.

        Errors: ConnectionFault: the two tables no longer agree, or the list is over the limit.
        """
        fields = self._decode_without_table(block)
        if fields is None:
            head = self._read(self.decode_fields(block))
        else:
            head = self._read(fields)
            if len(block) <= _REMEMBERED_BYTES:
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

    def _decode_without_table(self, block: bytes) -> Fields | None:
        """Return the fields of a block that leaves the table as it is; None where the library must decide."""
        fields: Fields = []
        dynamic = self._decoder.header_table.dynamic_entries
        known = _STATIC_SIZE + len(dynamic)
        size = 0
        position, end = 0, len(block)
        while position < end:
            first = block[position]
            position += 1
            if first >= 0x80:  # indexed (RFC 7541 section 6.1)
                index = first & 0x7F
                if not 0 < index <= known or index == 0x7F:
                    return None
                field = _STATIC[index - 1] if index <= _STATIC_SIZE else dynamic[index - 1 - _STATIC_SIZE]
            elif first < 0x20:  # literal without indexing, or never indexed (6.2.2, 6.2.3)
                index = first & 0x0F
                if index == 0x0F:
                    if position >= end or block[position] >= 0x80:
                        return None
                    index = 0x0F + block[position]
                    position += 1
                if not 0 < index <= known:
                    return None  # a literal name: rare
                name = _STATIC[index - 1][0] if index <= _STATIC_SIZE else dynamic[index - 1 - _STATIC_SIZE][0]
                if position >= end:
                    return None
                length = block[position]
                start = position + 1
                position = start + (length & 0x7F)
                if length & 0x7F == 0x7F or position > end:
                    return None
                value = block[start:position]
                field = (name, _huffman(value)) if length & 0x80 else (name, value)
            else:
                return None
            fields.append(field)
            size += len(field[0]) + len(field[1]) + _ENTRY_OVERHEAD
        return fields if size <= self._limit else None


def _huffman(value: bytes) -> bytes:
    try:
        return decode_huffman(value)
    except HPACKError as error:
        raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, f"header block: {error}") from error
