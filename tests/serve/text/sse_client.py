"""A reader of server-sent events over a raw socket, which can be slow, or go away."""

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.running_server import RunningServer

# Any: JSON documents.
Json = dict[str, Any]


class EventReader:
    """One streamed answer."""

    def __init__(self, server: RunningServer, path: str, document: Json, receive_bytes: int = 0) -> None:
        self._connection = http.client.HTTPConnection(*server.host_and_port, timeout=30)
        self._connection.connect()
        if receive_bytes:
            assert self._connection.sock is not None
            self._connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self._connection.request("POST", path, json.dumps({**document, "stream": True}))
        self.response = self._connection.getresponse()
        self.status = self.response.status

    def events(self) -> Iterator[Json]:
        """Yield documents until the end of the stream; [DONE] must be the last event."""
        is_done = False
        for line in self.response:
            if not line.startswith(b"data: "):
                continue
            assert not is_done, "nothing follows [DONE]"
            content = line.removeprefix(b"data: ").strip()
            if content == b"[DONE]":
                is_done = True
            else:
                yield json.loads(content)

    def close(self) -> None:
        """Go away."""
        self.response.close()
        self._connection.close()


@contextlib.contextmanager
def reading(server: RunningServer, path: str, document: Json, receive_bytes: int = 0) -> Iterator[EventReader]:
    """Read an answer, and go away at the end."""
    reader = EventReader(server, path, document, receive_bytes)
    try:
        yield reader
    finally:
        reader.close()


def board_row(server: RunningServer, model: str) -> Json:
    """Return a model's row of the SLA board."""
    rows = server.request("GET", "/sla").json()["models"]
    row: Json = next(row for row in rows if row["model"] == model)
    return row


def wait_for(server: RunningServer, model: str, wanted: Callable[[Json], bool] | None = None, **equal: object) -> Json:
    """Ask for the board until a model's row says what is wanted, for at most a minute."""
    row: Json = {}
    until_s = time.monotonic() + 60
    while time.monotonic() < until_s:
        row = board_row(server, model)
        if all(row[key] == value for key, value in equal.items()) and (wanted is None or wanted(row)):
            return row
    raise AssertionError(f"never {equal}: {row}")
