"""What readers of text had to wait for, per tenant: counted since the model was loaded, and over the last minute."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from hekla.serve.observe.histogram import Histogram

# Seconds, finer than those of tensors: a reader sees the difference between 20 and 40 ms a token.
WAIT_BOUNDS_S = (
    *(0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75),
    *(1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 20.0, 60.0),
)
SPEED_BOUNDS = (1, 2, 5, 10, 15, 20, 30, 40, 50, 75, 100, 150, 200, 300, 500, 1000, 2000, 5000)  # tokens a second
HALF_S = 30.0  # the recent past is the half minute before this one, and this one
_MAX_TENANTS = 64
OTHERS = "(others)"  # the tenants beyond


class Recent:
    """A histogram of the last half to whole minute."""

    __slots__ = ("_bounds", "_ends_s", "before", "now")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.before, self.now = Histogram(bounds), Histogram(bounds)
        self._ends_s = 0.0

    def observe(self, value: float, now_s: float, times: int = 1) -> None:
        """Count a value."""
        if now_s >= self._ends_s:
            self._turn(now_s)
        self.now.observe(value, times)

    def quantile(self, q: float, now_s: float) -> float | None:
        """Return the q-quantile, interpolated within its bucket; None where nothing was seen."""
        if now_s >= self._ends_s:
            self._turn(now_s)
        counts = [a + b for a, b in zip(self.before.counts, self.now.counts, strict=True)]
        wanted, running, low = q * sum(counts), 0, 0.0
        if not wanted:
            return None
        for bound, count in zip((*self._bounds, self._bounds[-1]), counts, strict=True):
            if count and running + count >= wanted:
                return low + (bound - low) * (wanted - running) / count
            running += count
            low = bound
        return low

    def total(self, now_s: float) -> float:
        """Return the sum of what was seen."""
        if now_s >= self._ends_s:
            self._turn(now_s)
        return self.before.total + self.now.total

    def _turn(self, now_s: float) -> None:
        gone = now_s - self._ends_s >= HALF_S
        self.before = Histogram(self._bounds) if gone else self.now
        self.now = Histogram(self._bounds)
        self._ends_s = now_s + HALF_S if gone else self._ends_s + HALF_S


@dataclass(slots=True)
class TenantStatistics:
    """One tenant's requests to one version of a model. Written on the event loop only. Seconds."""

    first_token_s: Histogram = field(default_factory=lambda: Histogram(WAIT_BOUNDS_S))  # from the request's last byte
    between_tokens_s: Histogram = field(default_factory=lambda: Histogram(WAIT_BOUNDS_S))
    duration_s: Histogram = field(default_factory=lambda: Histogram(WAIT_BOUNDS_S))  # of answers, to the last token
    prompt_tokens: int = 0
    cached_tokens: int = 0  # of them
    answer_tokens: int = 0
    finished: Counter[str] = field(default_factory=Counter)  # answers by finish reason
    recent_first_s: Recent = field(default_factory=lambda: Recent(WAIT_BOUNDS_S))
    recent_between_s: Recent = field(default_factory=lambda: Recent(WAIT_BOUNDS_S))
    recent_speed: Recent = field(default_factory=lambda: Recent(SPEED_BOUNDS))  # tokens a second, of each answer
    _seconds: dict[int, int] = field(default_factory=dict)  # tokens by second, of the last ten

    def began(self, waited_s: float, now_s: float, cached_tokens: int) -> None:
        """Count a first token."""
        self.first_token_s.observe(waited_s)
        self.recent_first_s.observe(waited_s, now_s)
        self.cached_tokens += cached_tokens
        self._count(now_s)

    def went_on(self, waited_s: float, now_s: float) -> None:
        """Count a further token."""
        self.between_tokens_s.observe(waited_s)
        self.recent_between_s.observe(waited_s, now_s)
        self._count(now_s)

    def ended(self, reason: str, duration_s: float, tokens: int, writing_s: float, now_s: float) -> None:
        """Count an answer that is whole; `writing_s` is from its first token to its last."""
        self.finished[reason] += 1
        self.duration_s.observe(duration_s)
        if tokens > 1 and writing_s > 0:
            self.recent_speed.observe((tokens - 1) / writing_s, now_s)

    def tokens_per_s(self, now_s: float) -> float:
        """Return the tokens written a second, over the last whole seconds."""
        second = int(now_s)
        return sum(tokens for at, tokens in self._seconds.items() if second - 5 <= at < second) / 5

    def _count(self, now_s: float) -> None:
        self.answer_tokens += 1
        second = int(now_s)
        if second in self._seconds:
            self._seconds[second] += 1
            return
        self._seconds[second] = 1
        for old in [at for at in self._seconds if at < second - 10]:
            del self._seconds[old]


class TextStatistics:
    """Tenants by name; beyond 64 the later ones are counted as one, so that nobody fills the memory with names."""

    def __init__(self) -> None:
        self._tenants: dict[str, TenantStatistics] = {}

    def of(self, tenant: str) -> TenantStatistics:
        """Return a tenant's counters."""
        found = self._tenants.get(tenant)
        if found is None:
            name = tenant if len(self._tenants) < _MAX_TENANTS else OTHERS
            found = self._tenants.setdefault(name, TenantStatistics())
        return found

    def __iter__(self) -> Iterator[tuple[str, TenantStatistics]]:
        return iter(tuple(self._tenants.items()))
