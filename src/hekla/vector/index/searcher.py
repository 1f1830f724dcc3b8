"""Searching blocks: one native call a query, with working memory that is kept between calls."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hekla.base.errors import InputError, ShapeError
from hekla.kernels.graph_estimate import PLANES
from hekla.kernels.graph_scan import count_passing, scan_allowed, split_keys
from hekla.kernels.graph_search import search_many, search_one
from hekla.kernels.graph_state import (
    ALL_HOPS,
    DONE,
    NOT_FINITE,
    RECENT,
    STATE_FOUND,
    STATE_HOPS,
    STATE_PASSING,
    STATE_STEP,
    STATE_WORDS,
    UNFINISHED,
)
from hekla.vector.index.found import NO_BITMAP, Bitmap, Found, FoundMany
from hekla.vector.index.metric import Metric
from hekla.vector.index.plan import Plan, Way, plan_graph
from hekla.vector.index.space import Space

AHEAD = 3  # blocks on their way from memory at a time; measured: 1 is 30 % slower, more than 4 gains nothing
TOUCHED = 4096
SLICE_HOPS, SLICE_NODES = 64, 256  # between two looks at the clock
ROOM = 32  # of the pool under a filter, for each of ef: what is walked through without passing

Blocks = NDArray[np.uint32]
Numbers = np.ndarray[tuple[int, ...], np.dtype[np.generic]]
Walk = Callable[..., None]  # `search_one`, less its constants


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

    def __init__(self, width: int) -> None:
        self.query = np.zeros(width, np.float32)
        self.planes = np.zeros(width // 64 * PLANES, np.uint64)
        self.sums = np.zeros(2, np.float32)
        self.cut = np.zeros(width, np.int8)
        self.pool = np.zeros(256, np.uint64)
        self.best = np.zeros(64, np.uint64)
        self.seen = np.zeros(0, np.uint64)
        self.touched = np.zeros(TOUCHED, np.uint32)
        self.recent = np.zeros(RECENT, np.uint64)
        self.state = np.zeros(STATE_WORDS, np.int64)
        self.constants = np.zeros(1, np.float32)

    def make_room(self, nodes: int, pool: int, best: int) -> None:
        """Grow what is too small."""
        if len(self.seen) * 32 < nodes:
            self.seen = np.zeros(nodes // 16 + 64, np.uint64)
        if len(self.pool) < pool:
            self.pool = np.zeros(2 * pool, np.uint64)
        if len(self.best) < best:
            self.best = np.zeros(2 * best, np.uint64)


class Searcher:
    """Searches graphs of one width from any number of threads; keeps working memory for each that is in a search."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._idle: list[Scratch] = []
        self._walks: dict[tuple[int, int, bool], Walk] = {}

    def walk(self, graph: Graph, is_filtered: bool) -> Walk:
        """Return `search_one` made for such a graph; asking the kernel itself at every call costs 10 us."""
        key = (graph.bits, graph.own, is_filtered)
        found = self._walks.get(key)
        if found is None:
            made = search_one.compile(bits=graph.bits, own=graph.own, filtered=is_filtered)
            found = self._walks[key] = made.entry
        return found

    def one(
        self,
        graph: Graph,
        query: Numbers,
        k: int,
        *,
        ef: int,
        allowed: Bitmap | None,
        dead: Bitmap | None,
        deadline_s: float | None,
    ) -> Found:
        """Return the k nearest of one query, (dimension,). See `GraphIndex.search`."""
        started = time.perf_counter() if deadline_s is not None else 0.0
        given = _prepared(graph.space, query)
        _check(k, ef)
        try:
            scratch = self._idle.pop()  # one step of the interpreter: threads need no lock
        except IndexError:
            scratch = Scratch(self._width)
        try:
            walk = self.walk(graph, allowed is not None or dead is not None)
            search = _Search(graph, given, k, max(ef, k), allowed, dead, scratch, walk)
            search.run(None if deadline_s is None else started + deadline_s)
            return search.found(graph.space)
        finally:
            self._idle.append(scratch)

    def many(
        self,
        graph: Graph,
        queries: Numbers,
        k: int,
        *,
        ef: int,
        allowed: Bitmap | None,
        dead: Bitmap | None,
        threads: int,
    ) -> FoundMany:
        """Return the k nearest of each query, (q, dimension). See `GraphIndex.search_many`."""
        _check(k, ef)
        given = graph.space.prepared(queries, "queries")
        ef = max(ef, k)
        rows, distances = np.empty((len(given), k), np.int64), np.empty((len(given), k), np.float32)
        plan = plan_of(graph, ef, allowed, dead)
        if plan.way is Way.SCAN:
            rows[:], distances[:] = -1, np.nan
            for i, query in enumerate(given):
                found = self.one(graph, query, k, ef=ef, allowed=allowed, dead=dead, deadline_s=None)
                rows[i, : len(found.rows)], distances[i, : len(found.rows)] = found.rows, found.distances
            return FoundMany(rows, distances)
        is_filtered = allowed is not None or dead is not None
        best = np.zeros((len(given), k), np.uint64)
        states = np.zeros((len(given), STATE_WORDS), np.int64)
        space = graph.space
        search_many(
            graph.blocks, graph.roots, given, space.mean, space.signs, space.scale,
            NO_BITMAP if allowed is None else allowed, NO_BITMAP if dead is None else dead,
            ef, AHEAD, plan.max_hops, pool_room(ef, is_filtered), max(1, min(threads, len(given))), best, states,
            bits=graph.bits, own=graph.own, filtered=is_filtered,
        )  # fmt: skip
        split_keys(best, states[:, STATE_FOUND].copy(), space.factor(), space.constants(given), rows, distances)
        is_short = states[:, STATE_STEP] == UNFINISHED
        if is_filtered:
            is_short |= states[:, STATE_PASSING] < min(ef, plan.passing)
        for i in np.flatnonzero(is_short).tolist():
            found = self.one(graph, given[i], k, ef=ef, allowed=allowed, dead=dead, deadline_s=None)
            rows[i, : len(found.rows)], distances[i, : len(found.rows)] = found.rows, found.distances
        return FoundMany(rows, distances)


