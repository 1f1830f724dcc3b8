"""The heads of answers, as bytes. What is the same for every answer of a kind is written once."""

from http import HTTPStatus

from hekla.serve.http.message import JSON, Response

_REASONS = {int(status): status.phrase for status in HTTPStatus}


def answer_start(response: Response) -> bytes:
    """Return how an answer starts, up to a place for the length of its body."""
    reason = _REASONS.get(response.status, "").encode()
    content_type = response.content_type.replace(b"%", b"%%")
    return b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\ncontent-length: %%d\r\n" % (response.status, reason, content_type)


STARTS = {
    (status, content_type): answer_start(Response(status, (), content_type))
    for status in _REASONS
    for content_type in (JSON, b"application/octet-stream")
}


def stream_head(response: Response, request_id: bytes | None, *, in_chunks: bool, closes: bool) -> bytes:
    """Return the head of an answer whose length is not known; without chunks its end is the connection's."""
    reason = _REASONS.get(response.status, "").encode()
    parts = [b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\n" % (response.status, reason, response.content_type)]
    for name, value in response.headers:
        parts.append(b"%b: %b\r\n" % (name, value))
    if request_id is not None:
        parts.append(b"x-request-id: %b\r\n" % request_id)
    if in_chunks:
        parts.append(b"transfer-encoding: chunked\r\n")
    if closes:
        parts.append(b"connection: close\r\n")
    parts.append(b"\r\n")
    return b"".join(parts)
