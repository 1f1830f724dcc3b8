"""Candidates for each node's neighbours: all to all within overlapping groups of nearby vectors.

No graph is searched: products of small matrices stay in the caches, where a search would wait for memory at each step.
Groups are made by giving each vector to its nearest few leaders, drawn at random, and again within what is still too
large.
Source: "PiPNN: ultra-scalable graph-based nearest neighbor indexing", 2026.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hekla.kernels.graph_offer import empty_lists, offer_products
from hekla.kernels.graph_pool import NODE_MASK
from hekla.kernels.graph_products import row_products
from hekla.kernels.sgemm import pack_b, packed_shape

GROUP = 1000  # vectors of a group, at most: their products with each other (4 MB) fit the caches
LEADERS = 1000
ROWS = 4096  # vectors that meet the leaders at once

Keys = NDArray[np.uint64]


class Products:
    """Inner products of rows with a set of columns that is packed once."""

    def __init__(self, columns: NDArray[np.float32], threads: int) -> None:
        count, width = columns.shape
        self._threads = threads
        self._packed = np.zeros(packed_shape(width, count), np.float32)
        pack_b(np.ascontiguousarray(columns.T), self._packed)
        self._bias = np.zeros(count, np.float32)

    def of(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (len(rows), columns) f32."""
        out = np.empty((len(rows), len(self._bias)), np.float32)
        row_products(rows, self._packed, self._bias, self._threads, out)
        return out


def candidates(
    points: NDArray[np.float32], *, seed: int, capacity: int, shares: int, threads: int
) -> tuple[Keys, NDArray[np.uint32]]:
    """Return for each point its nearest among the groups it is in: lists (n, capacity) of keys, sizes (n,).

    points: (n, w) f32. shares: how many groups each point goes to.
    """
    squares = np.einsum("ij,ij->i", points, points)
    lists, sizes = empty_lists(len(points), capacity)
    generator = np.random.default_rng(seed)
    for members in _groups(points, squares, np.arange(len(points), dtype=np.uint32), shares, generator, threads):
        own = points[members]
        products = Products(own, threads).of(own)
        offer_products(products, squares[members], squares[members], members, members, threads, lists, sizes)
    return lists, sizes


def _groups(
    points: NDArray[np.float32],
    squares: NDArray[np.float32],
    members: NDArray[np.uint32],
    shares: int,
    generator: np.random.Generator,
    threads: int,
) -> Iterator[NDArray[np.uint32]]:
    """Yield groups of at most GROUP members; each member is in `shares` of the first division, then in one of each."""
    if len(members) <= GROUP:
        yield members
        return
    wanted = min(LEADERS, max(2 * shares, 2 * shares * len(members) // GROUP))
    leaders = np.sort(generator.choice(members, wanted, replace=False))
    nearest = _nearest_leaders(points, squares, members, leaders, shares, threads)
    order = np.argsort(nearest, axis=None, kind="stable")
    bounds = np.searchsorted(nearest.reshape(-1)[order], np.arange(wanted + 1))
    for leader in range(wanted):
        part = members[order[bounds[leader] : bounds[leader + 1]] // shares]
        if len(part) == len(members):  # equal vectors cannot be told apart: any division will do
            for start in range(0, len(part), GROUP):
                yield part[start : start + GROUP]
        elif len(part) > 1:
            yield from _groups(points, squares, part, 1, generator, threads)


def spread_leaders(points: NDArray[np.float32], wanted: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Return about `wanted` rows of points that lie near all of them, and for each point the place of its nearest one.

    A quarter is taken evenly, then thrice a quarter with a chance that grows with the squared distance to those there
    are: small clusters far from others get one too (Bahmani et al., "Scalable k-means++", VLDB 2012, without its dice).
    """
    members = np.arange(len(points), dtype=np.uint32)
    squares = np.einsum("ij,ij->i", points, points)
    share = max(1, wanted // 4)
    leaders = np.unique(np.linspace(0, len(points) - 1, share).astype(np.uint32))
    for last in (False, False, False, True):
        places = _nearest_leaders(points, squares, members, leaders, 1, 1).reshape(-1)
        if last:
            break
        apart = points - points[leaders[places]]
        along = np.cumsum(np.einsum("ij,ij->i", apart, apart, dtype=np.float64))
        if along[-1] > 0:
            more = np.searchsorted(along, (np.arange(share) + 0.5) * (along[-1] / share))
            leaders = np.unique(np.concatenate((leaders, more.astype(np.uint32))))
    return leaders, places


def _nearest_leaders(
    points: NDArray[np.float32],
    squares: NDArray[np.float32],
    members: NDArray[np.uint32],
    leaders: NDArray[np.uint32],
    shares: int,
    threads: int,
) -> NDArray[np.uint32]:
    """Return (len(members), shares) places in `leaders`."""
    products = Products(points[leaders], threads)
    names = np.arange(len(leaders), dtype=np.uint32)
    # a row is not offered to itself: rows are named apart from the leaders
    lists, sizes = empty_lists(len(leaders) + ROWS, shares)
    rows = np.arange(len(leaders), len(leaders) + ROWS, dtype=np.uint32)
    found = np.empty((len(members), shares), np.uint32)
    for start in range(0, len(members), ROWS):
        part = members[start : start + ROWS]
        sizes[:] = 0
        offer_products(
            products.of(points[part]), squares[part], squares[leaders], rows[: len(part)], names, threads, lists, sizes
        )
        found[start : start + len(part)] = lists[len(leaders) : len(leaders) + len(part)] & np.uint64(NODE_MASK)
    return found