class _Search:
    """One search: plan, then walk or scan until done or late."""

    def __init__(
        self,
        graph: Graph,
        given: NDArray[np.float32],
        k: int,
        ef: int,
        allowed: Bitmap | None,
        dead: Bitmap | None,
        scratch: Scratch,
        walk: Walk,
    ) -> None:
        self.walk = walk
        self.graph, self.given, self.ef, self.scratch = graph, given, ef, scratch
        self.is_filtered = allowed is not None or dead is not None
        self.allowed = NO_BITMAP if allowed is None else allowed
        self.dead = NO_BITMAP if dead is None else dead
        room = pool_room(ef, self.is_filtered)
        scratch.make_room(len(graph), room, k)
        self.pool, self.best = scratch.pool[:room], scratch.best[:k]
        self.plan = plan_of(graph, ef, allowed, dead)
        self.is_complete = True

    def run(self, until: float | None) -> None:
        """Search; until: `time.perf_counter()` at which to stop."""
        scratch, state = self.scratch, self.scratch.state
        state[:] = 0
        # the rotation of the query is the walk's first step: a scan begins with a walk of no hops
        hops = 0 if self.plan.way is Way.SCAN else self.plan.max_hops
        is_late = self._walk(hops, until)
        blocks = int(state[STATE_HOPS])
        if state[STATE_STEP] == NOT_FINITE:
            raise InputError("has NaN, infinity or a length past what f32 holds", where="query")
        if state[STATE_STEP] == UNFINISHED:
            scratch.seen[:] = 0
        if not is_late and self._is_short():
            is_late = self._scan(until)
        self.is_complete, self.blocks_read = not is_late, blocks

    def _is_short(self) -> bool:
        """True where the walk was not done, or came to an end before it met as many passing nodes as it should."""
        state = self.scratch.state
        if state[STATE_STEP] == UNFINISHED:
            return True
        return self.is_filtered and bool(state[STATE_PASSING] < min(self.ef, self.plan.passing))

    def _walk(self, max_hops: int, until: float | None) -> bool:
        graph, scratch, space = self.graph, self.scratch, self.graph.space
        hops = max_hops if until is None else min(max_hops, SLICE_HOPS)
        while True:
            self.walk(
                graph.blocks, graph.roots, self.given, space.mean, space.signs, space.scale, self.allowed, self.dead,
                self.ef, AHEAD, hops, scratch.query, scratch.planes, scratch.sums, self.pool, self.best, scratch.seen,
                scratch.touched, scratch.recent, scratch.cut, scratch.state,
            )  # fmt: skip
            if until is None or scratch.state[STATE_STEP] != UNFINISHED or hops >= max_hops:
                return False
            if time.perf_counter() > until:
                return True
            hops = min(max_hops, hops + SLICE_HOPS)

    def _scan(self, until: float | None) -> bool:
        scratch = self.scratch
        scratch.state[STATE_STEP] = 0
        nodes = ALL_HOPS if until is None else SLICE_NODES
        while scratch.state[STATE_STEP] != DONE:
            scan_allowed(
                self.graph.blocks, scratch.query, self.allowed, self.dead, nodes, self.best, scratch.state,
                own=self.graph.own,
            )  # fmt: skip
            if until is not None and scratch.state[STATE_STEP] != DONE and time.perf_counter() > until:
                return True
        return False

    def found(self, space: Space) -> Found:
        """Return the result, copied out of the working memory."""
        scratch = self.scratch
        count = int(scratch.state[STATE_FOUND])
        rows, distances = np.empty((1, count), np.int64), np.empty((1, count), np.float32)
        if space.metric is Metric.DOT:
            scratch.constants[:] = space.constants(self.given[None])
        split_keys(
            self.best[None], scratch.state[STATE_FOUND : STATE_FOUND + 1], space.factor(), scratch.constants, rows,
            distances,
        )  # fmt: skip
        return Found(rows[0], distances[0], self.is_complete, self.blocks_read)


