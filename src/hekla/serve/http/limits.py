"""How much an HTTP client may send, and how long it may take."""

from dataclasses import dataclass

RECEIVE_BYTES = 16 * 1024  # the buffer of a connection: heads and small requests


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Beyond them a request is refused: 431, 413, 408."""

    head_bytes: int = RECEIVE_BYTES
    body_bytes: int = 64 * 1024 * 1024
    read_s: float = 30.0  # from the first byte of a request to its last, and twice that for a body over 1 MiB
    idle_s: float = 75.0  # between two requests
    linger_s: float = (
        2.0  # what follows a refused request is read and dropped for so long, that the client may read why
    )
