"""Measure our indexes: python -m benchmarks.vector.ours SET.npz THREADS; one line of JSON for each variant."""

import sys
from functools import partial

import numpy as np

from benchmarks.vector.measure import K, report, sweep, timed
from hekla.vector.index import GraphIndex, GraphOptions, Metric, build_graph

EFS = (10, 12, 14, 17, 20, 24, 28, 34, 40, 48, 56, 68, 80, 96, 112, 136, 160, 192, 224, 320, 448)


def main() -> None:
    stored = np.load(sys.argv[1])
    threads = int(sys.argv[2])
    rows, queries, nearest = stored["rows"], stored["queries"], stored["nearest"]

    def measured(name: str, index: GraphIndex, cpu: float) -> None:
        def search(ef: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.int64]]":
            return index.search_many(queries, K, ef=ef, threads=threads).rows

        report(name, cpu, index.bytes_per_vector, sweep(search, EFS, nearest))

    for bits in (2, 1):
        index, cpu = timed(partial(build_graph, rows, Metric.L2, GraphOptions(bits=bits), threads=threads))
        measured(f"hekla, codes of {bits} bit{'s' * (bits > 1)} beside the node", index, cpu)
    for own in (16, 8, 4):
        small, more = timed(partial(index.compacted, own, threads=threads))
        measured(f"hekla compact, own codes of {own} bits", small, cpu + more)


if __name__ == "__main__":
    main()
