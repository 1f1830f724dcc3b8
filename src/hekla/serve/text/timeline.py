"""When the tokens of one answer came, and where their time went."""

from hekla.protocols.text_engine import TokenTimes

_KEPT = 4096  # tokens whose times are kept for a trace


class Timeline:
    """Seconds on the clock of `time.monotonic`."""

    __slots__ = ("finish_reason", "first_s", "last_s", "sent", "times", "tokens")

    def __init__(self) -> None:
        self.tokens = 0
        self.first_s = self.last_s = 0.0
        self.finish_reason = ""
        self.times: list[tuple[float, TokenTimes]] = []  # of traced requests: when each came, and its parts
        self.sent: list[float] = []  # of traced requests: how long handing each over took

    def token(self, now_s: float, times: TokenTimes | None) -> None:
        """Note a token."""
        if not self.tokens:
            self.first_s = now_s
        self.tokens += 1
        self.last_s = now_s
        if times is not None and len(self.times) < _KEPT:
            self.times.append((now_s, times))

    def end(self, reason: str) -> None:
        """Note why the answer is over."""
        self.finish_reason = reason
