"""Means inside boxes, against looking at each pixel."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hekla.tasks.ocr.box_score import BoxScores
from hekla.tasks.ocr.rectangle import Rectangle


def mean_by_pixel(values: NDArray[np.float32], rectangle: Rectangle, slack: float) -> float:
    """Return the mean of the pixels no more than `slack` outside of the rectangle, 0.0 if there is none."""
    inside = []
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            dx, dy = x - rectangle.x, y - rectangle.y
            along = abs(dx * rectangle.along[0] + dy * rectangle.along[1])
            aside = abs(dy * rectangle.along[0] - dx * rectangle.along[1])
            if along <= rectangle.length / 2 + slack and aside <= rectangle.breadth / 2 + slack:
                inside.append(float(values[y, x]))
    return sum(inside) / len(inside) if inside else 0.0


@given(
    x=st.floats(8, 32),
    y=st.floats(8, 22),
    angle=st.floats(0, math.pi),
    length=st.floats(6, 30),
    breadth=st.floats(4, 9),
)
@settings(max_examples=60, deadline=None)
def test_the_mean_is_that_of_the_pixels_inside(x: float, y: float, angle: float, length: float, breadth: float) -> None:
    # On a slope the mean moves little with the pixels on the border, which rounding may put in or out.
    rows, columns = np.mgrid[0:30, 0:40]
    values = (rows * 0.01 + columns * 0.01).astype(np.float32)
    rectangle = Rectangle(x, y, (math.cos(angle), math.sin(angle)), length, breadth)
    found = BoxScores(values).mean(rectangle.corners())
    assert found == pytest.approx(mean_by_pixel(values, rectangle, 0.25), abs=0.02)


def test_whole_upright_boxes_are_exact() -> None:
    values = np.random.default_rng(5).random((20, 30)).astype(np.float32)
    corners = np.array([(4, 3), (11, 3), (11, 9), (4, 9)], dtype=np.float64)
    assert BoxScores(values).mean(corners) == pytest.approx(float(values[3:10, 4:12].mean()), rel=1e-6)


def test_a_box_one_row_down_has_another_mean() -> None:
    values = np.random.default_rng(5).random((20, 30)).astype(np.float32)
    corners = np.array([(4, 4), (11, 4), (11, 10), (4, 10)], dtype=np.float64)
    assert BoxScores(values).mean(corners) != pytest.approx(float(values[3:10, 4:12].mean()), rel=1e-3)


def test_what_lies_outside_the_map_does_not_count() -> None:
    values = np.full((5, 5), 0.5, dtype=np.float32)
    beyond = np.array([(-9, -9), (20, -9), (20, 20), (-9, 20)], dtype=np.float64)
    assert BoxScores(values).mean(beyond) == pytest.approx(0.5)
    assert BoxScores(values).mean(beyond + 100) == 0.0
