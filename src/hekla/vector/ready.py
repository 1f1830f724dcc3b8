"""What the first search of a process needs besides the collection: loaded when a collection is opened.

Only code that the cache has is loaded, in two milliseconds; what would have to be compiled is left to the first search.
"""

from hekla.kernels.flat_search import SCORES
from hekla.kernels.graph_scan import split_keys
from hekla.kernels.graph_search import search_one
from hekla.vector.dense import cold_reads_of, graph_of
from hekla.vector.version import Version


def load_kernels(version: Version) -> None:
    """Load the kernels of an unfiltered search of each vector that has a graph."""
    for name in version.schema.vectors:
        for part in version.parts:
            index = graph_of(part, name)
            if index is not None:
                cold = cold_reads_of(part, name)
                if cold is not None:
                    cold.bring_roots()  # they come while the rest is loaded
                graph = index.graph
                search_one.load_kept(bits=graph.bits, own=graph.own, filtered=False)
                split_keys.load_kept()
                metric = graph.space.metric.name.lower()
                SCORES[metric, part.rows.dense[name].values.dtype.name][0].load_kept()
                break
