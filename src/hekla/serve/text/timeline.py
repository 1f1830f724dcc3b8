"""When the tokens of one answer came, and where their time went."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from hekla.protocols.text_engine import TokenTimes

_KEPT = 4096  # tokens whose times are kept for a trace


class Timeline:
    """Seconds on the clock of `time.monotonic`."""

    __slots__ = ("finish_reason", "first_s", "last_s", "times", "tokens")

    def __init__(self) -> None:
        self.tokens = 0
        self.first_s = self.last_s = 0.0
        self.finish_reason = ""
        self.times: list[tuple[float, TokenTimes]] = []  # of traced requests: when each came, and its parts

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


@dataclass(frozen=True, slots=True)
class TextSpan:
    """A stretch of a request's time, on the clock of `time.monotonic`."""

    name: str
    start_s: float
    end_s: float
    attributes: Mapping[str, float] = field(default_factory=dict)


class Timed(Protocol):
    """A request whose tokens' times were kept."""

    @property
    def timelines(self) -> Sequence[Timeline]:
        """One per answer."""

    @property
    def sent(self) -> Sequence[tuple[float, float]]:
        """When tokens were sent, rising, and how long it took."""


def text_spans(request: Timed) -> Iterator[TextSpan]:
    """Yield the parts of a request's time: queue and prefill of each answer, then its tokens."""
    sent_s = [at_s for at_s, _ in request.sent]
    many = len(request.timelines) > 1
    for number, timeline in enumerate(request.timelines):
        of = f"answer {number}: " if many else ""
        for index, (came_s, times) in enumerate(timeline.times):
            made_s = times.decode_s + times.sample_s + times.detokenise_s
            if index == 0:
                read_s = came_s - made_s
                yield TextSpan(f"{of}queue", read_s - times.prefill_s - times.queue_s, read_s - times.prefill_s)
                yield TextSpan(f"{of}prefill", read_s - times.prefill_s, read_s)
            at = bisect_left(sent_s, came_s)
            send_s = request.sent[at][1] if at < len(sent_s) and sent_s[at] == came_s else 0.0
            yield TextSpan(
                f"{of}token {index}",
                came_s - made_s,
                came_s + send_s,
                {
                    "hekla.decode_s": times.decode_s,
                    "hekla.sample_s": times.sample_s,
                    "hekla.detokenise_s": times.detokenise_s,
                    "hekla.send_s": send_s,
                },
            )
