"""What the load generator's parts say to one another: lanes carry requests, a driver decides when.

A lane has at most one request in flight. An HTTP/1.1 connection is one lane; an HTTP/2 connection carries several.
"""

from typing import Protocol

# The answer's HTTP status, or its gRPC status (0 is success in gRPC, 200 in HTTP), or one of the two below.
Code = int
DISCONNECTED: Code = -1
RESET: Code = -2


class Lane(Protocol):
    """A place for one request in flight."""

    sent_s: float  # when its request was due, on time.perf_counter()

    def send(self) -> None:
        """Write the request. Never waits. The driver hears of the answer, or of the connection's end, once."""


class Driver(Protocol):
    """Decides when lanes send."""

    def opened(self, lane: Lane) -> None:
        """A lane is ready for its first request."""

    def answered(self, lane: Lane, code: Code) -> None:
        """The lane's request was answered; the lane is free."""

    def closed(self, lane: Lane, is_waiting: bool) -> None:
        """The lane's connection ended, with a request unanswered if `is_waiting`. A new lane will open in its place."""