def _prepared(space: Space, query: Numbers) -> NDArray[np.float32]:
    """Return a query as a prepared row; NaN in plain f32 is found by the kernel."""
    if query.shape != space.mean.shape:
        raise ShapeError("query", expected=f"({space.dimension},)", got=query.shape)
    if query.dtype != np.float32 or not query.flags.c_contiguous or space.metric is Metric.COSINE:
        return space.prepared(query[None], "query").reshape(-1)
    return query.view(np.float32)


def plan_of(graph: Graph, ef: int, allowed: Bitmap | None, dead: Bitmap | None) -> Plan:
    """Return how a search would be done: what `explain` shows."""
    if allowed is None and dead is None:
        return plan_graph(len(graph), len(graph), ef, graph.space.width)
    passing = count_passing(NO_BITMAP if allowed is None else allowed, NO_BITMAP if dead is None else dead, len(graph))
    return plan_graph(len(graph), passing, ef, graph.space.width)


def pool_room(ef: int, is_filtered: bool) -> int:
    """Return the capacity of the list of candidates."""
    return ROOM * ef + 256 if is_filtered else ef + 1


def compared(k: int) -> int:
    """Return how many rows a search finds by the graph, to give the k nearest of them by exact distances."""
    return 2 * k + 16


def _check(k: int, ef: int) -> None:
    if k < 1 or ef < 1:
        raise InputError(f"is 1 or more, got {min(k, ef)}", where="k" if k < 1 else "ef")
