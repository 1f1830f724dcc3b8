"""What the first search of a process needs besides the collection: looked for when a collection is opened.

Only code that the cache has is found, in some two milliseconds; what would have to be compiled is left to the first
search.
"""

from hekla.vector.near import graph_searcher
from hekla.vector.version import Version


def find_kernels(version: Version) -> None:
    """Find the kernel of searches of each vector that has a graph, filtered or not."""
    for name in version.schema.vectors:
        for part in version.parts:
            searcher = graph_searcher(part, name)
            if searcher is not None:
                searcher.find_kernel()
                break
