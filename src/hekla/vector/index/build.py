"""Building a graph: candidates from overlapping groups, pruned, turned round, refined by searching it for its own
nodes.

The result depends on the vectors and the seed alone, not on the number of threads. Sources: see
`hekla.kernels.graph_prune`,
`graph_encode` and `hekla.vector.index.neighbours`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hekla.base.errors import InputError, TooLargeError
from hekla.kernels.graph_encode import encode_blocks, own_vectors
from hekla.kernels.graph_explore import explore_nodes, measure_lists
from hekla.kernels.graph_layout import ADDED_AT, COUNT_AT, DEGREE, HEADER, LEADS_TO_ROOTS_AT, NOBODY, block_words
from hekla.kernels.graph_offer import empty_lists, offer_edges_back
from hekla.kernels.graph_pool import NODE_MASK
from hekla.kernels.graph_prune import prune_lists
from hekla.vector.index.graph import GraphIndex, huge_array
from hekla.vector.index.metric import Metric
from hekla.vector.index.neighbours import candidates, spread_leaders
from hekla.vector.index.searcher import AHEAD, Blocks, Graph, Numbers
from hekla.vector.index.space import Space, space_of

MAX_ROWS = 1 << 30  # numbers of nodes have 30 bits
MAX_DIMENSION = 65536
CAPACITY = 96  # candidates of a node
SLACK = 1.0
LOST_ENTRIES, LOST_ROUNDS = 1024, 4  # of nodes that do not find themselves, how many become entries at a time
WIDE = 192  # coordinates up to which codes of two bits are faster than of one
COPIES = 4  # equal vectors each of them leads to
ENTRIES = 512  # places a search may begin at; more where there are many rows:
ROWS_AN_ENTRY, MAX_ENTRIES = 32, 16384
ENTRIES_A_ROOT, MAX_LEADERS = 8, 1024  # on average: there should be more leaders than clusters
LARGEST = 60000.0  # of a coordinate of size 1 on average: what lies farther out is as far as f16 can say
MAX_ISLANDS = 2048  # parts of the graph that get an entry of their own

Keys = NDArray[np.uint64]
Counts = NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class GraphOptions:
    """How a graph is built.

    bits: of the code of a neighbour's coordinate, 1 or 2; None takes what is faster: 2 up to 192 coordinates, 1 beyond.
    shares: groups a vector is in. refinements: how often the graph is searched for each of its nodes, with ef
    `explored`.
    """

    bits: int | None = None
    seed: int = 0
    shares: int = 6
    refinements: int = 1
    explored: int = 64  # ef of a refinement

    def __post_init__(self) -> None:
        if self.bits not in (None, 1, 2):
            raise InputError(f"is 1 or 2, got {self.bits}", where="bits")

    def bits_for(self, width: int) -> int:
        """Return the bits for vectors of a padded dimension: the longer they are, the more one bit of each says in
        sum.
        """
        return self.bits or (2 if width <= WIDE else 1)


def build_graph(
    vectors: Numbers, metric: Metric, options: GraphOptions | None = None, *, threads: int = 1
) -> GraphIndex:
    """Return the index of vectors, (n, dimension), any n from 0 up to 2^30, f32, f16, i8 or other numbers.

    Memory: the blocks, and about 2000 bytes a vector while building.
    Errors: ShapeError, DtypeError, InputError for NaN; TooLargeError; UnsupportedError for a metric without graphs.
    """
    options = options or GraphOptions()
    if vectors.ndim == 2 and (len(vectors) > MAX_ROWS or not 1 <= vectors.shape[1] <= MAX_DIMENSION):
        raise TooLargeError(
            "vectors", limit=f"{MAX_ROWS} vectors of 1 to {MAX_DIMENSION} coordinates", got=str(vectors.shape)
        )
    space, rows = _space_and_rows(vectors, metric, options.seed)
    points, added = space.rotated(rows), space.added(rows)
    first, which = distinct(points, added)
    if len(first) == len(points):
        return GraphIndex(_graph_of(space, points, added, options, max(1, threads)))
    single = _graph_of(space, points[first], added[first], options, max(1, threads))
    return GraphIndex(with_copies(single, first, which, max(1, threads)))


def _graph_of(
    space: Space, points: NDArray[np.float32], added: NDArray[np.float32], options: GraphOptions, threads: int
) -> Graph:
    builder = _Builder(space, blank_blocks(space, points, added, options.bits_for(space.width)), options, threads)
    builder.first_edges(points, added)
    for _ in range(options.refinements if len(points) > 1 else 0):
        builder.refine()
    return builder.graph()


def _space_and_rows(vectors: Numbers, metric: Metric, seed: int) -> tuple[Space, NDArray[np.float32]]:
    dimension = vectors.shape[-1]
    empty = space_of(metric, np.zeros((0, dimension), np.float32), seed)
    rows = empty.prepared(vectors, "vectors")
    return space_of(metric, rows, seed), rows


def blank_blocks(space: Space, points: NDArray[np.float32], added: NDArray[np.float32], bits: int) -> Blocks:
    """Return blocks with own vectors and without neighbours."""
    blocks = huge_array(len(points), block_words(space.width, bits))
    own_vectors(blocks, space.width)[:] = np.clip(points, -LARGEST, LARGEST)
    blocks[:, ADDED_AT] = added.view(np.uint32)
    return blocks


class _Builder:
    """Blocks that get their edges step by step."""

    def __init__(self, space: Space, blocks: Blocks, options: GraphOptions, threads: int) -> None:
        self.space, self.blocks, self.options, self.threads = space, blocks, options, threads
        self.edges, self.counts = _no_edges(len(blocks))
        self.bits = options.bits_for(space.width)
        self.roots = blocks[:0]
        self.lost = np.zeros(0, np.uint32)

    def first_edges(self, points: NDArray[np.float32], added: NDArray[np.float32]) -> None:
        """Take candidates from groups. What nodes add is one more coordinate there."""
        if added.any():
            last = np.zeros((len(points), 16), np.float32)
            last[:, 0] = np.sqrt(added)
            points = np.concatenate((points, last), axis=1)
        lists, sizes = candidates(
            points, seed=self.options.seed, capacity=CAPACITY, shares=self.options.shares, threads=self.threads
        )
        edges, counts = self._pruned(lists, sizes)
        lists, sizes = self._measured(edges, counts)
        self._settle(lists, sizes)

    def refine(self) -> None:
        """Search the graph for each node, and choose its neighbours again from what was found and what it had."""
        lists, sizes = self._lists_of(self.edges, self.counts)
        is_found = self._explored(np.arange(len(self.blocks), dtype=np.uint32), lists, sizes)
        lost = np.flatnonzero(~is_found).astype(np.uint32)
        for _ in range(LOST_ROUNDS):
            if len(lost) == 0:
                break
            self._show_way_to(lost)
            again, again_sizes = lists[lost], sizes[lost]
            is_found = self._explored(lost, again, again_sizes)
            lists[lost], sizes[lost] = again, again_sizes
            lost = lost[~is_found]
        edges, counts = self._pruned(lists, sizes)
        self._settle(*self._lists_of(edges, counts))

    def _explored(self, nodes: NDArray[np.uint32], lists: Keys, sizes: Counts) -> NDArray[np.bool_]:
        """Offer to nodes what searches for them find; return whether each found itself."""
        is_found = np.zeros(len(nodes), np.uint8)
        explore_nodes(
            self.blocks, self.roots, nodes, self.space.width, self.options.explored, AHEAD, self.threads, lists, sizes,
            is_found, bits=self.bits,
        )  # fmt: skip
        return is_found.astype(np.bool_)

    def _show_way_to(self, lost: NDArray[np.uint32]) -> None:
        """Make entries of some nodes that a search does not find: they lie in clusters that no entry is in."""
        some = lost[:: max(1, len(lost) // LOST_ENTRIES)]
        self.lost = np.unique(np.concatenate((self.lost, some)))
        self._make_roots()

    def _make_roots(self) -> None:
        entries = np.unique(np.concatenate((entries_of(self.space, self.blocks), self.lost)))
        self.roots = make_roots(self.space, self.blocks, self.bits, entries)

    def graph(self) -> Graph:
        """Return what was built."""
        return Graph(self.space, self.blocks, self.roots, self.bits)

    def _settle(self, lists: Keys, sizes: Counts) -> None:
        """Turn edges round, choose again among both directions, write the blocks and the roots."""
        edges, counts = lists[:, :DEGREE].copy(), sizes.copy()
        offer_edges_back(edges, counts, lists, sizes)
        self.edges, self.counts = self._pruned(lists, sizes)
        write_edges(self.blocks, self.space.width, self.edges, self.counts)
        encode_blocks(self.blocks, 0, len(self.blocks), self.space.width, self.threads, bits=self.bits)
        self._make_roots()

    def _pruned(self, lists: Keys, sizes: Counts) -> tuple[Keys, Counts]:
        edges, counts = _no_edges(len(lists))
        prune_lists(self.blocks, lists, sizes, self.space.width, SLACK, self.threads, edges, counts)
        return edges, counts

    def _measured(self, edges: Keys, counts: Counts) -> tuple[Keys, Counts]:
        lists, sizes = empty_lists(len(edges), CAPACITY)
        measure_lists(self.blocks, 0, self.space.width, self.threads, edges, counts, lists, sizes)
        return lists, sizes

    def _lists_of(self, edges: Keys, counts: Counts) -> tuple[Keys, Counts]:
        lists, sizes = empty_lists(len(edges), CAPACITY)
        lists[:, :DEGREE], sizes[:] = edges, counts
        return lists, sizes


def _no_edges(count: int) -> tuple[Keys, Counts]:
    return empty_lists(count, DEGREE)


def distinct(points: NDArray[np.float32], added: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first of each set of equal points, in order, and for each point the place of its first among those."""
    if not len(points):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    words = np.concatenate((points.view(np.uint32), added[:, None].view(np.uint32)), axis=1)
    random = np.random.default_rng(0).integers(1, 1 << 63, words.shape[1], dtype=np.uint64)
    odd: NDArray[np.uint64] = np.asarray(random | np.uint64(1))
    sums = np.zeros(len(words), np.uint64)
    for number in range(words.shape[1]):  # a column at a time: no temporary of twice the points
        sums += words[:, number] * odd[number]
    _, first, which = np.unique(sums, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty(len(first), np.int64)
    place[order] = np.arange(len(first))
    first, which = first[order], place[which]
    if not np.array_equal(words[first[which]], words):  # two sums met: all are taken for different
        return np.arange(len(points)), np.arange(len(points))
    return first, which


def with_copies(single: Graph, first: NDArray[np.int64], which: NDArray[np.int64], threads: int) -> Graph:
    """Return the graph of all points from that of the distinct ones.

    Copies have the neighbours of the first of them, which leads to them as a tree of COPIES branches: a crowd of copies
    that knew only each other would be a place no search gets out of.
    """
    space, bits = single.space, single.bits
    blocks = huge_array(len(which), single.blocks.shape[1])
    np.take(single.blocks, which, axis=0, out=blocks)
    at = HEADER + space.width // 2
    names = blocks[:, at : at + DEGREE]
    is_one = names != NOBODY
    names[is_one] = first[names[is_one]]
    order = np.argsort(which, kind="stable")
    bounds = np.searchsorted(which[order], np.arange(len(first) + 1))
    for crowd in np.flatnonzero(np.diff(bounds) > 1).tolist():
        members = order[bounds[crowd] : bounds[crowd + 1]]
        for place, node in enumerate(members.tolist()):
            children = members[COPIES * place + 1 : COPIES * place + 1 + COPIES]
            start = min(int(blocks[node, COUNT_AT]), DEGREE - len(children))
            names[node, start : start + len(children)] = children
            blocks[node, COUNT_AT] = start + len(children)
    encode_blocks(blocks, 0, len(blocks), space.width, threads, bits=bits)
    return Graph(space, blocks, make_roots(space, blocks, bits, entries_of(space, blocks)), bits)


def write_edges(blocks: Blocks, width: int, edges: Keys, counts: Counts) -> None:
    """Write the numbers of neighbours; codes follow by `encode_blocks`."""
    names = (edges & np.uint64(NODE_MASK)).astype(np.uint32)
    names[np.arange(DEGREE) >= counts[:, None]] = NOBODY
    at = HEADER + width // 2
    blocks[:, at : at + DEGREE], blocks[:, COUNT_AT] = names, counts


def entries_of(space: Space, blocks: Blocks) -> NDArray[np.uint32]:
    """Return where a search may begin: nodes evenly spread, and one of each part of the graph that they do not lead
    to.
    """
    count = len(blocks)
    wanted = min(count, MAX_ENTRIES, max(ENTRIES, count // ROWS_AN_ENTRY))
    entries = np.unique(np.linspace(0, count - 1, wanted).astype(np.uint32)) if count else np.zeros(0, "u4")
    return np.concatenate((entries, _islands(space, blocks, entries)))


def make_roots(space: Space, blocks: Blocks, bits: int, entries: NDArray[np.uint32]) -> Blocks:
    """Return blocks whose neighbours are the entries: around the mean if they are few, else around some of them.

    Those are then the neighbours of the first roots, which are around the mean: so that a search estimates the
    distances of hundreds of thousands of entries from some 20 blocks. Without enough entries no way leads from one
    cluster to another.
    """
    own = blocks[entries]
    if len(entries) <= ENTRIES:
        return _named(_roots_to(space, bits, own, _in_groups(len(entries)), own[:0]), space, entries)
    points = own_vectors(own, space.width).astype(np.float32)
    leaders, places = spread_leaders(points, min(MAX_LEADERS, max(ENTRIES, len(entries) // ENTRIES_A_ROOT)))
    order = np.argsort(places, kind="stable")
    bounds = np.searchsorted(places[order], np.arange(len(leaders) + 1))
    groups, centres = [], []
    for leader, (start, end) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
        for begin in range(start, end, DEGREE):
            groups.append(order[begin : min(end, begin + DEGREE)])
            centres.append(leaders[leader])
    around = own[np.array(centres)]
    around[:, ADDED_AT] = 0
    low = _named(_roots_to(space, bits, own, groups, around), space, entries)
    high = _roots_to(space, bits, around, _in_groups(len(around)), own[:0])
    high[:, LEADS_TO_ROOTS_AT] = 1
    return np.concatenate((_named(high, space, len(high) + np.arange(len(low), dtype=np.uint32)), low))


def _in_groups(count: int) -> list[NDArray[np.int64]]:
    return [np.arange(start, min(count, start + DEGREE)) for start in range(0, count, DEGREE)]


def _roots_to(space: Space, bits: int, targets: Blocks, groups: list[NDArray[np.int64]], around: Blocks) -> Blocks:
    """Return a block for each group, whose neighbours are places in `targets`; around the mean, or each around its
    own vector.
    """
    at = HEADER + space.width // 2
    together = np.zeros((len(groups) + len(targets), targets.shape[1]), np.uint32)
    together[len(groups) :] = targets  # the kernel encodes neighbours in the same array
    if len(around):
        together[: len(groups), HEADER:at] = around[:, HEADER:at]
    for block, group in zip(together, groups, strict=False):
        block[at : at + DEGREE] = NOBODY
        block[at : at + len(group)] = len(groups) + group
        block[COUNT_AT] = len(group)
    encode_blocks(together, 0, len(groups), space.width, 1, bits=bits)
    roots = together[: len(groups)].copy()
    names = roots[:, at : at + DEGREE]
    names[names != NOBODY] -= np.uint32(len(groups))
    return roots


def _named(roots: Blocks, space: Space, numbers: NDArray[np.uint32]) -> Blocks:
    """Return the roots with places of targets turned into their numbers."""
    at = HEADER + space.width // 2
    names = roots[:, at : at + DEGREE]
    is_one = names != NOBODY
    names[is_one] = numbers[names[is_one]]
    return roots


def _islands(space: Space, blocks: Blocks, entries: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the first node of each part that no way leads to from the entries."""
    at = HEADER + space.width // 2
    names = blocks[:, at : at + DEGREE]
    is_reached = np.zeros(len(blocks), np.bool_)
    found: list[int] = []
    _reach(names, is_reached, entries)
    missing = np.flatnonzero(~is_reached)
    for node in missing.tolist():
        if not is_reached[node]:
            found.append(node)
            _reach(names, is_reached, np.array([node], np.uint32))
            if len(found) == MAX_ISLANDS:
                break
    return np.array(found, np.uint32)


def _reach(names: Blocks, is_reached: NDArray[np.bool_], frontier: NDArray[np.uint32]) -> None:
    is_reached[frontier] = True
    while len(frontier):
        following = np.unique(names[frontier])
        following = following[following < len(names)]
        frontier = following[~is_reached[following]]
        is_reached[frontier] = True
