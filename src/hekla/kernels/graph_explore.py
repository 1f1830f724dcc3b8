"""Candidates for a node's neighbours by searching a graph for the node itself: how a graph is refined, and how it
grows.

Shapes:  as `graph_search`; lists (m, capacity) u64 of keys and sizes (m,) u32 (`graph_offer`) for the m nodes from
         `first` on.
"""

from hekla.kernels.graph_encode import encode_block, own_part
from hekla.kernels.graph_estimate import PLANES, bit_planes, own_distance
from hekla.kernels.graph_layout import ADDED_AT, COUNT_AT, DEGREE, neighbours_at
from hekla.kernels.graph_offer import offer
from hekla.kernels.graph_pool import insert, key_of, node_of
from hekla.kernels.graph_prune import fetch_own, prune_list
from hekla.kernels.graph_search import begin, walk
from hekla.kernels.graph_state import ALL_HOPS, RECENT, STATE_FOUND, STATE_TOUCHED, STATE_WORDS, forget
from hekla.lang import (
    Array,
    Const,
    MutView,
    View,
    bitcast,
    buffer,
    f32,
    index,
    kernel,
    parallel,
    sqrt,
    store,
    u8,
    u32,
    u64,
)

LANES, WORD = 16, 64


@kernel(inline=True)
def node_distance(blocks: View[u32, 2], node: index, added: f32, query: View[f32, 1]) -> f32:
    """Return the squared distance of a node from another one, given by its own vector and what it adds."""
    apart = sqrt(added) - sqrt(bitcast(f32, blocks[node, ADDED_AT]))
    return own_distance(blocks, node, query) + apart * apart


@kernel(inline=True)
def own_query(blocks: View[u32, 2], node: index, query: MutView[f32, 1]):
    for i in range(0, len(query), LANES):
        store(query, i, own_part(blocks, node, i))


@kernel
def measure_lists(
    blocks: View[u32, 2],
    first: index,
    width: index,
    threads: index,
    given: View[u64, 2],
    given_sizes: View[u32, 1],
    lists: MutView[u64, 2],
    sizes: MutView[u32, 1],
):
    """Offer to each node those given, at distances measured between own vectors: equal ones then have equal keys."""
    m = given.shape[0]
    for t in parallel(threads, unproved="a thread has the rows of its own share"):
        query = buffer(f32, width)
        for i in range(t * m // threads, (t + 1) * m // threads):
            own_query(blocks, first + i, query.mut())
            added = bitcast(f32, blocks[first + i, ADDED_AT])
            for j in range(index(given_sizes[i])):
                fetch_own(blocks, node_of(given[i, j]), width)
            for j in range(index(given_sizes[i])):
                other = node_of(given[i, j])
                if other != first + i:
                    distance = node_distance(blocks, other, added, query.view())
                    offer(lists, sizes, i, key_of(distance, u32(other)))


@kernel
def explore_nodes(
    blocks: View[u32, 2],
    roots: View[u32, 2],
    nodes: View[u32, 1],
    width: index,
    ef: index,
    ahead: index,
    threads: index,
    lists: MutView[u64, 2],
    sizes: MutView[u32, 1],
    is_found: MutView[u8, 1],
    *,
    bits: Const,
):
    """Offer to each of some nodes what a search for it finds; is_found: whether it finds the node, or an equal one."""
    m = lists.shape[0]
    for t in parallel(threads, unproved="a thread has the rows of its own share"):
        query = buffer(f32, width)
        planes = buffer(u64, width // WORD * PLANES)
        pool = buffer(u64, ef + 1)
        best = buffer(u64, lists.shape[1])
        seen = buffer(u64, (blocks.shape[0] + 31) // 32)
        touched = buffer(u32, 4096)
        recent = buffer(u64, RECENT)
        sums = Array[f32, 2](0.0)
        state = Array[index, STATE_WORDS](0)
        none = Array[u64, 1](0)
        for i in range(t * m // threads, (t + 1) * m // threads):
            node = index(nodes[i])
            for j in range(STATE_WORDS):
                state[j] = 0
            own_query(blocks, node, query.mut())
            added = bitcast(f32, blocks[node, ADDED_AT])
            bit_planes(query.view(), planes.mut(), sums.mut())
            begin(
                blocks.shape[0], roots, query.view(), planes.view(), sums.view(), none.view(), none.view(), ef,
                pool.mut(), seen.mut(), touched.mut(), recent.mut(), state.mut(), bits=bits, filtered=False,
            )  # fmt: skip
            walk(
                blocks, query.view(), planes.view(), sums.view(), none.view(), none.view(), ef, ahead, ALL_HOPS,
                pool.mut(), best.mut(), seen.mut(), touched.mut(), recent.mut(), state.mut(), bits=bits, filtered=False,
            )  # fmt: skip
            forget(seen.mut(), touched.view(), state[STATE_TOUCHED])
            is_found[i] = 0
            if state[STATE_FOUND] > 0 and best[0] >> 32 == 0:
                is_found[i] = 1
            for j in range(state[STATE_FOUND]):
                other = node_of(best[j])
                if other != node:
                    distance = node_distance(blocks, other, added, query.view())
                    offer(lists, sizes, i, key_of(distance, u32(other)))
                if j == 0 and best[0] >> 32 == 0:
                    # an equal vector: a crowd of those fills the list, so its neighbours are offered as well
                    for slot in range(DEGREE):
                        third = index(blocks[other, neighbours_at(width) + slot])
                        if third < blocks.shape[0] and third != node:
                            offer(
                                lists, sizes, i, key_of(node_distance(blocks, third, added, query.view()), u32(third))
                            )


@kernel
def link_back(blocks: MutView[u32, 2], node: index, other: index, slack: f32, width: index, *, bits: Const):
    """Tell `other` of its new neighbour `node`: in a free place, or among the neighbours chosen anew."""
    count = index(blocks[other, COUNT_AT])
    query = buffer(f32, width)
    keys = Array[u64, DEGREE + 1](0)
    edges = Array[u64, DEGREE](0)
    own_query(blocks, other, query.mut())
    added = bitcast(f32, blocks[other, ADDED_AT])
    for j in range(count):
        fetch_own(blocks, index(blocks[other, neighbours_at(width) + j]), width)
    size = 0
    for j in range(count + 1):
        third = node
        if j < count:
            third = index(blocks[other, neighbours_at(width) + j])
        distance = node_distance(blocks, third, added, query.view())
        if insert(keys.mut(), size, key_of(distance, u32(third))) <= DEGREE:
            size += 1
    chosen = prune_list(blocks, keys.view(), size, width, slack, edges.mut())
    for j in range(chosen):
        blocks[other, neighbours_at(width) + j] = u32(node_of(edges[j]))
    blocks[other, COUNT_AT] = u32(chosen)
    encode_block(blocks, other, width, bits=bits)


@kernel
def link_nodes(
    blocks: MutView[u32, 2],
    first: index,
    width: index,
    slack: f32,
    lists: View[u64, 2],
    sizes: View[u32, 1],
    *,
    bits: Const,
):
    """Give each new node its neighbours out of its candidates, and tell them; one node after the other."""
    edges = Array[u64, DEGREE](0)
    for i in range(lists.shape[0]):
        node = first + i
        count = prune_list(blocks, lists[i], index(sizes[i]), width, slack, edges.mut())
        for j in range(count):
            blocks[node, neighbours_at(width) + j] = u32(node_of(edges[j]))
        blocks[node, COUNT_AT] = u32(count)
        encode_block(blocks, node, width, bits=bits)
        for j in range(count):
            link_back(blocks, node, node_of(edges[j]), slack, width, bits=bits)
