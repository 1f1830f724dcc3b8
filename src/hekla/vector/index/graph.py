"""A graph index as a value: built once, searched from any thread, never changed."""

import contextlib
import mmap
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hekla.base.errors import UnsupportedError
from hekla.kernels.graph_compact import OWN_BITS, compact_blocks, compact_words
from hekla.vector.index.found import Bitmap, Found, FoundMany
from hekla.vector.index.plan import Plan
from hekla.vector.index.searcher import Graph, Numbers, Searcher, plan_of
from hekla.vector.index.space import Space

HUGE_PAGE_BYTES = 2 << 20


class GraphIndex:
    """Finds nearest rows by walking a graph whose nodes hold codes of all their neighbours.

    Rows are numbered as they were given. Threads may search at the same time; the interpreter lock is free meanwhile.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._last: tuple[Numbers | None, Searcher] = (None, Searcher(graph))  # by the originals asked for

    def __len__(self) -> int:
        return len(self.graph)

    @property
    def space(self) -> Space:
        """Metric, dimension and what the vectors went through."""
        return self.graph.space

    @property
    def bytes_per_vector(self) -> float:
        """Bytes of blocks and roots for each vector."""
        graph = self.graph
        return (graph.blocks.nbytes + graph.roots.nbytes) / max(1, len(graph))

    def search(
        self,
        query: Numbers,
        k: int,
        *,
        ef: int = 64,
        allowed: Bitmap | None = None,
        dead: Bitmap | None = None,
        deadline_s: float | None = None,
        originals: Numbers | None = None,
    ) -> Found:
        """Return the k nearest rows of a query, (dimension,).

        ef: how many candidates are kept; the larger, the better the recall and the slower. At least k is used.
        allowed: bitmap over rows (`bitmap_of`); a row is found only if its bit is set. dead: the opposite. Either may
        be
        shorter than there are rows: those past its end are not allowed, and not dead.
        originals: the rows as they were given, (n, dimension) f32, f16 or i8, mapped or in memory: somewhat more than
        k are found, and those re-ranked by exact distances. Without them distances are as exact as f16 is, about 1e-3.
        deadline_s: seconds from now; when they are over, the best so far comes back with is_complete False.
        Errors: ShapeError; InputError for k or ef below 1, NaN or infinity in the query.
        """
        searcher = self.searcher(originals)
        return searcher.one(query, k, ef=ef, allowed=allowed, dead=dead, deadline_s=deadline_s)

    def searcher(self, originals: Numbers | None = None, ids: NDArray[np.uint64] | None = None) -> Searcher:
        """Return what searches this graph for the rows of these originals and ids, time and again."""
        last = self._last
        if ids is None and last[0] is originals:  # most callers ask for the same again
            return last[1]
        made = Searcher(self.graph, originals=originals, ids=ids)
        if ids is None:
            self._last = (originals, made)
        return made

    def search_many(
        self,
        queries: Numbers,
        k: int,
        *,
        ef: int = 64,
        allowed: Bitmap | None = None,
        dead: Bitmap | None = None,
        originals: Numbers | None = None,
        threads: int = 1,
    ) -> FoundMany:
        """Return the k nearest rows of each query, (q, dimension), shared among threads. Else as `search`."""
        return self.searcher(originals).many(queries, k, ef=ef, allowed=allowed, dead=dead, threads=threads)

    def plan(self, *, ef: int = 64, allowed: Bitmap | None = None, dead: Bitmap | None = None) -> Plan:
        """Return how a search would be done, and why."""
        return plan_of(self.graph, ef, allowed, dead)

    def pinned(self) -> "GraphIndex":
        """Return a copy in this process's own memory, on huge pages where the system has them: a page walk less per
        hop.
        """
        graph = self.graph
        return GraphIndex(replace(graph, blocks=own_memory(graph.blocks), roots=own_memory(graph.roots)))

    def compacted(self, own: int = 8, *, threads: int = 1) -> "GraphIndex":
        """Return the same graph in small blocks, with own codes of 16, 8 or 4 bits: 272 bytes a vector of 128
        coordinates at 8.

        A search is slower, and of 4 bits needs `reranked`. Errors: UnsupportedError for an index that is compact
        already.
        """
        graph = self.graph
        if graph.own or own not in OWN_BITS:
            raise UnsupportedError(
                f"own codes of {own} bits cannot be made of {graph.own or 'full'} ones", where="own", cure="16, 8 or 4"
            )
        small = huge_array(len(graph), compact_words(graph.space.width, own))
        compact_blocks(graph.blocks, graph.space.width, max(1, threads), small, own=own)
        return GraphIndex(replace(graph, blocks=small, own=own))


def huge_array(rows: int, words: int) -> "np.ndarray[tuple[int, int], np.dtype[np.uint32]]":
    """Return zeroed (rows, words) u32 on huge pages where the system has them.

    The pages are private: of shared ones, which `mmap` takes by default, Linux makes no huge pages.
    """
    size = rows * words * 4
    if size < HUGE_PAGE_BYTES:
        return np.zeros((rows, words), np.uint32)
    pages = mmap.mmap(-1, size + HUGE_PAGE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    start = -np.frombuffer(pages, np.uint8, 1).ctypes.data % HUGE_PAGE_BYTES
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a system without them costs speed only
            pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, np.uint32, rows * words, offset=start).reshape(rows, words)


def own_memory(
    blocks: "np.ndarray[tuple[int, ...], np.dtype[np.uint32]]",
) -> "np.ndarray[tuple[int, int], np.dtype[np.uint32]]":
    """Return a copy on huge pages."""
    copy = huge_array(len(blocks), blocks.shape[1])
    copy[:] = blocks
    return copy
