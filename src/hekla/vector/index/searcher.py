"""Searching blocks: one native call a query, with working memory that is kept between calls."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hekla.base.errors import InputError, ShapeError, UnsupportedError
from hekla.kernels.answer import ANSWER_COUNT, ANSWER_HOPS, ANSWER_IS_ZERO
from hekla.kernels.graph_estimate import PLANES
from hekla.kernels.graph_scan import count_passing
from hekla.kernels.graph_search import search_many, search_one
from hekla.kernels.graph_state import ALL_HOPS, DONE, LATE, RECENT, REFUSED, STATE_WORDS
from hekla.kernels.measures import MEASURES
from hekla.vector.index.cold import ColdReads, is_in_memory
from hekla.vector.index.found import NO_BITMAP, Answer, Bitmap, Found, FoundMany
from hekla.vector.index.metric import Metric
from hekla.vector.index.plan import Plan, limits, plan_graph
from hekla.vector.index.space import Space

AHEAD = 3  # blocks on their way from memory at a time; measured: 1 is 30 % slower, more than 4 gains nothing
TOUCHED = 4096
SLICE_HOPS = 64  # between two looks at the clock
FINE = (0, 16)  # `own` of codes of 16 bits: half as many more than are asked for hold the nearest, measured
ROUGH = 4  # bits of own codes by which the nearest cannot be told: more of them must be ranked by the originals
ROOM = 32  # of the pool under a filter, for each of ef: what is walked through without passing

Blocks = NDArray[np.uint32]
Numbers = np.ndarray[tuple[int, ...], np.dtype[np.generic]]
NO_IDS = np.zeros(0, np.uint64)


@dataclass(frozen=True, slots=True)
class Graph:
    """Blocks (n, words) u32 and roots (r, words) u32 as `hekla.kernels.graph_layout` has them, codes of `bits` bits.

    own: 0, or where the blocks are small (`hekla.kernels.graph_compact`) the bits of a node's own code: 16, 8 or 4.
    """

    space: Space
    blocks: Blocks
    roots: Blocks
    bits: int
    own: int = 0

    def __len__(self) -> int:
        return len(self.blocks)


class Scratch:
    """Working memory of one search at a time."""

    __slots__ = ("arrays", "best_room", "pool_room")

    def __init__(self, nodes: int, space: Space, pool_room: int, best_room: int) -> None:
        self.pool_room, self.best_room = pool_room, best_room
        width = space.width
        self.arrays = (
            np.zeros(space.dimension, np.float32),  # the query as f32
            np.zeros(width, np.float32),  # rotated
            np.zeros(width // 64 * PLANES, np.uint64),
            np.zeros(3, np.float32),
            np.zeros(width, np.int8),
            np.zeros(pool_room, np.uint64),
            np.zeros(best_room, np.uint64),
            np.zeros((nodes + 31) // 32, np.uint64),  # two bits a node: all 0 between searches
            np.zeros(TOUCHED, np.uint32),
            np.zeros(RECENT, np.uint64),
            np.zeros(STATE_WORDS, np.int64),
        )


class Searcher:
    """Searches one graph from any number of threads, and ranks what it finds by the rows as they were given.

    originals: (n, dimension) f32, f16 or i8, or None: distances are then as exact as f16 is. ids: (n,) u64, or None: a
    row's number.
    Errors: ShapeError for rows or ids that are not those of the graph.
    """

    def __init__(
        self, graph: Graph, *, originals: Numbers | None = None, ids: NDArray[np.uint64] | None = None
    ) -> None:
        space, n = graph.space, len(graph)
        if originals is not None and originals.shape != (n, space.dimension):
            raise ShapeError("originals", expected=f"({n}, {space.dimension})", got=originals.shape)
        if ids is not None and ids.shape != (n,):
            raise ShapeError("ids", expected=f"({n},)", got=ids.shape)
        self._graph, self._n, self._width = graph, n, space.width
        self._originals = np.zeros((0, space.dimension), np.float32) if originals is None else originals
        self.element = self._originals.dtype
        self._is_ranked = originals is not None
        self._is_fine, self._is_rough = graph.own in FINE, graph.own == ROUGH
        self._fixed = (
            graph.blocks, graph.roots, space.mean, space.signs, space.scale, space.factor(), space.largest_square,
            self._originals,
        )  # fmt: skip
        self._ids = NO_IDS if ids is None else ids
        self._idle: list[Scratch] = []
        self._one: Callable[..., int] | None = None
        self._cold: ColdReads | None = None

    def expect_disk(self) -> None:
        """Where most of the graph is on disk, have searches ask for what they will read, until they find it there."""
        graph, space = self._graph, self._graph.space
        if is_in_memory(graph.blocks):
            return
        columns = (self._originals, self._ids)
        self._cold = ColdReads(graph.blocks, (space.mean, space.signs, graph.roots), columns, is_small=graph.own != 0)
        self._cold.bring_first()

    def _constants(self) -> dict[str, Any]:  # Any: compile-time values
        graph = self._graph
        key = (graph.space.metric.name.lower(), self.element.name)
        if key not in MEASURES:
            raise UnsupportedError(f"rows of {key[1]} are not ranked by {key[0]}", where="originals", cure="use f32")
        measure = MEASURES[key]
        return {
            "T": measure.element, "bits": graph.bits, "own": graph.own, "metric": measure.scoring,
            "pair": measure.pair, "sign": measure.sign, "offset": measure.offset, "line": measure.line,
        }  # fmt: skip

    def _wanted(self, k: int) -> int:
        """Return how many are ranked by the originals."""
        if not self._is_ranked:
            return k
        return k + k // 2 + 8 if self._is_fine else 2 * k + 16

    def find_kernel(self) -> None:
        """Find the kernel's code, if it was compiled before."""
        search_one.find_kept(**self._constants())

    def into(
        self,
        answer: Answer,
        given: Numbers,
        k: int,
        ef: int,
        *,
        allowed: Bitmap | None = None,
        dead: Bitmap | None = None,
        part: int = 0,
        until: float | None = None,
    ) -> int:
        """Merge the k nearest of a query (dimension,), of the type of the originals, into an answer with room for k.

        allowed, dead: see `GraphIndex.search`. part: what `Answer.places` says of the rows.
        until: `time.perf_counter()` at which to stop. Return DONE, LATE (and the best so far), or REFUSED for a query
        with NaN or infinity, of which there is no answer.
        """
        one = self._one
        if one is None:
            one = self._one = search_one.compile(**self._constants()).entry
        wanted = self._wanted(k)
        ef = max(ef, wanted if self._is_rough else k)
        most_scanned, hops_a_row, room = 0, 0.0, ef + 1
        if allowed is not None or dead is not None:
            most_scanned, hops_a_row = limits(self._n, ef, self._width)
            room = ROOM * ef + 256
        try:
            scratch = self._idle.pop()  # one step of the interpreter: threads need no lock
        except IndexError:
            scratch = Scratch(self._n, self._graph.space, room, wanted)
        if scratch.pool_room < room or scratch.best_room < wanted:
            scratch = Scratch(self._n, self._graph.space, max(room, scratch.pool_room), max(wanted, scratch.best_room))
        budget = ALL_HOPS if until is None else SLICE_HOPS
        cold, reads = self._cold, None
        if cold is not None:
            budget, reads = 1, cold.begin()
        while True:
            step = one(
                *self._fixed, self._ids, part, given, NO_BITMAP if allowed is None else allowed,
                NO_BITMAP if dead is None else dead, k, wanted, ef, room, AHEAD, budget, most_scanned,
                hops_a_row, *scratch.arrays, *answer.arrays,
            )  # fmt: skip
            if step >= DONE:
                self._idle.append(scratch)  # what an error leaves behind is not used again
                if cold is not None and reads is not None:
                    cold.note(reads)
                    self._cold = cold if cold.is_needed else None
                return step
            if reads is not None:
                budget = reads.between(scratch.arrays[5][:room], scratch.arrays[6][:wanted], scratch.arrays[-1])
            if until is not None and time.perf_counter() > until:
                budget = 0

    def one(
        self, query: Numbers, k: int, *, ef: int, allowed: Bitmap | None, dead: Bitmap | None, deadline_s: float | None
    ) -> Found:
        """Return the k nearest of one query, (dimension,). See `GraphIndex.search`."""
        until = None if deadline_s is None else time.perf_counter() + deadline_s
        space = self._graph.space
        if query.shape != space.mean.shape:
            raise ShapeError("query", expected=f"({space.dimension},)", got=query.shape)
        _check(k, ef)
        given = query
        if query.dtype != self.element or not query.flags.c_contiguous:
            given = space.prepared(query[None], "query").reshape(-1).astype(self.element)
        answer = Answer(min(k, max(1, self._n)))
        step = self.into(answer, given, answer.room, max(ef, k), allowed=allowed, dead=dead, until=until)
        if step != REFUSED and space.metric is Metric.COSINE and answer.answered[ANSWER_IS_ZERO] and query.any():
            given = space.prepared(query[None], "query").reshape(-1).astype(self.element)  # its square underflowed
            answer = Answer(answer.room)
            step = self.into(answer, given, answer.room, max(ef, k), allowed=allowed, dead=dead, until=until)
        if step == REFUSED:
            raise InputError("has NaN, infinity or a length past what f32 holds", where="query")
        count, hops = int(answer.answered[ANSWER_COUNT]), int(answer.answered[ANSWER_HOPS])
        return Found(answer.places[:count], answer.ranks[:count], step != LATE, hops)

    def many(
        self, queries: Numbers, k: int, *, ef: int, allowed: Bitmap | None, dead: Bitmap | None, threads: int
    ) -> FoundMany:
        """Return the k nearest of each query, (q, dimension). See `GraphIndex.search_many`."""
        _check(k, ef)
        given = self._graph.space.prepared(queries, "queries").astype(self.element, copy=False)
        wanted = self._wanted(k)
        ef = max(ef, wanted if self._is_rough else k)
        rows, distances = np.empty((len(given), k), np.int64), np.empty((len(given), k), np.float32)
        is_filtered = allowed is not None or dead is not None
        most_scanned, hops_a_row = limits(self._n, ef, self._width)
        search_many(
            *self._fixed, given, NO_BITMAP if allowed is None else allowed, NO_BITMAP if dead is None else dead, wanted,
            ef, ROOM * ef + 256 if is_filtered else ef + 1, AHEAD, most_scanned, hops_a_row,
            max(1, min(threads, len(given))), rows, distances,
            **self._constants(),
        )  # fmt: skip
        return FoundMany(rows, distances)


def plan_of(graph: Graph, ef: int, allowed: Bitmap | None, dead: Bitmap | None) -> Plan:
    """Return how a search would be done: what `explain` shows."""
    if allowed is None and dead is None:
        return plan_graph(len(graph), len(graph), ef, graph.space.width)
    passing = count_passing(NO_BITMAP if allowed is None else allowed, NO_BITMAP if dead is None else dead, len(graph))
    return plan_graph(len(graph), passing, ef, graph.space.width)


def _check(k: int, ef: int) -> None:
    if k < 1 or ef < 1:
        raise InputError(f"is 1 or more, got {min(k, ef)}", where="k" if k < 1 else "ef")
