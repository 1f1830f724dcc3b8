"""Rectangles at any angle: the smallest around points, and growing one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_WHOLE_PLANE = np.array([[1.0, 0.0]])  # the direction of a rectangle around a single point


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A rectangle by its middle, the unit vector along its first side, and the lengths of both sides."""

    x: float
    y: float
    along: tuple[float, float]
    length: float  # of the side in the direction of `along`
    breadth: float  # of the side at a right angle to it

    @property
    def shorter(self) -> float:
        """The length of the shorter side."""
        return min(self.length, self.breadth)

    def corners(self) -> NDArray[np.float64]:
        """Return the (4, 2) corners, one after the other around it."""
        along = np.array(self.along) * (self.length / 2)
        aside = np.array([-self.along[1], self.along[0]]) * (self.breadth / 2)
        middle = np.array([self.x, self.y])
        return np.stack(
            [middle - along - aside, middle + along - aside, middle + along + aside, middle - along + aside]
        )

    def unclipped(self, ratio: float) -> "Rectangle":
        """Return it with each side moved outwards by area * ratio / perimeter.

        A DB detector learns text shrunk by that much (Liao et al., arXiv:1911.08947, section 3.4). The rectangle
        around a rectangle's rounded offset polygon, which is what Pyclipper makes of it, is this one.
        """
        perimeter = 2 * (self.length + self.breadth)
        distance = self.length * self.breadth * ratio / perimeter if perimeter else 0.0
        return Rectangle(self.x, self.y, self.along, self.length + 2 * distance, self.breadth + 2 * distance)


def smallest_rectangle(hull: NDArray[np.float64]) -> Rectangle:
    """Return the rectangle of least area around a convex polygon.

    Shapes:  hull (corners, 2) f64, in order around, corners >= 1.
    Cost:    O(corners squared) multiplications in one product: digital hulls have few corners.
    Source:  one side of it lies along an edge of the polygon (Freeman and Shapira 1975), so every edge is tried.
    """
    edges = np.roll(hull, -1, axis=0) - hull  # (corners, 2)
    lengths = np.hypot(edges[:, 0], edges[:, 1])
    along = edges[lengths > 0] / lengths[lengths > 0, None] if (lengths > 0).any() else _WHOLE_PLANE
    aside = np.stack([-along[:, 1], along[:, 0]], axis=1)
    on_along, on_aside = hull @ along.T, hull @ aside.T  # (corners, edges)
    low_along, high_along = on_along.min(axis=0), on_along.max(axis=0)
    low_aside, high_aside = on_aside.min(axis=0), on_aside.max(axis=0)
    best = int(np.argmin((high_along - low_along) * (high_aside - low_aside)))
    middle = (low_along[best] + high_along[best]) / 2 * along[best] + (low_aside[best] + high_aside[best]) / 2 * aside[
        best
    ]
    return Rectangle(
        float(middle[0]),
        float(middle[1]),
        (float(along[best, 0]), float(along[best, 1])),
        float(high_along[best] - low_along[best]),
        float(high_aside[best] - low_aside[best]),
    )
