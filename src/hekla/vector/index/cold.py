"""Searches of a graph that lies on disk: what they will read is asked for before they do.

A search of a mapped graph reads a block, learns of its neighbours, reads the next: from disk, each waits for the one
before. `ColdReads` has it stop every few blocks, and asks for the blocks of all candidates at once, and for the rows
that will be compared exactly. That costs as much as the search itself, and pays where more than a twentieth of the
blocks are missing: once some searches found nearly all of theirs, it says so and is not asked again.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hekla.kernels.graph_layout import DEGREE, NOBODY
from hekla.kernels.graph_pool import NODE_MASK, TAKEN
from hekla.kernels.graph_state import STATE_FOUND, STATE_SIZE
from hekla.runtime.residence import ask_for, is_resident

SAMPLES = 32  # places looked at to tell whether a graph is in memory
STEP, SHARE = 4, 16  # blocks read between two looks at the candidates: so many, or this share of those read
NEAR = 8  # of small blocks, the nodes whose neighbours are asked for as well
ENOUGH = 4  # searches in a row that found nearly all they read in memory
FEW = 0.05  # of blocks looked for that are missing
LOOK_AT = 8  # one in so many blocks is looked for before it is asked for

Array = np.ndarray[tuple[int, ...], np.dtype[np.generic]]
Keys = NDArray[np.uint64]


class ColdReads:
    """Brings what searches of one graph read. Any thread.

    blocks: (n, words) u32; first: what every search begins with; columns: what is read of each row found, (n, ...).
    All as mapped. is_small: blocks as `hekla.kernels.graph_compact` has them.
    """

    def __init__(
        self, blocks: NDArray[np.uint32], first: Sequence[Array], columns: Sequence[Array], *, is_small: bool
    ) -> None:
        self._neighbours = blocks[:, -DEGREE:] if is_small else None
        self._blocks = _Rows(blocks)
        self._first = tuple(first)
        self._columns = [_Rows(column) for column in columns if len(column)]
        self._in_a_row = 0

    @property
    def is_needed(self) -> bool:
        """False once searches find nearly everything in memory."""
        return self._in_a_row < ENOUGH

    def bring_first(self) -> None:
        """Ask for what every search begins with."""
        for array in self._first:
            ask_for(array.ctypes.data, array.nbytes)

    def begin(self) -> "ColdSearch":
        """Return what goes with one search."""
        return ColdSearch(self._blocks, self._columns, self._neighbours)

    def note(self, search: "ColdSearch") -> None:
        """Learn from a search that is over."""
        self._in_a_row = 0 if search.missed > FEW * search.looked else self._in_a_row + 1


class ColdSearch:
    """One search's reads: `between` goes between two calls of the kernel."""

    def __init__(self, blocks: "_Rows", columns: Sequence["_Rows"], neighbours: NDArray[np.uint32] | None) -> None:
        self._blocks, self._columns, self._neighbours = blocks, columns, neighbours
        self._asked: set[int] = set()
        self._found: set[int] = set()
        self._opened: set[int] = set()  # whose neighbours were asked for
        self._hops = 0
        self.looked = self.missed = 0

    def between(self, pool: Keys, best: Keys, state: NDArray[np.int64]) -> int:
        """Ask for what the search may read next; return how many hops to go until this is asked again."""
        listed = pool[: int(state[STATE_SIZE])]
        waiting = (listed[listed & np.uint64(TAKEN) == 0] & np.uint64(NODE_MASK)).tolist()
        wanted = set(waiting)
        if self._neighbours is not None:  # a hop reads the neighbours of a node
            nearest = [node for node in waiting[:NEAR] if node not in self._opened]
            self._opened.update(nearest)
            wanted.update(self._neighbours[nearest].ravel().tolist())
            wanted.discard(NOBODY)
        for number, node in enumerate(wanted - self._asked):
            if number % LOOK_AT == 0:
                self.looked += 1
                self.missed += not self._blocks.is_resident(node)
            self._blocks.ask_for(node)
        self._asked |= wanted
        found = set((best[: int(state[STATE_FOUND])] & np.uint64(NODE_MASK)).tolist())
        for row in found - self._found:
            for column in self._columns:
                column.ask_for(row)
        self._found |= found
        step = max(STEP, self._hops // SHARE)
        self._hops += step
        return step


def is_in_memory(blocks: Array) -> bool:
    """Return whether nearly all of some rows of an array, evenly spread, are in memory."""
    rows = _Rows(blocks)
    looked = range(0, len(blocks), max(1, len(blocks) // SAMPLES))
    return sum(not rows.is_resident(row) for row in looked) <= FEW * len(looked)


class _Rows:
    """Where the rows of an array lie."""

    def __init__(self, array: Array) -> None:
        self._array = array  # holds the memory
        self._first, self._stride, self._count = array.ctypes.data, array.strides[0], len(array)
        self._bytes = array[:1].nbytes

    def ask_for(self, row: int) -> None:
        if row < self._count:  # blocks that are damaged may name any
            ask_for(self._first + row * self._stride, self._bytes)

    def is_resident(self, row: int) -> bool:
        return row >= self._count or is_resident(self._first + row * self._stride)
