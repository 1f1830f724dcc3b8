"""Search of a graph of blocks (`graph_layout`): one native call finds the nearest of a query, or of many.

Shapes:  blocks, roots, allowed, dead: `graph_walk`; mean (d,), signs (4, w), scale: `graph_rotate`; given (d,) or
         queries (m, d) of the type of the rows; originals (n, d): the rows as they were given, by which what is found
         is ranked, or (0, d): then distances of points times `factor`, with what `metric` adds (largest: the squared
         length that an inner product is counted from); ids, places to answered: `answer`.
State:   state (STATE_WORDS,) index, see STEP there: a search that spent its budget of hops is resumed by calling again
         with the same arrays.
Method:  a filter that lets few pass is scanned, else the graph is walked (`hekla.vector.index.plan` has the limits:
         at most `most_scanned` passing rows are scanned at once, and a walk takes `hops_a_row` for each that passes);
         after a walk that did not meet enough of what passes a scan follows.
Source:  see `graph_walk`; exact re-ranking, Subramanya et al., "DiskANN", NeurIPS 2019.
"""

import math

import numpy as np

from hekla.kernels.answer import (
    ANSWER_COUNT,
    ANSWER_HOPS,
    ANSWER_IS_ZERO,
    ANSWER_WORDS,
    deliver,
    rank_key,
    rank_of,
    row_of,
)
from hekla.kernels.distances import squared_l2
from hekla.kernels.graph_compact import (
    SMALL_ADDED_AT,
    SMALL_HEADER,
    compact_blocks,
    compact_words,
    cut_query,
)
from hekla.kernels.graph_encode import encode_blocks, own_vectors, sample_blocks
from hekla.kernels.graph_estimate import PLANES, bit_planes
from hekla.kernels.graph_layout import ADDED_AT, COUNT_AT, DEGREE, HEADER
from hekla.kernels.graph_pool import distance_of, insert, node_of
from hekla.kernels.graph_rotate import reference_rotate_rows, rotate, rotation_signs
from hekla.kernels.graph_scan import passing_of, scan_allowed
from hekla.kernels.graph_state import (
    ALL_HOPS,
    DONE,
    FARTHEST,
    FRESH,
    LATE,
    RANKING,
    RECENT,
    REFUSED,
    SCANNING,
    STATE_ENOUGH,
    STATE_FOUND,
    STATE_HOPS,
    STATE_IS_ZERO,
    STATE_MOST_HOPS,
    STATE_PASSING,
    STATE_STEP,
    STATE_TOUCHED,
    STATE_WORDS,
    WALKING,
    forget,
    square_of,
)
from hekla.kernels.graph_walk import begin, walk
from hekla.kernels.graph_walk_small import walk_small
from hekla.kernels.measures import LESS_ONE, MINUS, ROOT
from hekla.kernels.sizes import normal
from hekla.lang import (
    Array,
    Const,
    Function,
    MutView,
    TypeParam,
    Vec,
    View,
    buffer,
    f32,
    f64,
    fma,
    i8,
    i64,
    index,
    kernel,
    load,
    parallel,
    prefetch,
    reduce_add,
    sqrt,
    store,
    u32,
    u64,
)
from hekla.lang.sweep import Sweep

T = TypeParam("T")
WORD, LANES = 64, 16
NODES_A_HOP = 4  # of a scan, in the time of a hop
ROWS_AHEAD = 8  # rows on their way from memory while those found are ranked
KEPT = 12  # of the sweep
NAN = math.nan


@kernel(inline=True)
def prepare(given: View[T, 1], plain: MutView[f32, 1], *, metric: Const) -> f32:
    """Write a query as f32, of length 1 under cosine, and return its squared length."""
    n = len(given)
    squares = Vec[f32, LANES](0.0)
    for i in range(0, n, LANES):
        v = f32(load(given, i, width=LANES, count=n - i))
        squares = fma(v, v, squares)
    square = reduce_add(squares)
    factor = f32(1.0)
    if metric == LESS_ONE and square > 0.0:
        factor = 1.0 / sqrt(square)
    for i in range(0, n, LANES):
        store(plain, i, f32(load(given, i, width=LANES, count=n - i)) * factor, count=n - i)
    return square


