"""What gRPC clients may ask of the server."""

from dataclasses import dataclass, field

from hekla.serve.http2.limits import ConnectionLimits


@dataclass(frozen=True, slots=True)
class GrpcLimits:
    """Bounds of calls; `connection` bounds what lies below them."""

    max_message_bytes: int = 64 << 20  # of one request, after decompression too
    max_unfinished_bytes: int = 1 << 30  # of all messages being received, over all connections
    connection: ConnectionLimits = field(default_factory=ConnectionLimits)
