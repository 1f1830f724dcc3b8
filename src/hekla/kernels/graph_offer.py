"""Lists of the nearest nodes known of each node, fed with distances of all to all within small groups, and with edges
turned round.

Shapes:  products (m, columns) f32: row i has the inner products of member i with others; squares of rows (m,) and
         columns;
         rows (m,) u32: whose list; columns (c,) u32: numbers offered; lists (n, capacity) u64 of keys (`graph_pool`),
         sorted,
         2^64 - 1 where there is none; sizes (n,) u32. `threads` share the rows.
Errors:  no row occurs twice in one call. A node is not offered to itself.
Source:  definition; groups that overlap instead of a search for each node: "PiPNN: ultra-scalable graph-based nearest
         neighbor indexing", 2026.
"""

import numpy as np
from numpy.typing import NDArray

from hekla.kernels.graph_pool import FULL_KEY, distance_of, insert, key_of, node_of
from hekla.kernels.sizes import normal
from hekla.lang import MutView, View, any_lane, f32, index, kernel, load, parallel, u32, u64
from hekla.lang.sweep import Sweep

LANES = 16


def reference_offer_products(products, row_squares, column_squares, rows, columns, threads, lists, sizes):
    """Say it in NumPy."""
    capacity = lists.shape[1]
    for i, row in enumerate(rows):
        distances = np.maximum((row_squares[i] + column_squares) - np.float32(2) * products[i, : len(columns)], 0)
        keys = distances.view(np.uint32).astype(np.uint64) << np.uint64(32) | columns.astype(np.uint64)
        keys = np.unique(np.concatenate((lists[row, : sizes[row]], keys[columns != row])))[:capacity]
        lists[row, : len(keys)], sizes[row] = keys, len(keys)


def reference_offer_edges_back(edges, edge_counts, lists, sizes):
    """Say it in NumPy."""
    capacity = lists.shape[1]
    for node, (keys, count) in enumerate(zip(edges, edge_counts, strict=True)):
        for key in keys[:count]:
            other = int(key) & 0x3FFFFFFF
            mine = (int(key) >> 32 << 32) | node
            merged = sorted({*lists[other, : sizes[other]].tolist(), mine})[:capacity]
            lists[other, : len(merged)], sizes[other] = merged, len(merged)


@kernel(inline=True)
def offer(lists: MutView[u64, 2], sizes: MutView[u32, 1], row: index, key: u64):
    size = index(sizes[row])
    if insert(lists[row], size, key) < lists.shape[1] and size < lists.shape[1]:
        sizes[row] = u32(size + 1)


@kernel(inline=True)
def offer_row(
    products: View[f32, 1],
    row_square: f32,
    column_squares: View[f32, 1],
    row: index,
    columns: View[u32, 1],
    lists: MutView[u64, 2],
    sizes: MutView[u32, 1],
):
    capacity = lists.shape[1]
    c = len(columns)
    limit = f32(3e38)
    for at in range(0, c, LANES):
        left = c - at
        square = load(column_squares, at, width=LANES, count=left) + row_square
        near = square - 2.0 * load(products, at, width=LANES, count=left)
        if any_lane(near <= limit):
            for j in range(at, min(at + LANES, c)):
                distance = (row_square + column_squares[j]) - 2.0 * products[j]
                if index(columns[j]) != row and distance <= limit:
                    offer(lists, sizes, row, key_of(distance, columns[j]))
            if index(sizes[row]) == capacity:
                limit = distance_of(lists[row, capacity - 1])


@kernel
def offer_products(
    products: View[f32, 2],
    row_squares: View[f32, 1],
    column_squares: View[f32, 1],
    rows: View[u32, 1],
    columns: View[u32, 1],
    threads: index,
    lists: MutView[u64, 2],
    sizes: MutView[u32, 1],
):
    """Offer every column to every row, at the squared distance |row|^2 + |column|^2 - 2 product."""
    m = len(rows)
    for t in parallel(threads, unproved="a thread has the rows of its own share, and a row occurs once"):
        for i in range(t * m // threads, (t + 1) * m // threads):
            offer_row(products[i], row_squares[i], column_squares, index(rows[i]), columns, lists, sizes)


@kernel
def offer_edges_back(edges: View[u64, 2], edge_counts: View[u32, 1], lists: MutView[u64, 2], sizes: MutView[u32, 1]):
    """Offer every node to its neighbours; in order, so that the result does not depend on threads."""
    for node in range(edges.shape[0]):
        for j in range(index(edge_counts[node])):
            key = edges[node, j]
            offer(lists, sizes, node_of(key), (key >> 32) << 32 | u64(node))


def empty_lists(n: int, capacity: int) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    """Return lists that hold nothing, and their sizes."""
    return np.full((n, capacity), FULL_KEY, np.uint64), np.zeros(n, np.uint32)


def product_cases(rng):
    """Groups smaller and larger than the lists; a row among the columns, equal distances."""
    made = []
    for m, c, capacity in ((0, 3, 4), (1, 1, 4), (3, 17, 4), (4, 33, 40)):
        points = np.round(normal(rng, (m + c, 2)) * 4)
        squares = (points**2).sum(axis=1).astype(np.float32)
        rows, columns = np.arange(m, dtype=np.uint32), np.arange(c, dtype=np.uint32)[::-1].copy()
        products = (points[rows] @ points[columns].T).astype(np.float32)
        made.append((products, squares[rows], squares[columns], rows, columns, 2, *empty_lists(m + c, capacity)))
    return made


def edge_cases(rng):
    """Nodes with few and many edges, lists that overflow."""
    keys = rng.integers(0, 1 << 20, (7, 5), dtype=np.uint64) << np.uint64(32) | rng.integers(
        0, 7, (7, 5), dtype=np.uint64
    )
    return [(keys, rng.integers(0, 6, 7).astype(np.uint32), *empty_lists(7, 6))]


SWEEPS = (
    Sweep(offer_products, reference_offer_products, product_cases),
    Sweep(offer_edges_back, reference_offer_edges_back, edge_cases),
)
