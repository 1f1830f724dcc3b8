"""The chunked transfer coding (RFC 9112, section 7.1), for bodies whose length the client did not know.

    chunk   = size in hex [;extensions] CRLF  bytes CRLF
    last    = "0" CRLF  trailer fields  CRLF

Rare on the serving path, so it copies and stays plain. Strict: no bare LF, sizes of at most 16 hex digits.
"""

import re

from hekla.base.errors import InputError, TooLargeError

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?")
_LINE_BYTES = 4096  # longest size line or trailer


class ChunkedBody:
    """Takes pieces as they come; `complete` once the last chunk and the trailers were seen."""

    def __init__(self, limit_bytes: int) -> None:
        self.body = bytearray()
        self.complete = False
        self._limit_bytes = limit_bytes
        self._line = bytearray()  # an unfinished line
        self._missing = 0  # bytes of the present chunk still to come, its CRLF included
        self._in_trailers = False

    def feed(self, data: memoryview) -> int:
        """Take bytes; return how many belonged to this body.

        Errors: InputError for a broken coding, TooLargeError over the limit.
        """
        position = 0
        while position < len(data) and not self.complete:
            if self._missing:
                position += self._take(data[position:])
            else:
                position += self._take_line(data[position:])
        return position

    def _take(self, data: memoryview) -> int:
        piece = data[: self._missing]
        self.body += piece
        self._missing -= len(piece)
        if not self._missing:
            if self.body[-2:] != b"\r\n":
                raise InputError("a chunk does not end where its size says", where="request body")
            del self.body[-2:]
        return len(piece)

    def _take_line(self, data: memoryview) -> int:
        newline = bytes(data[: _LINE_BYTES + 2]).find(b"\n")
        piece = data if newline < 0 else data[: newline + 1]
        self._line += piece
        if len(self._line) > _LINE_BYTES:
            raise InputError("a chunk's size line or a trailer is too long", where="request body")
        if newline >= 0:
            if self._line[-2:] != b"\r\n":
                raise InputError("a line of the chunked coding ends without CR LF", where="request body")
            line = bytes(self._line[:-2])
            self._line.clear()
            self._line_ended(line)
        return len(piece)

    def _line_ended(self, line: bytes) -> None:
        if self._in_trailers:
            self.complete = not line
            return
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise InputError(f"{line[:32]!r} is not a chunk's size", where="request body")
        size = int(match[1], 16)
        if size == 0:
            self._in_trailers = True
        elif len(self.body) + size > self._limit_bytes:
            raise TooLargeError(
                "request body", limit=f"{self._limit_bytes} bytes", got="more", cure="see --max-body-mb"
            )
        else:
            self._missing = size + 2
