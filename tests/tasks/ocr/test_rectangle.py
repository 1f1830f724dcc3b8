"""Hulls and smallest rectangles, against every pair of points and every angle."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hekla.tasks.ocr.hull import convex_hull
from hekla.tasks.ocr.rectangle import Rectangle, smallest_rectangle

CLOUDS = st.lists(st.tuples(st.integers(-30, 30), st.integers(-30, 30)), min_size=1, max_size=25)


def cloud(points: list[tuple[int, int]]) -> NDArray[np.intp]:
    return np.array(points, dtype=np.intp)


def area_at(points: NDArray[np.float64], angle: float) -> float:
    """Return the area of the rectangle around the points whose first side has that angle."""
    along = points @ (math.cos(angle), math.sin(angle))
    aside = points @ (-math.sin(angle), math.cos(angle))
    return float(np.ptp(along) * np.ptp(aside))


def hull_by_pairs(points: list[tuple[int, int]]) -> set[tuple[int, int]]:
    """Return the corners of the hull: the ends of pairs with all points on one side and none further along."""
    corners = set()
    for a in set(points):
        for b in set(points) - {a}:
            side = [(b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]) for p in points]
            along = [(b[0] - a[0]) * (p[0] - a[0]) + (b[1] - a[1]) * (p[1] - a[1]) for p in points]
            on_line = [t for s, t in zip(side, along, strict=True) if s == 0]
            length = (b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2
            if min(side) >= 0 and min(on_line) == 0 and max(on_line) == length:
                corners |= {a, b}
    return corners or set(points)


@given(CLOUDS)
@settings(max_examples=50, deadline=None)
def test_the_hull_is_the_one_that_every_pair_of_points_agrees_on(points: list[tuple[int, int]]) -> None:
    found = [(int(x), int(y)) for x, y in convex_hull(cloud(points))]
    assert len(found) == len(set(found))
    assert set(found) == hull_by_pairs(points)


@given(CLOUDS)
@settings(max_examples=50, deadline=None)
def test_no_rectangle_at_any_angle_is_smaller(points: list[tuple[int, int]]) -> None:
    hull = convex_hull(cloud(points))
    found = smallest_rectangle(hull)
    area = found.length * found.breadth
    angles = [math.radians(degrees / 4) for degrees in range(360)]
    best = min(area_at(hull, angle) for angle in angles)
    assert area <= best + 1e-6
    # A quarter of a degree beside the best angle costs at most the diameter squared times that.
    assert best - area <= 61**2 * 2 * math.radians(0.25) + 1e-6


@given(CLOUDS)
@settings(max_examples=50, deadline=None)
def test_the_rectangle_holds_every_point(points: list[tuple[int, int]]) -> None:
    found = smallest_rectangle(convex_hull(cloud(points)))
    along = np.array(found.along)
    offset = cloud(points) - (found.x, found.y)
    assert np.abs(offset @ along).max() <= found.length / 2 + 1e-9
    assert np.abs(offset @ (-along[1], along[0])).max() <= found.breadth / 2 + 1e-9
    assert math.hypot(*found.along) == pytest.approx(1)


def test_the_sweep_notices_an_upright_rectangle_around_a_tilted_one() -> None:
    tilted = np.array([(0, 0), (20, 10), (15, 20), (-5, 10)], dtype=np.float64)
    upright = float(np.ptp(tilted[:, 0]) * np.ptp(tilted[:, 1]))
    assert smallest_rectangle(tilted).length * smallest_rectangle(tilted).breadth == pytest.approx(250)
    assert min(area_at(tilted, math.radians(degrees / 4)) for degrees in range(360)) < upright / 1.5


@pytest.mark.parametrize("angle", [0.0, 0.2, 1.0, 2.5])
def test_corners_go_round_the_rectangle(angle: float) -> None:
    along = (math.cos(angle), math.sin(angle))
    corners = Rectangle(5.0, -3.0, along, 8.0, 2.0).corners()
    sides = np.roll(corners, -1, axis=0) - corners
    assert np.hypot(*sides.T) == pytest.approx([8, 2, 8, 2])
    assert (sides * np.roll(sides, -1, axis=0)).sum(axis=1) == pytest.approx(np.zeros(4), abs=1e-9)
    assert corners.mean(axis=0) == pytest.approx([5, -3])


def test_unclipping_moves_every_side_by_area_times_ratio_by_perimeter() -> None:
    grown = Rectangle(1.0, 2.0, (0.6, 0.8), 30.0, 10.0).unclipped(1.6)
    distance = 30 * 10 * 1.6 / 80
    assert (grown.length, grown.breadth) == pytest.approx((30 + 2 * distance, 10 + 2 * distance))
    assert (grown.x, grown.y, grown.along) == (1.0, 2.0, (0.6, 0.8))


def test_a_rectangle_without_area_stays_as_it_is() -> None:
    assert Rectangle(0.0, 0.0, (1.0, 0.0), 0.0, 0.0).unclipped(1.6).shorter == 0
    assert Rectangle(0.0, 0.0, (1.0, 0.0), 9.0, 0.0).unclipped(1.6).length == 9
