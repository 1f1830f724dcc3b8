"""Connected components of a mask, found on runs of pixels instead of single ones."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Runs:
    """Horizontal runs of set pixels, top to bottom and left to right, each with its component's number.

    `row`, `start`, `stop` (half-open columns) and `component` are (runs,) intp; components count from 0 in the
    order of their first run.
    """

    row: NDArray[np.intp]
    start: NDArray[np.intp]
    stop: NDArray[np.intp]
    component: NDArray[np.intp]
    count: int  # of components


def connected_runs(mask: NDArray[np.bool_]) -> Runs:
    """Return the runs of a mask and the components they form; pixels that touch at a corner are connected.

    Shapes:  mask (height, width) bool.
    Cost:    O(pixels) to find the runs, then O(runs log runs).
    Source:  run-based labelling (He, Chao, Suzuki 2008); the union-find is the vectorised hooking and pointer
             jumping of Shiloach and Vishkin (1982), always towards the smaller number.
    """
    height, width = mask.shape
    stride = width + 1  # one clear pixel after each row: runs end there, and rows do not touch in flat order
    padded = np.zeros((height, stride), dtype=np.int8)
    padded[:, :width] = mask
    edges = np.flatnonzero(np.diff(padded.reshape(-1), prepend=0, append=0))
    starts, stops = edges[::2], edges[1::2]  # flat positions, ascending
    # Run b of the next row touches run a where b.stop >= a.start and b.start <= a.stop, corners included.
    lowest = np.searchsorted(stops, starts + stride, side="left")
    beyond = np.searchsorted(starts, stops + stride, side="right")
    touching = np.maximum(beyond - lowest, 0)
    upper = np.repeat(np.arange(len(starts)), touching)
    offset = np.arange(len(upper)) - np.repeat(np.cumsum(touching) - touching, touching)
    roots = _united(len(starts), upper, np.repeat(lowest, touching) + offset)
    first_runs, component = np.unique(roots, return_inverse=True)
    return Runs(starts // stride, starts % stride, stops - starts // stride * stride, component, len(first_runs))


def _united(count: int, left: NDArray[np.intp], right: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return, per node, the smallest node its edges (left[i], right[i]) connect it to."""
    parent = np.arange(count)
    while True:
        left_root, right_root = parent[left], parent[right]
        apart = left_root != right_root
        if not apart.any():
            return parent
        left, right = left[apart], right[apart]
        low = np.minimum(left_root[apart], right_root[apart])
        high = np.maximum(left_root[apart], right_root[apart])
        np.minimum.at(parent, high, low)
        while True:
            grandparent = parent[parent]
            if np.array_equal(grandparent, parent):
                break
            parent = grandparent
