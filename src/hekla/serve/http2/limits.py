"""What one connection may ask of the server."""

from dataclasses import dataclass

from hekla.base.errors import ConfigError
from hekla.serve.http2.frames import DEFAULT_FRAME_SIZE, DEFAULT_WINDOW, LARGEST_FRAME_SIZE, LARGEST_WINDOW


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds of one HTTP/2 connection; the defaults suit gRPC clients with tensors of some megabytes."""

    max_concurrent_streams: int = 1024
    stream_window_bytes: int = 16 << 20  # what a peer may send on one stream before it is let on
    connection_window_bytes: int = 64 << 20
    max_frame_bytes: int = 1 << 20
    max_header_list_bytes: int = 32 << 10  # decoded, 32 bytes of overhead a field (RFC 9113 section 10.5.1)
    control_frames_burst: int = 2000  # PING, SETTINGS, PRIORITY, empty DATA and the like, then `_per_s`
    control_frames_per_s: int = 500
    resets_burst: int = 1000  # streams the peer opens and resets ("rapid reset", CVE-2023-44487)
    resets_per_s: int = 200
    handshake_s: float = 10.0  # until the preface and SETTINGS came
    keepalive_s: float = 60.0  # of silence before the peer is asked whether it lives
    keepalive_timeout_s: float = 20.0  # for its answer

    def __post_init__(self) -> None:
        """Errors: ConfigError for what HTTP/2 cannot say."""
        if not DEFAULT_WINDOW <= self.connection_window_bytes <= LARGEST_WINDOW:
            raise ConfigError(f"must be {DEFAULT_WINDOW} to {LARGEST_WINDOW}", where="connection_window_bytes")
        if not 1 <= self.stream_window_bytes <= LARGEST_WINDOW:
            raise ConfigError(f"must be 1 to {LARGEST_WINDOW}", where="stream_window_bytes")
        if not DEFAULT_FRAME_SIZE <= self.max_frame_bytes <= LARGEST_FRAME_SIZE:
            raise ConfigError(f"must be {DEFAULT_FRAME_SIZE} to {LARGEST_FRAME_SIZE}", where="max_frame_bytes")
