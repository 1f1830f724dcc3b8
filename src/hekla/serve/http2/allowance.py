"""How often a peer may do what costs it nothing and us something."""

import time
from collections.abc import Callable

from hekla.serve.http2.frames import ConnectionFault, ErrorCode


class Allowance:
    """A token bucket: `burst` at once, then `per_s`. The clock is read only when the burst is used up."""

    __slots__ = ("_burst", "_clock", "_left", "_per_s", "_read_s", "_what")

    def __init__(self, what: str, burst: int, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._what, self._burst, self._per_s, self._clock = what, burst, per_s, clock
        self._left = float(burst)
        self._read_s = clock()

    def spend(self) -> None:
        """Take one. Errors: ConnectionFault when none is left."""
        self._left -= 1
        if self._left < 0:
            now_s = self._clock()
            self._left = min(float(self._burst), self._left + (now_s - self._read_s) * self._per_s)
            self._read_s = now_s
            if self._left < 0:
                raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"too many {self._what}")
