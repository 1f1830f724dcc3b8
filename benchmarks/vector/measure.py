"""Measuring one index: build it, sweep its knob, and write what came of it. Imported by ours and by the peers' process.

Each point is (knob, recall@10, queries per CPU second, queries per second of the clock), best of several rounds. With
one thread on an idle machine both rates are the same; on a shared one the CPU's is what the code costs.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

K = 10
ROUNDS = 5

Search = Callable[[int], Any]  # Any: (q, K) row numbers, of whatever integer type the library has


def sweep(search: Search, knobs: Sequence[int], nearest: Any) -> list[tuple[int, float, float, float]]:  # Any: an array
    """Return a point for each knob, until recall no longer grows past 0.999."""
    points: list[tuple[int, float, float, float]] = []
    for knob in knobs:
        search(knob)
        clock = cpu = float("inf")
        for _ in range(ROUNDS):
            started, used = time.perf_counter(), time.process_time()
            found = search(knob)
            clock, cpu = min(clock, time.perf_counter() - started), min(cpu, time.process_time() - used)
        count = len(nearest)
        hits = sum(len(np.intersect1d(a, b)) for a, b in zip(found, nearest[:, :K], strict=True))
        points.append((knob, hits / (count * K), count / cpu, count / clock))
        if points[-1][1] > 0.999:
            break
    return points


def timed(make: Callable[[], Any]) -> tuple[Any, float]:  # Any: an index of any library
    """Return what is made and the CPU seconds it took."""
    used = time.process_time()
    made = make()
    return made, time.process_time() - used


def report(
    name: str, build_cpu_s: float, bytes_per_vector: float, points: list[tuple[int, float, float, float]]
) -> None:
    """Print one result as a line of JSON."""
    print(json.dumps({"name": name, "build_cpu_s": build_cpu_s, "bytes": bytes_per_vector, "points": points}))
    sys.stdout.flush()