@kernel(inline=True)
def find(
    blocks: View[u32, 2],
    roots: View[u32, 2],
    mean: View[f32, 1],
    signs: View[f32, 2],
    scale: f32,
    largest: f32,
    given: View[T, 1],
    allowed: View[u64, 1],
    dead: View[u64, 1],
    ef: index,
    room: index,
    ahead: index,
    budget: index,
    most_scanned: index,
    hops_a_row: f32,
    plain: MutView[f32, 1],
    query: MutView[f32, 1],
    planes: MutView[u64, 1],
    sums: MutView[f32, 1],
    cut: MutView[i8, 1],
    pool: MutView[u64, 1],
    best: MutView[u64, 1],
    seen: MutView[u64, 1],
    touched: MutView[u32, 1],
    recent: MutView[u64, 1],
    state: MutView[index, 1],
    *,
    bits: Const,
    own: Const,
    metric: Const,
):
    """Begin a search, or go on with it, until what is nearest is in `best` or the budget is spent."""
    n = blocks.shape[0]
    if state[STATE_STEP] == FRESH:
        square = prepare(given, plain, metric=metric)
        rotate(plain, mean, signs, scale, query)
        if not (square < FARTHEST and square_of(query) < FARTHEST):
            state[STATE_STEP] = REFUSED
            return
        sums[2] = -0.5 * (square + largest) if metric == MINUS else f32(0.0)
        state[STATE_IS_ZERO] = index(i64(square == 0.0))
        passing = n
        if len(allowed) > 0 or len(dead) > 0:
            passing = passing_of(allowed, dead, n)
        if passing < n and passing <= most_scanned:
            state[STATE_STEP] = SCANNING
        else:
            state[STATE_STEP] = WALKING
            state[STATE_MOST_HOPS] = 2 * n + 64
            if passing < n:
                state[STATE_MOST_HOPS] = index(i64(f32(passing) * hops_a_row)) + 64
                state[STATE_ENOUGH] = min(ef, passing)
            bit_planes(query, planes, sums)
            begin(
                n, roots, query, planes, sums, allowed, dead, ef, pool[0:room], seen, touched, recent, state, bits=bits
            )
            if own != 0:
                cut_query(query, sums, cut)
    if state[STATE_STEP] == WALKING and budget > 0:
        hops = min(state[STATE_MOST_HOPS], state[STATE_HOPS] + budget)
        is_done = False
        if own == 0:
            is_done = walk(
                blocks, query, planes, sums, allowed, dead, ef, ahead, hops, pool[0:room], best, seen, touched, recent,
                state, bits=bits,
            )  # fmt: skip
        else:
            is_done = walk_small(
                blocks, query, cut, sums, allowed, dead, ef, hops, pool[0:room], best, seen, touched, state, own=own
            )
        if is_done or hops == state[STATE_MOST_HOPS]:
            forget(seen, touched, state[STATE_TOUCHED])
            # a walk that came to an end before it met as many passing nodes as it should may have missed some
            is_enough = is_done and state[STATE_PASSING] >= state[STATE_ENOUGH]
            state[STATE_STEP] = RANKING if is_enough else SCANNING
    if (
        state[STATE_STEP] == SCANNING
        and budget > 0
        and scan_allowed(blocks, query, allowed, dead, budget * NODES_A_HOP, best, state, own=own, metric=metric)
    ):
        state[STATE_STEP] = RANKING


@kernel(inline=True)
def fetch_row(rows: View[T, 2], row: index, *, line: Const):
    for i in range(0, rows.shape[1], line):
        prefetch(rows, row, i)


