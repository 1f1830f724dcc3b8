"""Times of several callables in turns, in one process: what disturbs one disturbs all."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Call = Callable[[], Any]  # Any: the result is not looked at
ROUND_S = 2e-4  # one measurement lasts at least this long, far above the resolution of the clock
LEAST_ROUNDS = 7


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one call: the best round and the one in the middle."""

    best: float
    median: float

    @property
    def spread(self) -> float:
        """How much slower the round in the middle was than the best."""
        return self.median / self.best - 1


def time_in_turns(calls: Sequence[Call], seconds: float) -> list[Timing]:
    """Run each call for `seconds` in all, round by round in turns, and return their timings."""
    counts = [_calls_of_a_round(c) for c in calls]
    found: list[list[float]] = [[] for _ in calls]
    end = time.perf_counter() + seconds * len(calls)
    while time.perf_counter() < end or len(found[0]) < LEAST_ROUNDS:
        for call, count, times in zip(calls, counts, found, strict=True):
            times.append(_round(call, count) / count)
    return [Timing(min(times), statistics.median(times)) for times in found]


def _calls_of_a_round(call: Call) -> int:
    call()  # the first call may compile, load or allocate
    count = 1
    while (spent := _round(call, count)) < ROUND_S:
        count = max(count + 1, int(count * 1.2 * ROUND_S / max(spent, 1e-8)))
    return count


def _round(call: Call, count: int) -> float:
    turns = range(count)
    start = time.perf_counter()
    for _ in turns:
        call()
    return time.perf_counter() - start
