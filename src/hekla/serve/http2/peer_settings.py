"""What the peer's SETTINGS change (RFC 9113 section 6.5)."""

import struct
from collections.abc import Mapping

from hekla.serve.http2 import frames
from hekla.serve.http2.frames import ConnectionFault, ErrorCode
from hekla.serve.http2.sender import Sender
from hekla.serve.http2.stream import Stream


def apply_settings(payload: bytes, sender: Sender, streams: Mapping[int, Stream]) -> None:
    """Do what a SETTINGS frame says. Errors: ConnectionFault."""
    if len(payload) % 6:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS is not made of 6-byte entries")
    for name, value in struct.iter_unpack(">HI", payload):
        if name == frames.INITIAL_WINDOW_SIZE:
            _resize_windows(value, sender, streams)
        elif name == frames.MAX_FRAME_SIZE:
            if not frames.DEFAULT_FRAME_SIZE <= value <= frames.LARGEST_FRAME_SIZE:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"SETTINGS_MAX_FRAME_SIZE {value}")
            sender.max_frame = value
        elif name == frames.ENABLE_PUSH and value > 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"SETTINGS_ENABLE_PUSH {value}")
        elif name == frames.HEADER_TABLE_SIZE and value < frames.DEFAULT_TABLE_SIZE:
            sender.shrink_table = True


def _resize_windows(value: int, sender: Sender, streams: Mapping[int, Stream]) -> None:
    """Section 6.9.2: the change applies to open streams too, whose windows may become negative."""
    if value > frames.LARGEST_WINDOW:
        raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, f"SETTINGS_INITIAL_WINDOW_SIZE {value}")
    change = value - sender.initial_window
    sender.initial_window = value
    for stream in list(streams.values()):
        if not sender.widen_stream(stream, change):
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "a stream window above 2^31-1")