@kernel(inline=True)
def rank_found(
    keys: MutView[u64, 1],
    count: index,
    originals: View[T, 2],
    given: View[T, 1],
    factor: f32,
    constant: f32,
    *,
    pair: Function,
    sign: Const,
    offset: Const,
    line: Const,
):
    """Turn keys of nodes into keys of ranks (`answer`): measured by the rows given, where there are any."""
    if originals.shape[0] == 0:
        for i in range(count):
            keys[i] = rank_key(distance_of(keys[i]) * factor + constant, node_of(keys[i]))
        return
    for i in range(min(count, ROWS_AHEAD)):
        fetch_row(originals, node_of(keys[i]), line=line)
    for i in range(count):
        if i + ROWS_AHEAD < count:
            fetch_row(originals, node_of(keys[i + ROWS_AHEAD]), line=line)
        row = node_of(keys[i])
        rank = f32(offset) + f32(sign) * pair(given, originals[row])
        insert(keys, i, rank_key(rank, row))


@kernel
def search_one(
    blocks: View[u32, 2],
    roots: View[u32, 2],
    mean: View[f32, 1],
    signs: View[f32, 2],
    scale: f32,
    factor: f32,
    largest: f32,
    originals: View[T, 2],
    ids: View[u64, 1],
    part: index,
    given: View[T, 1],
    allowed: View[u64, 1],
    dead: View[u64, 1],
    k: index,
    wanted: index,
    ef: index,
    room: index,
    ahead: index,
    budget: index,
    most_scanned: index,
    hops_a_row: f32,
    plain: MutView[f32, 1],
    query: MutView[f32, 1],
    planes: MutView[u64, 1],
    sums: MutView[f32, 1],
    cut: MutView[i8, 1],
    pool: MutView[u64, 1],
    best: MutView[u64, 1],
    seen: MutView[u64, 1],
    touched: MutView[u32, 1],
    recent: MutView[u64, 1],
    state: MutView[index, 1],
    places: MutView[index, 1],
    known: MutView[u64, 1],
    ranks: MutView[f32, 1],
    scores: MutView[f64, 1],
    answered: MutView[index, 1],
    *,
    bits: Const,
    own: Const,
    metric: Const,
    pair: Function,
    sign: Const,
    offset: Const,
    line: Const,
) -> index:
    """Search for one query, or go on where the last call returned WALKING or SCANNING; a budget of 0 hops ends it.

    Return the step it came to. plain to state are working memory, places to answered the answer.
    """
    if state[STATE_STEP] >= DONE:
        for i in range(STATE_WORDS):
            state[i] = 0
    find(
        blocks, roots, mean, signs, scale, largest, given, allowed, dead, ef, room, ahead, budget, most_scanned,
        hops_a_row, plain, query, planes, sums, cut, pool, best[0:wanted], seen, touched, recent, state,
        bits=bits, own=own, metric=metric,
    )  # fmt: skip
    step = state[STATE_STEP]
    if step == REFUSED or (step != RANKING and budget > 0):
        return step
    if step == WALKING:
        forget(seen, touched, state[STATE_TOUCHED])
    count = state[STATE_FOUND]
    rank_found(best[0:wanted], count, originals, given, factor, sums[2], pair=pair, sign=sign, offset=offset, line=line)
    deliver(best, count, ids, part, k, places, known, ranks, scores, answered, offset=0.0, scoring=metric)
    answered[ANSWER_HOPS] += state[STATE_HOPS]
    answered[ANSWER_IS_ZERO] = state[STATE_IS_ZERO]
    state[STATE_STEP] = DONE if step == RANKING else LATE
    return state[STATE_STEP]


