"""A histogram with fixed bounds, cheap enough for every request."""

from bisect import bisect_left
from collections.abc import Sequence

# Seconds. Half-decade steps from 50 us (an inline call of a tiny model) to 10 s (a long batch under load).
LATENCY_BOUNDS_S = (
    5e-5,
    1e-4,
    2.5e-4,
    5e-4,
    1e-3,
    2.5e-3,
    5e-3,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
)
BATCH_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Histogram:
    """Counts of observations by upper bound. Written by one thread (the event loop's)."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)  # the last one counts what is over every bound
        self.total = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value that was seen `times` times."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    def observe_all(self, values: Sequence[float]) -> None:
        """Count each of several values."""
        bounds, counts = self.bounds, self.counts
        for value in values:
            counts[bisect_left(bounds, value)] += 1
        self.total += sum(values)

    @property
    def count(self) -> int:
        """How many observations there were."""
        return sum(self.counts)

    def cumulative(self) -> list[tuple[str, float]]:
        """Return (upper bound, observations at or below it), "+Inf" last, as Prometheus wants them."""
        rows: list[tuple[str, float]] = []
        running = 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            running += count
            rows.append((bound, float(running)))
        return rows

    def quantile(self, q: float) -> float:
        """Return the upper bound that the q-quantile lies under; 0 with no observations, the last bound beyond it."""
        wanted = q * self.count
        running = 0
        for bound, count in zip(self.bounds, self.counts, strict=False):
            running += count
            if running >= wanted and running:
                return bound
        return self.bounds[-1] if running or self.counts[-1] else 0.0
