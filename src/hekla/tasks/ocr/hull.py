"""The convex hull of points in the plane."""

import numpy as np
from numpy.typing import NDArray


def convex_hull(points: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the corners of the convex hull, counter-clockwise where y points up, none of them on an edge.

    Shapes:  points (n, 2) whole numbers, n >= 1, repeats allowed -> (corners, 2) f64; one corner for a single
             place, two for a line.
    Cost:    O(n log n), the scan itself in Python.
    Source:  Andrew's monotone chain (1979); exact, for Python's integers do not overflow.
    """
    ordered = sorted({(x, y) for x, y in points.tolist()})
    if len(ordered) <= 2:
        return np.array(ordered, dtype=np.float64)
    lower = _chain(ordered)
    upper = _chain(ordered[::-1])
    return np.array(lower[:-1] + upper[:-1], dtype=np.float64)


def _chain(ordered: list[tuple[int, int]]) -> list[tuple[int, int]]:
    chain: list[tuple[int, int]] = []
    for x, y in ordered:
        while len(chain) >= 2:
            (ax, ay), (bx, by) = chain[-2], chain[-1]
            if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                break
            chain.pop()
        chain.append((x, y))
    return chain