@kernel
def search_many(
    blocks: View[u32, 2],
    roots: View[u32, 2],
    mean: View[f32, 1],
    signs: View[f32, 2],
    scale: f32,
    factor: f32,
    largest: f32,
    originals: View[T, 2],
    queries: View[T, 2],
    allowed: View[u64, 1],
    dead: View[u64, 1],
    wanted: index,
    ef: index,
    room: index,
    ahead: index,
    most_scanned: index,
    hops_a_row: f32,
    threads: index,
    rows: MutView[index, 2],
    distances: MutView[f32, 2],
    *,
    bits: Const,
    own: Const,
    metric: Const,
    pair: Function,
    sign: Const,
    offset: Const,
    line: Const,
):
    """Search for many queries, shared among threads; rows are -1 and distances NaN where fewer are found."""
    m = queries.shape[0]
    width = signs.shape[1]
    for t in parallel(threads, unproved="a thread writes the rows of its own share"):
        plain = buffer(f32, queries.shape[1])
        query = buffer(f32, width)
        planes = buffer(u64, width // WORD * PLANES)
        cut = buffer(i8, width)
        pool = buffer(u64, room)
        best = buffer(u64, wanted)
        seen = buffer(u64, (blocks.shape[0] + 31) // 32)
        touched = buffer(u32, 4096)
        recent = buffer(u64, RECENT)
        sums = Array[f32, 3](0.0)
        state = Array[index, STATE_WORDS](0)
        for i in range(t * m // threads, (t + 1) * m // threads):
            for j in range(STATE_WORDS):
                state[j] = 0
            find(
                blocks, roots, mean, signs, scale, largest, queries[i], allowed, dead, ef, room, ahead, ALL_HOPS,
                most_scanned, hops_a_row, plain.mut(), query.mut(), planes.mut(), sums.mut(), cut.mut(), pool.mut(),
                best.mut(), seen.mut(), touched.mut(), recent.mut(), state.mut(), bits=bits, own=own, metric=metric,
            )  # fmt: skip
            count = state[STATE_FOUND]
            rank_found(
                best.mut(), count, originals, queries[i], factor, sums[2],
                pair=pair, sign=sign, offset=offset, line=line,
            )  # fmt: skip
            for j in range(rows.shape[1]):
                rows[i, j] = -1
                distances[i, j] = NAN
                if j < count:
                    rows[i, j] = row_of(best[j])
                    distances[i, j] = rank_of(best[j])


@kernel
def search_every_way(
    blocks: View[u32, 2],
    roots: View[u32, 2],
    queries: View[f32, 2],
    mean: View[f32, 1],
    signs: View[f32, 2],
    originals: View[f32, 2],
    allowed: View[u64, 1],
    dead: View[u64, 1],
    hops: index,
    nodes: MutView[index, 3],
    distances: MutView[f32, 3],
    *,
    bits: Const,
    own: Const,
    metric: Const,
):
    """Search every way there is with room for all: what the sweep compares. hops: where a search rests and is
    resumed.
    """
    n = blocks.shape[0]
    width = signs.shape[1]
    plain = buffer(f32, queries.shape[1])
    query = buffer(f32, width)
    planes = buffer(u64, width // WORD * PLANES)
    cut = buffer(i8, width)
    pool = buffer(u64, n + 1)
    best = buffer(u64, KEPT)
    seen = buffer(u64, (n + 31) // 32)
    touched = buffer(u32, 2)
    recent = buffer(u64, RECENT)
    ids = buffer(u64, 0)
    known = buffer(u64, KEPT)
    scores = buffer(f64, KEPT)
    sums = Array[f32, 3](0.0)
    state = Array[index, STATE_WORDS](0)
    answered = Array[index, ANSWER_WORDS](0)
    for i in range(queries.shape[0]):
        for way in range(2):
            for j in range(KEPT):
                nodes[i, way, j] = -1
                distances[i, way, j] = NAN
            answered[ANSWER_COUNT] = 0
            step = FRESH
            while step < DONE:
                step = search_one(
                    blocks, roots, mean, signs, 1.0, 2.0, 0.0, originals, ids.view(), 0, queries[i], allowed, dead,
                    KEPT, KEPT, n, n + 1, 3, hops, way * n, 1e6, plain.mut(), query.mut(), planes.mut(), sums.mut(),
                    cut.mut(), pool.mut(), best.mut(), seen.mut(), touched.mut(), recent.mut(), state.mut(),
                    nodes[i, way], known.mut(), distances[i, way], scores.mut(), answered.mut(), bits=bits, own=own,
                    metric=metric, pair=squared_l2, sign=1.0, offset=0.0, line=16,
                )  # fmt: skip
        search_many(
            blocks, roots, mean, signs, 1.0, 2.0, 0.0, originals, queries[i : i + 1], allowed, dead, KEPT, n, n + 1,
            2, -1, 1e6, 1, nodes[i, 2:3], distances[i, 2:3], bits=bits, own=own, metric=metric, pair=squared_l2,
            sign=1.0, offset=0.0, line=16,
        )  # fmt: skip


def reference_search_every_way(blocks, roots, queries, mean, signs, originals, allowed, dead, hops, nodes, distances):
    """Say it in NumPy: all that are allowed and not dead, nearest first, whichever way."""
    width = signs.shape[1]
    is_wide = blocks.shape[1] == roots.shape[1]
    start = HEADER if is_wide else SMALL_HEADER
    added = blocks[:, ADDED_AT if is_wide else SMALL_ADDED_AT].view(np.float32)
    rotated = np.zeros((len(queries), width))
    reference_rotate_rows(queries, mean, signs, 1.0, rotated)
    own = blocks[:, start : start + width // 2].view(np.float16).astype(np.float64)
    passing = (
        np.unpackbits(allowed.view(np.uint8), bitorder="little")[: len(own)] if len(allowed) else np.ones(len(own))
    )
    if len(dead):
        passing = passing * (1 - np.unpackbits(dead.view(np.uint8), bitorder="little")[: len(own)])
    nodes[:], distances[:] = -1, np.nan
    for i, query in enumerate(rotated):
        exact = 2 * (((own - query) ** 2).sum(axis=1) + added)
        if added.any():  # of inner products: the constant that `metric` adds
            exact -= 0.5 * (queries[i].astype(np.float64) ** 2).sum()
        if len(originals):
            exact = ((originals.astype(np.float64) - queries[i]) ** 2).sum(axis=1)
        order = [node for node in np.argsort(exact) if passing[node]][: nodes.shape[2]]
        nodes[i, :, : len(order)] = order
        distances[i, :, : len(order)] = exact[order]


def cases(bits, own, metric):
    """A graph in which each node is reached; with and without filters, dead nodes and rows to rank by."""

    def make(rng):
        made = []
        width, n = 64, 11
        blocks = sample_blocks(rng, n + 1, width, bits)
        ids_at = HEADER + width // 2
        blocks[:, COUNT_AT] = DEGREE
        blocks[:n, ids_at : ids_at + DEGREE] = rng.integers(0, n, (n, DEGREE))
        own_vectors(blocks, width)[n:] = 0
        if metric == ROOT:
            blocks[:, ADDED_AT] = 0
        blocks[n, ids_at : ids_at + n], blocks[n, COUNT_AT] = np.arange(n), n
        encode_blocks(blocks, 0, n + 1, width, 1, bits=bits)
        blocks[2, ids_at + 5] = n + 1000  # damage: a node that does not exist
        some, none = np.array([0b01011011101], np.uint64), np.zeros(0, np.uint64)
        for allowed, dead, hops, rows in (
            (none, none, 1000, 0),
            (some, none, 3, n),
            (some, ~some >> np.uint64(3), 5, 0),
        ):
            nodes = blocks[:n].copy()
            if own:
                nodes = np.zeros((n, compact_words(width, own)), np.uint32)
                compact_blocks(blocks[:n], width, 1, nodes, own=own)
            queries = normal(rng, (1, 50))
            made.append((
                nodes, blocks[n:].copy(), queries, normal(rng, (50,)), rotation_signs(width, 1),
                normal(rng, (rows, 50)), allowed, dead, hops, np.zeros((1, 3, KEPT), np.int64),
                np.zeros((1, 3, KEPT), np.float32),
            ))  # fmt: skip
        return made

    return make


SWEEPS = tuple(
    Sweep(
        search_every_way,
        reference_search_every_way,
        cases(bits, own, metric),
        1e-4,
        1e-4,
        (("bits", bits), ("own", own), ("metric", metric)),
        f"search_every_way_{bits}_{own}",
    )
    for bits, own, metric in ((1, 0, MINUS), (2, 0, ROOT), (1, 16, MINUS))
)
