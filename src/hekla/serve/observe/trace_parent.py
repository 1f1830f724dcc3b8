"""The `traceparent` header of W3C Trace Context: `00-<trace, 32 hex digits>-<span, 16>-<flags, 2>`.

A header that is malformed is as good as none (section 3.2.2.2 to 3.2.2.5): nothing here raises.
"""

import re
from dataclasses import dataclass

# Version 00 ends after the flags; what a later version appends is passed over. There is no version ff.
_HEADER = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


@dataclass(frozen=True, slots=True)
class TraceParent:
    """A span somebody else made, or the one we made; `str` gives the header."""

    trace_id: str  # 32 hex digits, not all 0
    span_id: str  # 16 hex digits, not all 0
    flags: int  # bit 0: the trace is kept

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"


def read_trace_parent(header: str) -> TraceParent | None:
    """Return what a header says; None for no header, or one the standard says to ignore."""
    match = _HEADER.fullmatch(header)
    if match is None or not match[2].strip("0") or not match[3].strip("0") or (match[1] == "00" and match[5]):
        return None
    return TraceParent(match[2], match[3], int(match[4], 16))


def trace_id_of(header: str) -> str:
    """Return the trace a header belongs to; "" for no header or one to be ignored."""
    parent = read_trace_parent(header)
    return parent.trace_id if parent is not None else ""
