"""python -m benchmarks.vector.codes: what a vector's own code costs and is worth, at 16, 8, 4 and 1 bit a coordinate.

The same vectors, one call a question from Python, one thread. 16, 8 and 4 bits are codes at a graph's nodes; found by
themselves, and ranked again by the vectors as they were given. One bit is the sign of a centred and rotated
coordinate: no graph is walked by it, so all are compared by Hamming distance and the best are ranked again.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.vector.__main__ import SETS, stored
from benchmarks.vector.database_tables import table
from benchmarks.vector.measure import K
from hekla.vector.index import GraphOptions, Metric, build_graph, search_flat

Find = Callable[[Any], Any]  # Any: a question (dimension,) f32; row numbers
Row = list[str]  # of the table
WHOLE = 0  # own codes of 16 bits with the neighbours' codes beside them


def timed(find: Find, queries: Any, nearest: Any) -> tuple[float, float, float]:  # Any: arrays
    """Return recall, and microseconds of a call: the median and the 99th percentile of the better of three rounds."""
    best = (float("inf"), float("inf"))
    hits = 0
    for _ in range(3):
        took, hits = [], 0
        for query, right in zip(queries, nearest, strict=True):
            started = time.perf_counter_ns()
            found = find(query)
            took.append((time.perf_counter_ns() - started) / 1e3)
            hits += len(np.intersect1d(found, right[:K]))
        best = min(best, (float(np.median(took)), float(np.percentile(took, 99))))
    return hits / (K * len(queries)), *best


def line(name: str, beside: str, size: float, find: Find, again: Find, queries: Any, nearest: Any) -> Row:
    """Return the cells of a row: found by the codes alone, and ranked again. Any: arrays."""
    cells = [name, beside, f"{size:.0f}"]
    for one in (find, again):
        recall, p50, p99 = timed(one, queries, nearest)
        cells += [f"{recall:.3f}", f"{p50:.0f} ({p99:.0f})"]
    return cells


def bit_rows(index: Any, vectors: Any) -> Any:  # Any: a GraphIndex; arrays
    """Return the signs of vectors in the graph's space, (n, width / 8) u8: centred, scaled and rotated."""
    space = index.space
    return np.packbits(space.rotated(space.prepared(vectors, "vectors")) > 0, axis=1)


def graph_lines(
    index: Any, beside: str, owns: tuple[int, ...], ef: int, rows: Any, asked: tuple[Any, Any]
) -> list[Row]:
    """Return a row for the graph itself, and one for each of its compact forms. Any: a GraphIndex; arrays."""
    lines = []
    for own in owns:
        some = index if own == WHOLE else index.compacted(own)

        def plain(query: Any, some: Any = some) -> Any:
            return some.search(query, K, ef=ef).rows

        def again(query: Any, some: Any = some) -> Any:
            return some.search(query, K, ef=ef, originals=rows).rows

        kind = ("16 bits", beside) if own == WHOLE else (f"{own} bits", "none")
        lines.append(line(*kind, some.bytes_per_vector, plain, again, *asked))
    return lines


def bit_line(index: Any, signs: Any, count: int, rows: Any, asked: tuple[Any, Any]) -> Row:
    """Return the row of one bit, of which so many are ranked again. Any: a GraphIndex; arrays."""

    def near(query: Any, many: int = K) -> Any:
        return search_flat(signs, bit_rows(index, query[None])[0], many, Metric.HAMMING).rows

    def again(query: Any) -> Any:
        some = near(query, count)
        distances = np.square(rows[some] - query).sum(axis=1)
        return some[np.argsort(distances, kind="stable")[:K]]

    return line("1 bit", f"no graph, best {count} of all", signs.shape[1], near, again, *asked)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vector.codes", description=__doc__)
    parser.add_argument("--set", choices=SETS, default="clustered")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--ef", type=int, default=48)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--best", default="128,512,2048", help="of one bit: how many are ranked again, with commas")
    options = parser.parse_args()
    with np.load(stored(options.set, options.rows)) as file:
        rows, asked = file["rows"], (file["queries"][: options.queries], file["nearest"][: options.queries])
    two = build_graph(rows, Metric.L2, GraphOptions(bits=2), threads=2)
    lines = graph_lines(two, "2 bits", (WHOLE,), options.ef, rows, asked)
    one = build_graph(rows, Metric.L2, GraphOptions(bits=1), threads=2)
    lines += graph_lines(one, "1 bit", (WHOLE, 16, 8, 4), options.ef, rows, asked)
    signs = bit_rows(one, rows)
    lines += [bit_line(one, signs, count, rows, asked) for count in map(int, options.best.split(","))]
    heads = ["own code", "neighbours' code", "bytes a vector", "recall@10", "us a call (p99)"]
    heads += ["recall@10, ranked again", "us a call (p99)"]
    shape = f"{len(rows):,} x {rows.shape[1]}"
    print(f"{options.set}, {shape}, ef {options.ef}, {len(asked[0])} questions\n\n{table(heads, lines)}")


if __name__ == "__main__":
    main()
