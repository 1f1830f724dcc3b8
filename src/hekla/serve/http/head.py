"""The head of a request: request line and header fields (RFC 9112, sections 2 to 6), and what it says of the body.

`httptools` (llhttp, Node's parser) judges the syntax, strictly; the rules that span several lines are here. Each head
gets a parser of its own, which sees nothing else: what a client sends behind a head cannot change how the next is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import httptools

from hekla.base.errors import HeklaError, InputError, UnsupportedError

_WHERE = "request head"


@dataclass(frozen=True, slots=True)
class Head:
    """What a request says before its body. Header names are lower-case; of a header sent twice the last one stands."""

    method: bytes
    path: bytes  # as sent, less the query
    query: bytes
    headers: Mapping[bytes, bytes]
    length: int  # of the body, 0 for a chunked one
    is_chunked: bool
    waits: bool  # for "100 Continue", before it sends the body
    keep_alive: bool
    is_http_1_0: bool
    coding: bytes | None  # of the body


NO_HEAD = Head(b"", b"", b"", {}, 0, False, False, False, False, None)


class HeadError(Exception):
    """A head that cannot be read: what follows it cannot either."""

    def __init__(self, error: HeklaError, status: int, path: bytes) -> None:
        self.error, self.status, self.path = error, status, path
        super().__init__(str(error))


def read_head(text: bytes | memoryview) -> Head:
    """Return what a head says; `text` ends with its empty line. Errors: HeadError with the HTTP status to answer."""
    fields = _Fields()
    parser = httptools.HttpRequestParser(fields)
    try:
        parser.feed_data(text)
    except httptools.HttpParserUpgrade:
        pass  # the client would go on in another protocol; it is answered in this one (RFC 9110, section 7.8)
    except httptools.HttpParserError as error:
        raise _broken(fields, f"not HTTP/1.1: {error}") from None
    version = parser.get_http_version()
    if fields.heads != 1 or version not in ("1.0", "1.1"):
        raise _broken(fields, "not HTTP/1.1")
    headers = fields.headers
    is_http_1_0 = version == "1.0"
    if fields.hosts != 1 and not (is_http_1_0 and not fields.hosts):
        raise _broken(fields, f"expected one Host header, got {fields.hosts}")
    coding = headers.get(b"transfer-encoding")
    if coding is not None and (coding.lower() != b"chunked" or is_http_1_0):
        shown = repr(coding[:64].decode("latin-1"))
        raise HeadError(UnsupportedError(f"no support for {shown}", where="header Transfer-Encoding"), 501, fields.path)
    path, _, query = fields.target.partition(b"?")
    wishes = {wish.strip() for wish in headers.get(b"connection", b"").lower().split(b",")}
    return Head(
        parser.get_method(),
        path,
        query,
        headers,
        int(headers.get(b"content-length", 0)),
        coding is not None,
        headers.get(b"expect", b"").lower() == b"100-continue" and not is_http_1_0,
        b"close" not in wishes and (not is_http_1_0 or b"keep-alive" in wishes),
        is_http_1_0,
        headers.get(b"content-encoding"),
    )


class _Fields:
    """What httptools tells of a head. Knows no parser: the two would be a ring that only the cycle collector frees."""

    def __init__(self) -> None:
        self.target = b""
        self.headers: dict[bytes, bytes] = {}
        self.heads = self.hosts = 0

    @property
    def path(self) -> bytes:
        return self.target.partition(b"?")[0]

    def on_url(self, url: bytes) -> None:
        self.target += url if url.startswith(b"/") or self.target else _origin_form(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        self.hosts += name == b"host"
        self.headers[name] = value.rstrip(b" \t")

    def on_headers_complete(self) -> None:
        self.heads += 1


def _broken(fields: _Fields, message: str) -> HeadError:
    return HeadError(InputError(message, where=_WHERE), 400, fields.path)


def _origin_form(target: bytes) -> bytes:
    """Return the path of a target in absolute form (`http://host/path?query`), which RFC 9112 wants understood."""
    _, found, rest = target.partition(b"://")
    if not found:
        return target
    slash = rest.find(b"/")
    return rest[slash:] if slash >= 0 else b"/"
