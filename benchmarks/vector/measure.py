"""Measuring one index: build it, sweep its knob, and write what came of it. Imported by ours and by the peers' process.

It is built with all the threads there are to be, and searched with one and with all of them. Each point is (knob,
recall@10, queries a second), best of several rounds: of processor time with one thread, which on a shared machine is
what the code costs and on an idle one the same as the clock's; of the clock with more.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

K = 10
ROUNDS = 5
MOST_S = 20.0  # for the rounds of one knob, after the first

Search = Callable[[int, int], Any]  # (knob, threads). Any: (q, K) row numbers, of whatever integer type they have
Points = list[tuple[int, float, float]]


def sweep(search: Search, knobs: Sequence[int], nearest: Any, threads: int) -> Points:  # Any: an array
    """Return a point for each knob, until recall no longer grows past 0.999."""
    clock = time.process_time if threads == 1 else time.perf_counter
    points: Points = []
    for knob in knobs:
        search(knob, threads)
        best, until = float("inf"), time.perf_counter() + MOST_S
        for _ in range(ROUNDS):
            started = clock()
            found = search(knob, threads)
            best = min(best, clock() - started)
            if time.perf_counter() > until:
                break
        count = len(nearest)
        hits = sum(len(np.intersect1d(a, b)) for a, b in zip(found, nearest[:, :K], strict=True))
        points.append((knob, hits / (count * K), count / best))
        if points[-1][1] > 0.999:
            break
    return points


def timed(make: Callable[[], Any]) -> tuple[Any, tuple[float, float]]:  # Any: an index of any library
    """Return what is made, and the seconds it took: of processor time and of the clock."""
    used, started = time.process_time(), time.perf_counter()
    made = make()
    return made, (time.process_time() - used, time.perf_counter() - started)


def report(
    name: str,
    settings: str,
    took: tuple[float, float],
    bytes_per_vector: float,
    search: Search,
    knobs: Sequence[int],
    nearest: Any,  # an array
    threads: int,
) -> None:
    """Sweep with one thread and with `threads`, and print one result as a line of JSON."""
    result = {
        "name": name,
        "settings": settings,
        "build_cpu_s": took[0],
        "build_s": took[1],
        "bytes": bytes_per_vector,
        "points": {count: sweep(search, knobs, nearest, count) for count in sorted({1, threads})},
    }
    print(json.dumps(result))
    sys.stdout.flush()
