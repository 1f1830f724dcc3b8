"""A graph that grows: vectors are put in and marked dead while searches go on, without rebuilding."""

import threading
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hekla.base.errors import InputError, TooLargeError, UnsupportedError
from hekla.kernels.graph_explore import explore_nodes, link_nodes, measure_lists
from hekla.kernels.graph_layout import ADDED_AT, DEGREE, HEADER
from hekla.kernels.graph_offer import empty_lists
from hekla.vector.index.build import (
    CAPACITY,
    MAX_ROWS,
    SLACK,
    GraphOptions,
    blank_blocks,
    build_graph,
    entries_of,
    make_roots,
)
from hekla.vector.index.found import Bitmap, Found, FoundMany
from hekla.vector.index.graph import GraphIndex, huge_array, own_memory
from hekla.vector.index.metric import Metric
from hekla.vector.index.searcher import AHEAD, Blocks, Graph, Numbers, Searcher

YOUNG_ROWS = 1024  # below, the graph is built anew each time it doubles, to learn mean and scale
BATCH = 64  # vectors that search for candidates at once; they are measured against each other besides
ROOTS_EVERY = 1.5  # roots are made anew when the graph has grown by this factor


class GrowingGraph:
    """One writer at a time (a lock sees to it), any number of readers, who never wait.

    A search sees the rows that were there when it began; while a row is put in, a neighbour's block may be seen half
    written:
    then an estimate is off for that search, never a row number or a distance that is returned.
    Rows are numbered in the order they come. A dead row keeps its number and stays a way to others: build again
    where a large share is dead. Equal calls in equal order make equal graphs.
    """

    def __init__(
        self, dimension: int, metric: Metric, options: GraphOptions | None = None, *, threads: int = 1
    ) -> None:
        self._options, self._threads = options or GraphOptions(), threads
        self._lock = threading.Lock()
        self._dead, self._dead_count = np.zeros(0, np.uint64), 0
        self._last: tuple[Graph, Searcher] | None = None  # what searched last
        self._young: NDArray[np.float32] | None = np.zeros((0, dimension), np.float32)
        self._adopt(build_graph(self._young, metric, self._options))

    def _adopt(self, index: GraphIndex) -> None:
        self._all_blocks = index.graph.blocks  # later with room behind
        self._graph = index.graph
        self._roots_made_at = len(index)
        self._entries = entries_of(index.space, index.graph.blocks)

    @classmethod
    def of(cls, index: GraphIndex, options: GraphOptions | None = None, *, threads: int = 1) -> "GrowingGraph":
        """Return a growing copy of an index."""
        graph = cls(index.space.dimension, index.space.metric, options, threads=threads)
        if index.graph.own:
            raise UnsupportedError("small blocks do not grow", where="index", cure="grow the graph they were made of")
        graph._young = None
        graph._adopt(index.pinned())
        return graph

    def __len__(self) -> int:
        """Rows ever put in, the dead ones included."""
        return len(self._graph)

    @property
    def alive(self) -> int:
        """Rows that can be found."""
        return len(self._graph) - self._dead_count

    @property
    def dead(self) -> Bitmap:
        """The bitmap of dead rows, a copy."""
        return self._dead.copy()

    def insert(self, vectors: Numbers) -> range:
        """Put vectors in, (m, dimension); return their row numbers. All of them or, on error, none.

        Errors: ShapeError, DtypeError, InputError for NaN; TooLargeError past 2^30 rows.
        """
        with self._lock:
            rows = self._graph.space.prepared(vectors, "vectors")
            first = len(self._graph)
            if first + len(rows) > MAX_ROWS:
                raise TooLargeError("vectors", limit=f"{MAX_ROWS} rows", got=str(first + len(rows)))
            if self._young is not None:
                rows = self._learn(self._young, rows)
            self._make_room_for(rows)
            for start in range(0, len(rows), BATCH):
                self._grow(rows[start : start + BATCH])
            return range(first, len(self._graph))

    def delete(self, rows: NDArray[np.integer] | list[int]) -> int:
        """Mark rows dead; return how many were alive until now. Errors: InputError for a row that is not there."""
        numbers = np.unique(np.asarray(rows, np.int64))
        with self._lock:
            if len(numbers) and not (numbers[0] >= 0 and numbers[-1] < len(self._graph)):
                raise InputError(f"are 0 to {len(self._graph) - 1}", where="rows")
            dead = np.zeros(-(-len(self._graph) // 64), np.uint64)
            dead[: len(self._dead)] = self._dead
            bits = np.uint64(1) << (numbers % 64).astype(np.uint64)
            fresh = int(((dead[numbers // 64] & bits) == 0).sum())
            np.bitwise_or.at(dead, numbers // 64, bits)
            self._dead, self._dead_count = dead, self._dead_count + fresh
            return fresh

    def search(
        self,
        query: Numbers,
        k: int,
        *,
        ef: int = 64,
        allowed: Bitmap | None = None,
        deadline_s: float | None = None,
    ) -> Found:
        """As `GraphIndex.search`; dead rows are not found."""
        dead = self._dead if self._dead_count else None
        return self._searcher().one(query, k, ef=ef, allowed=allowed, dead=dead, deadline_s=deadline_s)

    def search_many(
        self, queries: Numbers, k: int, *, ef: int = 64, allowed: Bitmap | None = None, threads: int = 1
    ) -> FoundMany:
        """As `GraphIndex.search_many`; dead rows are not found."""
        dead = self._dead if self._dead_count else None
        return self._searcher().many(queries, k, ef=ef, allowed=allowed, dead=dead, threads=threads)

    def _searcher(self) -> Searcher:
        graph, last = self._graph, self._last
        if last is None or last[0] is not graph:
            last = self._last = (graph, Searcher(graph))
        return last[1]

    def frozen(self) -> GraphIndex:
        """Return the index as it is, a copy, dead rows included: search it with `dead`."""
        with self._lock:
            return GraphIndex(self._graph).pinned()

    def _learn(self, young: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """While there are few rows, build anew at each doubling. Return the rows still to put in."""
        young = np.concatenate((young, rows))
        self._young = young if len(young) < YOUNG_ROWS else None
        if len(young) < 2 * self._roots_made_at or not len(young):
            return rows
        head = young[: max(YOUNG_ROWS, len(self._graph))]
        self._adopt(build_graph(head, self._graph.space.metric, self._options, threads=self._threads))
        return young[len(head) :]

    def _make_room_for(self, rows: NDArray[np.float32]) -> None:
        """Under inner product, raise M where a row is longer: all nodes then add as much more."""
        graph, space = self._graph, self._graph.space
        largest = float(np.einsum("ij,ij->i", rows, rows).max(initial=0.0))
        if space.metric is not Metric.DOT or largest <= space.largest_square:
            return
        raised = replace(space, largest_square=2 * largest)
        more = np.float32((raised.largest_square - space.largest_square) * space.scale**2)
        blocks, roots = own_memory(self._all_blocks), own_memory(graph.roots)
        at = HEADER + space.width // 2 + DEGREE
        for each in (blocks, roots):
            each[:, at : at + DEGREE].view(np.float32)[:] += more
        blocks[:, ADDED_AT : ADDED_AT + 1].view(np.float32)[:] += more
        self._all_blocks = blocks
        self._graph = Graph(raised, blocks[: len(graph)], roots, graph.bits)

    def _grow(self, rows: NDArray[np.float32]) -> None:
        graph, space = self._graph, self._graph.space
        first, last = len(graph), len(graph) + len(rows)
        points, added = space.rotated(rows), space.added(rows)
        if last > len(self._all_blocks):
            larger = huge_array(max(2 * len(self._all_blocks), last, 1024), graph.blocks.shape[1])
            larger[:first] = self._all_blocks[:first]
            self._all_blocks = larger
        blocks = self._all_blocks
        blocks[first:last] = blank_blocks(space, points, added, graph.bits)
        lists, sizes = empty_lists(len(rows), CAPACITY)
        old = blocks[:last]
        together = np.tile(np.arange(first, last, dtype=np.uint64), (len(rows), 1))
        full = np.full(len(rows), len(rows), np.uint32)
        measure_lists(old, first, space.width, self._threads, together, full, lists, sizes)
        explore_nodes(
            old, graph.roots, np.arange(first, last, dtype=np.uint32), space.width, self._options.explored, AHEAD,
            self._threads, lists, sizes, np.zeros(len(rows), np.uint8),
            bits=graph.bits,
        )  # fmt: skip
        link_nodes(old, first, space.width, SLACK, lists, sizes, bits=graph.bits)
        roots = graph.roots
        if last >= ROOTS_EVERY * self._roots_made_at:
            self._entries, self._roots_made_at = entries_of(space, old), last
            roots = make_roots(space, old, graph.bits, self._entries)
        elif len(lost := _unreached(old, first, space.width)):
            self._entries = np.concatenate((self._entries, lost))
            roots = make_roots(space, old, graph.bits, self._entries)
        self._graph = Graph(space, old, roots, graph.bits)


def _unreached(blocks: Blocks, first: int, width: int) -> NDArray[np.uint32]:
    """Return new nodes that lead to all those from `first` on to which no older node leads, directly or by others."""
    at = HEADER + width // 2
    names = blocks[first:, at : at + DEGREE]
    count = len(names)
    is_old = names < first
    told = blocks[np.where(is_old, names, 0), at : at + DEGREE]  # (count, R, R): whom the older neighbours know
    is_reached = ((told == np.arange(first, first + count)[:, None, None]).any(axis=2) & is_old).any(axis=1)
    lost: list[int] = []
    frontier = np.flatnonzero(is_reached)
    while True:
        while len(frontier):
            following = names[frontier]
            following = np.unique(following[(following >= first) & (following < first + count)]) - first
            frontier = following[~is_reached[following]]
            is_reached[frontier] = True
        if is_reached.all():
            return np.array(lost, np.uint32)
        frontier = np.flatnonzero(~is_reached)[:1]
        is_reached[frontier] = True
        lost.append(first + int(frontier[0]))
