"""Content codings: gzip and deflate in requests and answers (RFC 9110, section 8.4)."""

import gzip
import zlib
from dataclasses import replace

from hekla.base.errors import InputError, TooLargeError, UnsupportedError
from hekla.serve.http.message import Response

# Answers of these sizes are compressed for clients that ask: below it costs more than it saves, above it holds the
# event loop up.
_WORTH_BYTES = range(1024, 1 << 20)
_LEVEL = 1
_ZLIB_OR_GZIP = 32 + zlib.MAX_WBITS


def decode_body(body: memoryview, coding: bytes, limit_bytes: int) -> memoryview:
    """Return a body with its coding undone.

    Errors: UnsupportedError for an unknown coding, InputError for damaged data, TooLargeError if it unpacks to more
    than the limit (found out without unpacking the rest).
    """
    name = coding.strip().lower()
    if name == b"identity":
        return body
    if name not in (b"gzip", b"x-gzip", b"deflate"):
        raise UnsupportedError(
            f"coding {coding.decode('latin-1')!r}", where="header Content-Encoding", cure="known: gzip, deflate"
        )
    unpacker = zlib.decompressobj(_ZLIB_OR_GZIP)
    try:
        text = unpacker.decompress(body, limit_bytes + 1)
    except zlib.error as error:
        raise InputError(f"is not {name.decode()}: {error}", where="request body") from None
    if len(text) > limit_bytes:
        raise TooLargeError("request body, unpacked", limit=f"{limit_bytes} bytes", got="more")
    if not unpacker.eof:
        raise InputError(f"the {name.decode()} data end too early", where="request body")
    if unpacker.unused_data:
        raise InputError(f"{len(unpacker.unused_data)} bytes follow the {name.decode()} data", where="request body")
    return memoryview(text)


def encode_body(response: Response, accepted: bytes) -> Response:
    """Return the response in a coding the client accepts, if that is worth it."""
    coding = _choose(accepted)
    if not coding or sum(map(len, response.body)) not in _WORTH_BYTES:
        return response
    text = b"".join(response.body)
    packed = gzip.compress(text, _LEVEL, mtime=0) if coding == b"gzip" else zlib.compress(text, _LEVEL)
    headers = (*response.headers, (b"content-encoding", coding))
    return replace(response, body=(packed,), headers=headers)


def _choose(accepted: bytes) -> bytes:
    offers = {}
    for offer in accepted.lower().split(b","):
        name, _, weight = offer.strip().partition(b";")
        offers[name.strip()] = weight.replace(b" ", b"") not in (b"q=0", b"q=0.0", b"q=0.00", b"q=0.000")
    return next((name for name in (b"gzip", b"deflate") if offers.get(name)), b"")
