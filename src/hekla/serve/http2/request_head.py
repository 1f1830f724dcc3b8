"""A request's header fields, checked as RFC 9113 section 8.2 and 8.3 ask."""

import re
from dataclasses import dataclass

from hekla.serve.http2.header_decoder import Fields

# Field names in lower case without separators (section 8.2.1); values without NUL, CR and LF.
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_BAD_VALUE = re.compile(rb"[\0\r\n]|^[ \t]|[ \t]$")
_CONNECTION_FIELDS = frozenset({b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"})
_REQUIRED = frozenset({b":method", b":scheme", b":path"})
_PSEUDO = _REQUIRED | {b":authority"}


@dataclass(frozen=True, slots=True)
class Malformed:
    """A head that must not be processed (section 8.1.1): the stream is reset."""

    reason: str


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A well-formed head. `fields` are the regular ones, in order."""

    method: bytes
    path: bytes
    authority: bytes
    fields: Fields
    content_length: int = -1  # -1: not said


def read_request(fields: Fields) -> RequestHead | Malformed:
    """Return the head the fields make, or why they make none."""
    pseudo: dict[bytes, bytes] = {}
    regular: Fields = []
    for name, value in fields:
        if _BAD_VALUE.search(value):
            return Malformed(f"value of {name!r}")
        if name[:1] == b":":
            if regular or name in pseudo or name not in _PSEUDO:
                return Malformed(f"pseudo-header {name!r}")
            pseudo[name] = value
        elif reason := _fault_of(name, value):
            return Malformed(reason)
        else:
            regular.append((name, value))
    if not pseudo.keys() >= _REQUIRED or not pseudo[b":path"]:
        return Malformed("a pseudo-header is missing")
    lengths = {value for name, value in regular if name == b"content-length"}
    if len(lengths) > 1 or not all(value.isdigit() and len(value) < 19 for value in lengths):
        return Malformed("content-length")
    length = int(lengths.pop()) if lengths else -1
    return RequestHead(pseudo[b":method"], pseudo[b":path"], pseudo.get(b":authority", b""), regular, length)


def fault_of_trailers(fields: Fields) -> str:
    """Return what is wrong with a request's trailers, "" if nothing."""
    for name, value in fields:
        if name[:1] == b":":
            return f"pseudo-header {name!r} in trailers"
        if reason := _fault_of(name, value):
            return reason
    return ""


def _fault_of(name: bytes, value: bytes) -> str:
    if not _NAME.fullmatch(name):
        return f"field name {name!r}"
    if name in _CONNECTION_FIELDS or (name == b"te" and value != b"trailers"):
        return f"connection-specific field {name!r}"
    return ""
