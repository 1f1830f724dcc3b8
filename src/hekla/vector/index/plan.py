"""Which way to search: what the planner weighs, in microseconds measured on one machine; only their ratios matter.

A walk through the graph reads about ef blocks for each passing node near the query: ef / share of nodes that pass. A
scan of what
passes reads the own vectors of just those. The walk may also be wrong: a filter can leave nothing near the query. So
it gets
a budget of what the scan costs, and the scan follows where that is used up: never more than twice the better way.
"""

import enum
import math
from dataclasses import dataclass

HOP_US = 0.4  # a block of 128-d: the wait for it, its estimates, the list
SCAN_US = 0.015  # an own vector of 128-d, 32 on their way from memory at a time
FLAT_US = 0.02  # a row of 128-d f32 of an array, in order
SMALL = 1000  # rows below which there is nothing to walk


class Way(enum.Enum):
    """How a search is done."""

    WALK = "graph"
    SCAN = "filter first"
    FLAT = "exact"


@dataclass(frozen=True, slots=True)
class Plan:
    """The way, why, and what each would cost in microseconds; max_hops bounds a walk before the scan takes over.

    passing: the rows that may be found.
    """

    way: Way
    passing: int
    walk_us: float
    scan_us: float
    max_hops: int

    def explain(self) -> str:
        """Return the reason in a sentence."""
        return f"{self.way.value}: a walk costs about {self.walk_us:.0f} us, a scan {self.scan_us:.0f} us"


def limits(rows: int, ef: int, width: int) -> tuple[int, float]:
    """Return the passing rows up to which a scan costs no more than a walk, and the hops that cost as much as one row.

    A search needs no more to choose, once it has counted what passes.
    """
    size = width / 128
    hop, row = HOP_US * (0.5 + 0.5 * size), SCAN_US * size
    return max(ef, math.isqrt(int(ef * rows * hop / row))), row / hop


def plan_graph(rows: int, passing: int, ef: int, width: int = 128) -> Plan:
    """Choose between walking a graph of `rows` nodes and scanning the `passing` ones."""
    most_scanned, hops_a_row = limits(rows, ef, width)
    scan = passing * SCAN_US * width / 128
    walk = ef * rows / passing * scan / (passing * hops_a_row) if passing else 0.0
    if passing == rows:
        return Plan(Way.WALK, rows, walk, scan, max_hops=2 * rows + 64)
    way = Way.SCAN if passing <= most_scanned else Way.WALK
    return Plan(way, passing, walk, scan, max_hops=int(passing * hops_a_row) + 64)


def plan_collection(rows: int, passing: int, ef: int, width: int = 128) -> Plan:
    """As `plan_graph`, with exact search of the whole array as a third way: for small collections."""
    plan = plan_graph(rows, passing, ef, width)
    flat = rows * FLAT_US * width / 128
    if rows <= SMALL or flat <= min(plan.walk_us, plan.scan_us):
        return Plan(Way.FLAT, passing, plan.walk_us, flat, plan.max_hops)
    return plan
