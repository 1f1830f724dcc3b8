"""What the headers of a gRPC call say."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hekla.serve.grpc.codes import Code, failure_head, http_failure
from hekla.serve.http2.header_decoder import Fields
from hekla.serve.http2.request_head import Malformed, RequestHead, read_request

if TYPE_CHECKING:
    from hekla.serve.grpc.method import Method

ENCODINGS = ("identity", "gzip", "deflate")
_UNIT_S = {ord("H"): 3600.0, ord("M"): 60.0, ord("S"): 1.0, ord("m"): 1e-3, ord("u"): 1e-6, ord("n"): 1e-9}


@dataclass(frozen=True, slots=True)
class CallHead:
    """The head of a call that can begin. Shared by all calls whose headers are the same bytes."""

    method: "Method"
    timeout_s: float  # 0: none
    encoding: str  # of messages that are flagged as compressed
    metadata: Mapping[str, str]  # custom fields; of repeated ones the last
    content_length: int  # -1: not said


@dataclass(frozen=True, slots=True)
class RefusedHead:
    """The head of a call that is answered at once with this block."""

    block: bytes


def read_head(fields: Fields, methods: Mapping[bytes, "Method"]) -> CallHead | RefusedHead | Malformed:
    """Return what a call's headers ask for."""
    request = read_request(fields)
    if isinstance(request, Malformed):
        return request
    if request.method != b"POST":
        return RefusedHead(http_failure(405, "gRPC calls are POST requests"))
    values = dict(request.fields)
    if not _is_grpc(values.get(b"content-type", b"")):
        return RefusedHead(http_failure(415, "the content-type of gRPC calls is application/grpc"))
    return _read_call(request, values, methods)


def _read_call(
    request: RequestHead, values: dict[bytes, bytes], methods: Mapping[bytes, "Method"]
) -> CallHead | RefusedHead:
    method = methods.get(request.path)
    if method is None:
        path = request.path.decode(errors="replace")
        return RefusedHead(failure_head(Code.UNIMPLEMENTED, f"unknown method {path}"))
    encoding = values.get(b"grpc-encoding", b"identity").decode("latin-1")
    if encoding not in ENCODINGS:
        known = ", ".join(ENCODINGS)
        return RefusedHead(failure_head(Code.UNIMPLEMENTED, f"unknown grpc-encoding {encoding!r}; known: {known}"))
    timeout = values.get(b"grpc-timeout")
    timeout_s = 0.0 if timeout is None else _timeout_s(timeout)
    if timeout_s < 0:
        return RefusedHead(failure_head(Code.INVALID_ARGUMENT, f"malformed grpc-timeout {timeout!r}"))
    if timeout is not None and not timeout_s:
        return RefusedHead(failure_head(Code.DEADLINE_EXCEEDED, "the time allowed is 0"))
    metadata = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in request.fields
        if not name.startswith(b"grpc-") and name not in (b"te", b"content-type", b"user-agent")
    }
    return CallHead(method, timeout_s, encoding, metadata, request.content_length)


def _is_grpc(content_type: bytes) -> bool:
    return content_type.startswith(b"application/grpc") and content_type[16:17] in (b"", b"+", b";")


def _timeout_s(value: bytes) -> float:
    """Return seconds; -1 unless it is 1 to 8 digits and a unit."""
    unit = _UNIT_S.get(value[-1], 0.0) if value else 0.0
    digits = value[:-1]
    if not unit or not 1 <= len(digits) <= 8 or not digits.isdigit():
        return -1.0
    return int(digits) * unit
