"""Where pictures lie in the detector's input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hekla.tasks.ocr.placement import Placement, PlacementOptions, place

DEFAULTS = PlacementOptions()
SIDES = st.one_of(st.integers(1, 3000), st.integers(1, 64_000_000))


@given(height=SIDES, width=SIDES)
def test_no_picture_makes_the_input_large_or_off_the_grid(height: int, width: int) -> None:
    placed = place(height, width, DEFAULTS)
    assert placed.net_height % 32 == 0
    assert placed.net_width % 32 == 0
    assert max(placed.net_height, placed.net_width) <= 8 * 736 + 32
    assert placed.net_height * placed.net_width <= 2016 * 2016 + 736 * 8 * 768
    assert placed.top >= 0
    assert 1 <= placed.content_height <= placed.net_height - placed.top


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (736, 736, (736, 736, 0, 736)),  # as it is
        (720, 1280, (736, 1312, 0, 736)),  # RapidOCR: 1308 columns, rounded to the grid
        (1000, 1500, (992, 1504, 0, 992)),  # nothing to do but the grid
        (4000, 3000, (1984, 1504, 0, 1984)),  # shrunk to 2000; Python rounds 62.5 to 62
        (368, 368, (736, 736, 0, 736)),  # enlarged
        (28, 420, (736, 2944, 270, 196)),  # low: RapidOCR pads by 38 rows above and below
    ],
)
def test_sizes_are_those_of_rapidocr(height: int, width: int, expected: tuple[int, int, int, int]) -> None:
    placed = place(height, width, DEFAULTS)
    assert (placed.net_height, placed.net_width, placed.top, placed.content_height) == expected


def test_a_point_comes_back_to_where_it_was() -> None:
    placed = Placement(height=100, width=200, net_height=480, net_width=640, top=40, content_height=400)
    there = np.array([[0, 40], [320, 240], [639, 439]], dtype=np.float64)
    assert placed.to_picture(there).tolist() == [[0, 0], [100, 50], [199, 99]]


def test_points_in_the_padding_come_back_to_the_edge() -> None:
    placed = Placement(height=100, width=200, net_height=480, net_width=640, top=40, content_height=400)
    assert placed.to_picture(np.array([[-5.0, 0.0], [9999.0, 479.0]])).tolist() == [[0, 0], [199, 99]]
