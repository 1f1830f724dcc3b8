"""Search of a graph of blocks (`graph_layout`): one native call finds the k nearest of a query, or of many.

Source:  beam search, Malkov and Yashunin, arXiv:1603.09320; estimates from codes beside the node, "SymphonyQG", SIGMOD 2025;
         bit planes, "RaBitQ", SIGMOD 2024.
"""

from hekla.kernels.graph_encode import own_part
from hekla.kernels.graph_layout import (
    ADDED_AT,
    COUNT_AT,
    DEGREE,
    HEADER,
    codes_at,
    constants_at,
    factors_at,
    neighbours_at,
)
from hekla.kernels.graph_pool import NODE_MASK, PASSING, TAKEN, insert, key_of, node_of
from hekla.kernels.graph_rotate import rotate
from hekla.lang import (
    Array,
    Const,
    MutView,
    Vec,
    View,
    any_lane,
    bitcast,
    buffer,
    f32,
    fma,
    i32,
    i64,
    index,
    iota,
    kernel,
    load,
    parallel,
    popcount,
    prefetch,
    reduce_add,
    reduce_max,
    reduce_or,
    round_even,
    select,
    store,
    trailing_zeros,
    u32,
    u64,
    unroll,
)

LANES, EIGHT, WORD, LINE = 16, 8, 64, 16
PLANES = 8  # bits of a query's coordinate, with its sign
GROUPS = DEGREE // EIGHT
FLIGHT = 8


