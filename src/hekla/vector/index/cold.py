"""The first searches of a graph that lies on disk: what they will read is asked for before they do.

A search of a mapped graph reads a block, learns of its neighbours, reads the next: from disk, each waits for the one
before. `ColdReads.bring` walks the same way in short steps, and between two of them asks for the blocks of all
candidates at once, at last for the rows that are compared exactly; the search after it finds them in memory. It costs
two to three searches, and pays where more than a twentieth of the blocks are missing: once some searches found nearly
all of theirs, it says so and costs nothing more.
"""

from collections.abc import Sequence

import numpy as np

from hekla.kernels.graph_layout import DEGREE, NOBODY
from hekla.kernels.graph_pool import NODE_MASK, TAKEN
from hekla.kernels.graph_state import STATE_FOUND, STATE_SIZE, STATE_STEP, UNFINISHED
from hekla.runtime.residence import ask_for, is_resident
from hekla.vector.index.found import NO_BITMAP
from hekla.vector.index.searcher import AHEAD, Graph, Numbers, Scratch, Searcher, compared, pool_room

SAMPLES = 32  # places looked at to tell whether a graph is in memory
STEP, SHARE = 4, 16  # blocks read between two looks at the candidates: so many, or this share of those read
ENOUGH = 4  # searches in a row that found nearly all they read in memory
FEW = 0.05  # of blocks looked for that are missing
NEAR = 8  # of small blocks, the nodes whose neighbours are asked for as well
LOOK_AT = 8  # one in so many blocks is looked for before it is asked for


class ColdReads:
    """Brings what searches of one graph read. Any thread.

    columns: what is read of each row found (n, ...), as mapped: vectors to compare exactly, ids.
    """

    def __init__(self, graph: Graph, columns: Sequence[Numbers]) -> None:
        self._graph = graph
        self._blocks = _Rows(graph.blocks)
        self._columns = [_Rows(column) for column in columns]
        self._searcher = Searcher(graph.space.width)
        self._in_a_row = 0

    @property
    def is_needed(self) -> bool:
        """False once searches find everything in memory."""
        return self._in_a_row < ENOUGH

    def bring_roots(self) -> None:
        """Ask for what every search begins with."""
        graph = self._graph
        for array in (graph.space.mean, graph.space.signs, graph.roots):
            ask_for(array.ctypes.data, array.nbytes)

    def bring(self, query: Numbers, k: int, ef: int) -> None:
        """Have what `GraphIndex.search` of a query (dimension,) reads brought into memory. Errors: as there."""
        graph, space = self._graph, self._graph.space
        given = space.prepared(query[None], "query").reshape(-1)
        k = compared(k)
        ef = max(ef, k)
        walk = self._searcher.walk(graph, is_filtered=False)
        scratch = Scratch(space.width)
        room = pool_room(ef, is_filtered=False)
        scratch.make_room(len(graph), room, k)
        pool, best, state = scratch.pool[:room], scratch.best[:k], scratch.state
        asked: set[int] = set()
        opened: set[int] = set()  # whose neighbours were asked for
        missed = looked = hops = 0
        while True:
            walk(
                graph.blocks, graph.roots, given, space.mean, space.signs, space.scale, NO_BITMAP, NO_BITMAP, ef,
                AHEAD, hops, scratch.query, scratch.planes, scratch.sums, pool, best, scratch.seen, scratch.touched,
                scratch.recent, scratch.cut, state,
            )  # fmt: skip
            if state[STATE_STEP] != UNFINISHED:
                break
            listed = pool[: int(state[STATE_SIZE])]
            waiting = (listed[listed & np.uint64(TAKEN) == 0] & np.uint64(NODE_MASK)).tolist()
            wanted = set(waiting)
            if graph.own:  # a hop reads the neighbours of a node
                nearest = [node for node in waiting[:NEAR] if node not in opened]
                opened.update(nearest)
                wanted.update(graph.blocks[nearest, -DEGREE:].ravel().tolist())
                wanted.discard(NOBODY)
            for number, node in enumerate(wanted - asked):
                if number % LOOK_AT == 0:
                    looked += 1
                    missed += not self._blocks.is_resident(node)
                self._blocks.ask_for(node)
            asked |= wanted
            hops += max(STEP, hops // SHARE)
        rows = (best[: int(state[STATE_FOUND])] & np.uint64(NODE_MASK)).tolist()
        for column in self._columns:
            for row in rows:
                column.ask_for(row)
        self._in_a_row = 0 if missed > FEW * looked else self._in_a_row + 1


def is_in_memory(graph: Graph) -> bool:
    """Return whether nearly all of some blocks of a graph, evenly spread, are in memory."""
    blocks = _Rows(graph.blocks)
    looked = range(0, len(graph), max(1, len(graph) // SAMPLES))
    return sum(not blocks.is_resident(node) for node in looked) <= FEW * len(looked)


class _Rows:
    """Where the rows of an array lie."""

    def __init__(self, array: Numbers) -> None:
        self._array = array  # holds the memory
        self._first, self._stride = array.ctypes.data, array.strides[0]
        self._bytes = array[:1].nbytes

    def ask_for(self, row: int) -> None:
        ask_for(self._first + row * self._stride, self._bytes)

    def is_resident(self, row: int) -> bool:
        return is_resident(self._first + row * self._stride)
