"""Compressed request messages, bounded: a small message may not become a large one."""

import zlib

from hekla.base.errors import InputError, TooLargeError

_WINDOW_BITS = {"gzip": 31, "deflate": 15}  # "deflate" is the zlib format, as in HTTP


def decompress(message: bytes | memoryview, encoding: str, limit_bytes: int) -> bytes:
    """Return a message's own bytes.

    Errors: InputError for damaged data and for a compressed message in a call that named no encoding;
    TooLargeError if it would become longer than the limit.
    """
    bits = _WINDOW_BITS.get(encoding)
    if bits is None:
        raise InputError("a message is flagged as compressed but the call names no grpc-encoding", where="message")
    inflater = zlib.decompressobj(bits)
    try:
        plain = inflater.decompress(message, limit_bytes + 1)
    except zlib.error as error:
        raise InputError(f"damaged {encoding} data: {error}", where="message") from None
    if len(plain) > limit_bytes:
        raise TooLargeError("message", limit=f"{limit_bytes} bytes", got="more after decompression")
    if not inflater.eof or inflater.unused_data:
        raise InputError(f"damaged {encoding} data: it ends too early or goes on behind its end", where="message")
    return plain