@kernel(inline=True)
def bit_planes(query: View[f32, 1], planes: MutView[u64, 1], sums: MutView[f32, 1]):
    """Cut a rotated query to whole numbers of 8 bits; sums gets the size of a step, and their sum."""
    width = len(query)
    largest = Vec[f32, LANES](1e-30)
    for i in range(0, width, LANES):
        largest = max(largest, abs(load(query, i, width=LANES)))
    step = reduce_max(largest) / 127.0
    per_step = 1.0 / step
    total = Vec[i32, LANES](0)
    lane_bits = u32(1) << iota(u32, width=LANES)
    for w in range(width // WORD):
        halves = Array[Vec[u32, LANES], 2 * PLANES](0)
        for c in unroll(range(4)):
            v = i32(round_even(load(query, w * WORD + c * LANES, width=LANES) * per_step))
            total += v
            bits = bitcast(u32, v)
            for j in unroll(range(PLANES)):
                found = select((bits & (1 << j)) != 0, lane_bits << ((c % 2) * LANES), Vec[u32, LANES](0))
                halves[2 * j + c // 2] = halves[2 * j + c // 2] | found
        for j in unroll(range(PLANES)):
            planes[w * PLANES + j] = u64(reduce_or(halves[2 * j])) | u64(reduce_or(halves[2 * j + 1])) << 32
    sums[0] = step
    sums[1] = f32(reduce_add(total))


@kernel(inline=True)
def own_distance(blocks: View[u32, 2], node: index, query: View[f32, 1]) -> f32:
    """Return |q - c|^2."""
    a = Vec[f32, LANES](0.0)
    b = Vec[f32, LANES](0.0)
    for i in range(0, len(query), 2 * LANES):
        d = own_part(blocks, node, i) - load(query, i, width=LANES)
        a = fma(d, d, a)
        e = own_part(blocks, node, i + LANES) - load(query, i + LANES, width=LANES)
        b = fma(e, e, b)
    return reduce_add(a + b)


@kernel(inline=True)
def estimates(
    blocks: View[u32, 2],
    node: index,
    planes: View[u64, 1],
    sums: View[f32, 1],
    width: index,
    square: f32,
    out: MutView[f32, 1],
    *,
    bits: Const,
):
    """Estimate the squared distances to all neighbours of a node."""
    words = width // WORD
    products = Array[Vec[u64, EIGHT], GROUPS](0)
    for b in unroll(range(bits)):
        for w in range(words):
            x = Array[Vec[u64, EIGHT], GROUPS](0)
            t = Array[Vec[u64, EIGHT], GROUPS](0)
            top = planes[w * PLANES + PLANES - 1]
            for g in unroll(range(GROUPS)):
                at = codes_at(width) + 2 * ((b * words + w) * DEGREE + g * EIGHT)
                x[g] = bitcast(Vec[u64, EIGHT], load(blocks, node, at, width=LANES))
                t[g] = Vec[u64, EIGHT](0) - popcount(x[g] & top)
            for j in unroll(range(PLANES - 2, -1, -1)):
                plane = planes[w * PLANES + j]
                for g in unroll(range(GROUPS)):
                    t[g] = t[g] + t[g] + popcount(x[g] & plane)
            for g in unroll(range(GROUPS)):
                products[g] = products[g] + (t[g] << b)
    middle = sums[1] * (f32((1 << bits) - 1) * 0.5)
    for g in unroll(range(GROUPS)):
        real = (f32(bitcast(i64, products[g])) - middle) * sums[0]
        constant = bitcast(Vec[f32, EIGHT], load(blocks, node, constants_at(width) + g * EIGHT, width=EIGHT))
        factor = bitcast(Vec[f32, EIGHT], load(blocks, node, factors_at(width) + g * EIGHT, width=EIGHT))
        store(out, g * EIGHT, square + constant - factor * real)


@kernel(inline=True)
def nearer(found: View[f32, 1], limit: f32) -> u32:
    """Return one bit for each neighbour whose estimate is below the limit."""
    low = load(found, 0, width=LANES) < limit
    high = load(found, LANES, width=LANES) < limit
    lane_bits = u32(1) << iota(u32, width=LANES)
    none = Vec[u32, LANES](0)
    if any_lane(low | high):
        return reduce_or(select(low, lane_bits, none) | select(high, lane_bits << LANES, none))
    return 0


@kernel(inline=True)
def fetch(blocks: View[u32, 2], node: index):
    for i in range(0, blocks.shape[1], LINE):
        prefetch(blocks, node, i)


@kernel(inline=True)
def has_bit(bitmap: View[u64, 1], node: index) -> bool:
    return ((bitmap[node // 64] >> u64(node % 64)) & 1) != 0


@kernel
def search_one(
    blocks: View[u32, 2],
    roots: View[u32, 2],
    query: View[f32, 1],
    planes: View[u64, 1],
    sums: View[f32, 1],
    allowed: View[u64, 1],
    dead: View[u64, 1],
    ef: index,
    depth: index,
    max_hops: index,
    pool: MutView[u64, 1],
    best: MutView[u64, 1],
    seen: MutView[u64, 1],
    state: MutView[index, 1],
    *,
    bits: Const,
    filtered: Const,
):
    """Walk from the roots towards the query."""
    n = blocks.shape[0]
    width = len(query)
    found = Array[f32, DEGREE](0.0)
    size = 0
    kept = 0
    hops = 0
    starts = pool[0 : min(8, len(pool))]
    squares = Vec[f32, LANES](0.0)
    for i in range(0, width, LANES):
        v = load(query, i, width=LANES)
        squares = fma(v, v, squares)
    square = reduce_add(squares)
    for r in range(roots.shape[0]):
        estimates(roots, r, planes, sums, width, square, found.mut(), bits=bits)
        for slot in range(DEGREE):
            other = index(roots[r, neighbours_at(width) + slot])
            if other < n:
                if insert(starts, size, key_of(found[slot], u32(other))) < len(starts):
                    size = min(size + 1, len(starts))
    flight = Array[index, FLIGHT](0)
    flying = 0
    first = 0
    cursor = 0
    window = min(ef, len(pool))
    while True:
        while flying < depth and hops < max_hops:
            while cursor < size and (u32(pool[cursor]) & TAKEN) != 0:
                cursor += 1
            if cursor >= min(size, window):
                break
            node = node_of(pool[cursor])
            pool[cursor] = pool[cursor] | TAKEN
            if not has_bit(seen, node):
                seen[node // 64] = seen[node // 64] | (u64(1) << u64(node % 64))
                fetch(blocks, node)
                flight[(first + flying) % FLIGHT] = node
                flying += 1
                hops += 1
        if flying == 0:
            break
        node = flight[first]
        first = (first + 1) % FLIGHT
        flying -= 1
        square = own_distance(blocks, node, query)
        distance = square + bitcast(f32, blocks[node, ADDED_AT])
        if insert(best, kept, key_of(distance, u32(node))) < len(best):
            kept = min(kept + 1, len(best))
        estimates(blocks, node, planes, sums, width, square, found.mut(), bits=bits)
        limit = f32(3e38)
        if size == window:
            limit = bitcast(f32, u32(pool[size - 1] >> 32))
        near = nearer(found.view(), limit)
        while near != 0:
            lane = index(trailing_zeros(near))
            near &= near - 1
            next_node = index(blocks[node, neighbours_at(width) + lane])
            if next_node < n and not has_bit(seen, next_node):
                place = insert(pool[0:window], size, key_of(found[lane], u32(next_node)))
                if place < window:
                    size = min(size + 1, window)
                    cursor = min(cursor, place)
    state[0] = kept
    state[1] = hops


@kernel
def search_batch(
    blocks: View[u32, 2],
    roots: View[u32, 2],
    queries: View[f32, 2],
    mean: View[f32, 1],
    signs: View[f32, 2],
    scale: f32,
    ef: index,
    depth: index,
    best: MutView[u64, 2],
    hops: MutView[index, 1],
    *,
    bits: Const,
):
    width = signs.shape[1]
    for i in parallel(queries.shape[0]):
        query = buffer(f32, width)
        planes = buffer(u64, width // WORD * PLANES)
        pool = buffer(u64, ef)
        seen = buffer(u64, (blocks.shape[0] + 63) // 64)
        sums = Array[f32, 2](0.0)
        state = Array[index, 4](0)
        none = Array[u64, 1](0)
        rotate(queries[i], mean, signs, scale, query.mut())
        bit_planes(query.view(), planes.mut(), sums.mut())
        search_one(
            blocks, roots, query.view(), planes.view(), sums.view(), none.view(), none.view(), ef, depth, 1000000,
            pool.mut(), best[i], seen.mut(), state.mut(), bits=bits, filtered=False,
        )  # fmt: skip
        hops[i] = state[1]
