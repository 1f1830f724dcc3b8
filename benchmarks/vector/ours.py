"""Measure our indexes: python -m benchmarks.vector.ours SET.npz THREADS; one line of JSON for each variant."""

import sys
from functools import partial
from typing import Any

import numpy as np

from benchmarks.vector.measure import K, report, timed
from hekla.vector.index import GraphIndex, GraphOptions, Metric, build_graph

EFS = (10, 12, 14, 17, 20, 24, 28, 34, 40, 48, 56, 68, 80, 96, 112, 136, 160, 192, 224, 320, 448)


def main() -> None:
    with np.load(sys.argv[1]) as stored:
        rows, queries, nearest = stored["rows"], stored["queries"], stored["nearest"]
    threads = int(sys.argv[2])

    def measured(name: str, index: GraphIndex, took: tuple[float, float]) -> None:
        def search(ef: int, count: int) -> Any:  # Any: as measure.Search
            return index.search_many(queries, K, ef=ef, threads=count).rows

        report(name, "degree 32, ef swept", took, index.bytes_per_vector, search, EFS, nearest, threads)

    def built(bits: int, owns: tuple[int, ...]) -> None:
        """Measure a graph and its compact forms, and give their memory back."""
        index, took = timed(partial(build_graph, rows, Metric.L2, GraphOptions(bits=bits), threads=threads))
        measured(f"hekla, codes of {bits} bit{'s' * (bits > 1)} beside the node", index, took)
        for own in owns:
            small, more = timed(partial(index.compacted, own, threads=threads))
            measured(f"hekla compact, own codes of {own} bits", small, (took[0] + more[0], took[1] + more[1]))

    built(2, ())
    built(1, (16, 8, 4))


if __name__ == "__main__":
    main()
