"""A TCP connection that sends exactly the bytes it is told to: what no client library would send."""

import json
import socket
from types import TracebackType
from typing import Any

TIMEOUT_S = 30.0


class RawConnection:
    """One connection to the HTTP door; reads whole responses."""

    def __init__(self, address: tuple[str, int], timeout_s: float = TIMEOUT_S) -> None:
        self.socket = socket.create_connection(address, timeout=timeout_s)
        self._unread = b""

    def __enter__(self) -> "RawConnection":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, *pieces: bytes) -> "RawConnection":
        """Send the pieces joined."""
        self.socket.sendall(b"".join(pieces))
        return self

    def end_sending(self) -> None:
        """Close the sending half: the server sees the end of the request."""
        self.socket.shutdown(socket.SHUT_WR)

    def read(self) -> "RawReply":
        """Read one response: status, headers, and the body its Content-Length states."""
        head = self._until(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        status = int(status_line.split(" ", 2)[1])
        length = int(headers.get("content-length", "0"))
        while len(self._unread) < length:
            self._more()
        body, self._unread = self._unread[:length], self._unread[length:]
        return RawReply(status, headers, body)

    def is_closed_by_server(self) -> bool:
        """Wait for the server's end of the connection; False if it sent something else instead."""
        if self._unread:
            return False
        try:
            self._unread = self.socket.recv(1)
        except ConnectionError:
            return True
        return self._unread == b""

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._unread:
            self._more()
        head, _, self._unread = self._unread.partition(mark)
        return head

    def _more(self) -> None:
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionError(f"the server closed the connection after {self._unread!r}")
        self._unread += piece


class RawReply:
    """One response."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    def json(self) -> Any:  # whatever the server sent: the test says what it expects
        """The body as JSON."""
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"RawReply({self.status}, {self.body[:400]!r})"


def post(path: str, body: bytes, *headers: str) -> bytes:
    """Return the bytes of a POST with that body and a right Content-Length."""
    return head("POST", path, f"Content-Length: {len(body)}", *headers) + body


def get(path: str, *headers: str) -> bytes:
    """Return the bytes of a GET."""
    return head("GET", path, *headers)


def head(method: str, path: str, *headers: str) -> bytes:
    """Return a request's head, with only the headers given beside Host."""
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: test", *headers, "", "")).encode("latin-1")
