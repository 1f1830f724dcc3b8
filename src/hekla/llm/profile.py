"""Where the time of an answer goes: measured token by token, shown as text."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import Any

from hekla.llm.cpu_frequency import CpuFrequency, read_cpu_frequency
from hekla.protocols.text_engine import RequestId, Sampling, TextEngine, TextRequest, TokenTimes

STAGES = ("queue", "prefill", "decode", "sample", "detokenise", "engine")
LETTERS = {"queue": "q", "prefill": "p", "decode": "d", "sample": "s", "detokenise": "t", "engine": "e"}
_BAR = 60  # characters


@dataclass(frozen=True, slots=True)
class TokenProfile:
    """One token: its text, and seconds of each stage. `engine_s` is what is left of its step: planning, arrays."""

    text: str
    queue_s: float
    prefill_s: float
    decode_s: float
    sample_s: float
    detokenise_s: float
    engine_s: float

    def seconds(self, stage: str) -> float:
        """Return the time of one of the `STAGES`."""
        return float(getattr(self, f"{stage}_s"))

    @property
    def total_s(self) -> float:
        """All stages together."""
        return sum(self.seconds(stage) for stage in STAGES)


@dataclass(frozen=True, slots=True)
class Profile:
    """One answer."""

    model: str
    quantisation: str
    prompt_tokens: int
    cached_tokens: int
    tokens: tuple[TokenProfile, ...]
    frequency: CpuFrequency

    @property
    def first_token_s(self) -> float:
        """Time to the first token."""
        return self.tokens[0].total_s

    @property
    def prefill_tokens_per_s(self) -> float:
        """Prompt tokens computed a second; 0 where too few to tell."""
        taken = self.tokens[0].prefill_s
        return (self.prompt_tokens - self.cached_tokens) / taken if taken else 0.0

    @property
    def decode_tokens_per_s(self) -> float:
        """Tokens a second after the first; 0 for one token."""
        taken = sum(token.total_s for token in self.tokens[1:])
        return (len(self.tokens) - 1) / taken if taken else 0.0

    def document(self) -> dict[str, Any]:  # Any: JSON
        """Return it for programs."""
        return {
            **asdict(self),
            "first_token_s": self.first_token_s,
            "prefill_tokens_per_s": self.prefill_tokens_per_s,
            "decode_tokens_per_s": self.decode_tokens_per_s,
        }


def profile(
    engine: TextEngine,
    prompt: Sequence[int],
    *,
    max_tokens: int,
    sampling: Sampling,
    clock: Callable[[], float] = time.monotonic,
) -> Profile:
    """Answer one prompt on an engine that does nothing else, past end tokens. Errors: those of the engine."""
    engine.submit(
        TextRequest(
            RequestId(0), tuple(prompt), max_tokens, sampling, ignore_end=True, is_timed=True, received_s=clock()
        )
    )
    tokens: list[TokenProfile] = []
    cached, began = 0, clock()
    while engine.has_work:
        events = engine.step()
        ended = clock()
        for place, event in enumerate(events):
            if event.times is None:
                continue
            cached += event.cached_tokens
            # a step that brings several tokens is told with the first; the engine's own time is its remainder
            left = max(0.0, ended - began - sum(_inside_s(e.times) for e in events if e.times)) if place == 0 else 0.0
            tokens.append(_token(event.text, event.times, left))
            began = ended
    return Profile(engine.info.name, engine.info.quantisation, len(prompt), cached, tuple(tokens), read_cpu_frequency())


def _inside_s(times: TokenTimes) -> float:
    """Return the time that is told of, less the queue, which is before the first step."""
    return times.prefill_s + times.decode_s + times.sample_s + times.detokenise_s


def _token(text: str, times: TokenTimes, engine_s: float) -> TokenProfile:
    return TokenProfile(
        text, times.queue_s, times.prefill_s, times.decode_s, times.sample_s, times.detokenise_s, engine_s
    )


def stage_rows(found: Profile) -> list[tuple[str, str, str, str, str]]:
    """Return (stage, total, share, median, slowest twentieth); the last two are of tokens after the first."""
    total = sum(token.total_s for token in found.tokens) or 1.0
    rows = []
    for stage in STAGES:
        values = [token.seconds(stage) for token in found.tokens]
        later = values[1:] or values
        slow = quantiles(later, n=20)[-1] if len(later) > 1 else later[0]
        whole = sum(values)
        rows.append(
            (stage, milliseconds(whole), f"{whole / total:.1%}", milliseconds(median(later)), milliseconds(slow))
        )
    return rows


def flame(found: Profile, *, width: int = _BAR) -> list[str]:
    """Return a line for each token: a bar as long as it took, a letter a stage, and its text.

    The first token has a scale of its own: a prompt takes many times as long.
    """
    later = max((token.total_s for token in found.tokens[1:]), default=0.0) or 1.0
    lines = []
    for number, token in enumerate(found.tokens):
        scale = width / (token.total_s or 1.0 if number == 0 else later)
        bar, reached, drawn = "", 0.0, 0
        for stage in STAGES:
            reached += token.seconds(stage)
            until = round(reached * scale)
            bar += LETTERS[stage] * (until - drawn)
            drawn = until
        lines.append(f"{number + 1:4d} {milliseconds(token.total_s):>9} {bar:<{width}} {token.text!r}")
    return lines


def milliseconds(seconds: float) -> str:
    """Return a time as people read it."""
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-4 else f"{seconds * 1e6:.0f} us"
