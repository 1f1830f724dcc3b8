"""gRPC status codes and the header blocks that carry them."""

import enum
import re

from hekla.serve.http2.header_blocks import encode_block


class Code(enum.IntEnum):
    """How a call ended (google.rpc.Code)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


_MAX_MESSAGE_BYTES = 4096  # of grpc-message: clients limit the headers they take, 8 KiB in grpc's core
_UNSAFE = re.compile(rb"[^\x20-\x24\x26-\x7e]")

_HEAD = ((b":status", b"200"), (b"content-type", b"application/grpc"))
RESPONSE_HEAD = encode_block(_HEAD)
TRAILERS_OK = encode_block([(b"grpc-status", b"0")])


def failure_trailers(code: Code, message: str, retry_after_s: float = 0.0) -> bytes:
    """Return the trailer block of a failed call; `retry_after_s` above 0 tells clients when to try again."""
    fields = [(b"grpc-status", b"%d" % code), (b"grpc-message", percent_encoded(message))]
    if retry_after_s > 0:
        fields.append((b"grpc-retry-pushback-ms", b"%d" % max(1, round(retry_after_s * 1000))))
    return encode_block(fields)


def failure_head(code: Code, message: str, retry_after_s: float = 0.0) -> bytes:
    """Return the only block of a call that failed before it answered anything ("Trailers-Only")."""
    block = encode_block(_HEAD) + failure_trailers(code, message, retry_after_s)
    if code is Code.UNIMPLEMENTED:
        block += encode_block([(b"grpc-accept-encoding", b"identity,deflate,gzip")])
    return block


def http_failure(status: int, message: str) -> bytes:
    """Return the head of an answer to something that is HTTP/2 but not gRPC."""
    return encode_block([(b":status", b"%d" % status), (b"grpc-status", b"2"), (b"grpc-message", message.encode())])


def percent_encoded(message: str) -> bytes:
    """Return a status message as the gRPC protocol writes it, cut at a limit."""
    encoded = message.encode(errors="replace")
    if len(encoded) > _MAX_MESSAGE_BYTES:
        encoded = encoded[:_MAX_MESSAGE_BYTES].decode(errors="ignore").encode() + b"..."
    return _UNSAFE.sub(lambda found: b"%%%02X" % found.group()[0], encoded)
