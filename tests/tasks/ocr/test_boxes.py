"""From a map of text to boxes in reading order, on maps drawn for the purpose."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hekla.base.errors import ConfigError
from hekla.protocols.stage import StageSource, Values
from hekla.tasks.ocr.boxes import BoxOptions, clockwise, find_boxes, in_reading_order
from hekla.tasks.ocr.detect import load_detect_postprocess
from hekla.tasks.ocr.hull import convex_hull
from hekla.tasks.ocr.placement import Placement
from hekla.tasks.ocr.rectangle import Rectangle, smallest_rectangle

AS_IS = Placement(height=320, width=480, net_height=320, net_width=480, top=0, content_height=320)
DEFAULTS = BoxOptions()


def text_map(*rectangles: Rectangle, level: float = 0.9) -> NDArray[np.float32]:
    canvas = Image.new("L", (480, 320), 0)
    for rectangle in rectangles:
        ImageDraw.Draw(canvas).polygon([tuple(corner) for corner in rectangle.corners()], fill=255)
    return np.where(np.asarray(canvas) > 0, level, 0).astype(np.float32)


def upright(x: float, y: float, length: float = 80, breadth: float = 12) -> Rectangle:
    return Rectangle(x, y, (1.0, 0.0), length, breadth)


@pytest.mark.parametrize("degrees", [0, 10, 30, -25])
def test_a_box_is_the_rectangle_unclipped(degrees: float) -> None:
    along = (float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees))))
    drawn = Rectangle(240, 160, along, 120, 20)
    boxes, scores = find_boxes(text_map(drawn), AS_IS, DEFAULTS)
    assert boxes.shape == (1, 4, 2)
    assert np.abs(boxes[0] - clockwise(drawn.unclipped(1.6).corners())).max() <= 5  # thickened, rounded
    assert scores[0] == pytest.approx(0.9, abs=0.1)  # the corners of the thickened one are off the text


def test_the_box_test_sees_a_box_that_was_not_unclipped() -> None:
    drawn = upright(240, 160, 120, 20)
    boxes, _ = find_boxes(text_map(drawn), AS_IS, DEFAULTS)
    assert np.abs(boxes[0] - drawn.corners()).max() > 10


def test_boxes_are_in_pixels_of_the_picture() -> None:
    twice = Placement(height=640, width=480, net_height=320, net_width=480, top=0, content_height=320)
    once, _ = find_boxes(text_map(upright(240, 160)), AS_IS, DEFAULTS)
    found, _ = find_boxes(text_map(upright(240, 160)), twice, DEFAULTS)
    assert np.abs(found - once * (1, 2)).max() <= 1


def test_boxes_stay_inside_the_picture() -> None:
    boxes, _ = find_boxes(text_map(upright(30, 8), upright(460, 314)), AS_IS, DEFAULTS)
    assert boxes.min() >= 0
    assert (boxes <= (479, 319)).all()


def boxes_by_pixel(drawn: NDArray[np.float32], options: BoxOptions) -> list[tuple[float, ...]]:
    """Return the boxes of a map found by walking over its pixels, the rectangle of each around all of them."""
    todo = {
        (int(x) + dx, int(y) + dy)
        for y, x in zip(*np.nonzero(drawn > options.threshold), strict=True)
        for dx in (0, 1)
        for dy in (0, 1)
        if x + dx < drawn.shape[1] and y + dy < drawn.shape[0]
    }
    boxes = []
    while todo:
        component, border = [], [todo.pop()]
        while border:
            x, y = border.pop()
            component.append((x, y))
            near = {(x + dx, y + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)} & todo
            todo -= near
            border += near
        rectangle = smallest_rectangle(convex_hull(np.array(component)))
        if rectangle.shorter >= 3:
            box = clockwise(AS_IS.to_picture(rectangle.unclipped(options.unclip_ratio).corners()))
            boxes.append(tuple(box.reshape(-1).tolist()))
    return sorted(boxes)


@given(st.integers(0, 9999))
@settings(max_examples=15, deadline=None)
def test_the_boxes_are_those_around_all_pixels_of_each_component(seed: int) -> None:
    chance = np.random.default_rng(seed)
    rectangles = [
        Rectangle(x, y, (np.cos(angle), np.sin(angle)), length, breadth)
        for x, y, angle, length, breadth in chance.uniform((20, 20, 0, 4, 4), (460, 300, 3, 60, 16), (7, 5)).tolist()
    ]
    drawn = text_map(*rectangles)
    options = BoxOptions(box_threshold=0)
    boxes, _ = find_boxes(drawn, AS_IS, options)
    assert sorted(tuple(box.reshape(-1).tolist()) for box in boxes) == boxes_by_pixel(drawn, options)


def test_the_walk_over_pixels_sees_another_unclip_ratio() -> None:
    drawn = text_map(upright(100, 100))
    boxes, _ = find_boxes(drawn, AS_IS, BoxOptions(box_threshold=0, unclip_ratio=1.5))
    assert [tuple(boxes[0].reshape(-1).tolist())] != boxes_by_pixel(drawn, BoxOptions(box_threshold=0))


@pytest.mark.parametrize(
    ("level", "rectangle", "options"),
    [
        (0.2, upright(240, 160), BoxOptions()),  # below the threshold of the map
        (0.4, upright(240, 160), BoxOptions()),  # below the threshold of a box
        (0.9, upright(240, 160), BoxOptions(box_threshold=0.95)),
        (0.9, upright(240, 160, 80, 1), BoxOptions()),  # a hairline
        (0.9, upright(240, 160, 1, 1), BoxOptions()),  # a speck
    ],
)
def test_what_is_no_text_has_no_box(level: float, rectangle: Rectangle, options: BoxOptions) -> None:
    boxes, scores = find_boxes(text_map(rectangle, level=level), AS_IS, options)
    assert boxes.shape == (0, 4, 2)
    assert scores.shape == (0,)
    assert boxes.dtype == np.float32
    assert scores.dtype == np.float32


def test_of_too_many_components_the_largest_are_kept() -> None:
    sizes = [30, 90, 60]
    drawn = text_map(*(upright(100, 60 * (at + 1), length) for at, length in enumerate(sizes)))
    boxes, _ = find_boxes(drawn, AS_IS, BoxOptions(max_boxes=2))
    assert sorted(int(np.ptp(box[:, 0])) // 20 for box in boxes) == [3, 5]


def test_a_map_of_noise_ends() -> None:
    noise = np.random.default_rng(0).random((320, 480)).astype(np.float32)
    boxes, scores = find_boxes(noise, AS_IS, BoxOptions(threshold=0.8, box_threshold=0.1))
    assert len(boxes) == len(scores) <= 1000


def test_a_map_that_is_not_a_number_has_no_boxes() -> None:
    assert len(find_boxes(np.full((320, 480), np.nan, dtype=np.float32), AS_IS, DEFAULTS)[0]) == 0


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 300)), max_size=12))
def test_reading_order_keeps_every_box_and_never_goes_up_a_line(places: list[tuple[int, int]]) -> None:
    boxes = np.array([upright(x, y).corners() for x, y in places], dtype=np.float32).reshape(-1, 4, 2)
    order = in_reading_order(boxes, 10)
    assert sorted(order.tolist()) == list(range(len(places)))
    read = boxes[order, 0]
    for (x, y), (next_x, next_y) in pairwise(read):
        assert next_y >= y or next_x >= x  # up only along a line


def test_lines_are_read_from_the_left() -> None:
    places = [(200, 104), (20, 100), (300, 98), (40, 140), (10, 60)]
    boxes = np.array([upright(x, y).corners() for x, y in places], dtype=np.float32)
    assert in_reading_order(boxes, 10).tolist() == [4, 1, 0, 2, 3]
    assert in_reading_order(boxes, 1).tolist() == [4, 2, 1, 0, 3]


def test_corners_start_at_the_top_left_and_go_clockwise() -> None:
    expected = [[10, 5], [90, 15], [88, 30], [8, 20]]
    for turn in range(4):
        assert clockwise(np.roll(np.array(expected, dtype=np.float64), turn, axis=0)).tolist() == expected


def postprocessed(**options: object) -> Values:
    drawn = text_map(upright(100, 200), upright(300, 100), upright(100, 103))
    stage = load_detect_postprocess(StageSource("m", Path(), options, "model.toml: [pipeline.postprocess]"))
    return stage.run({"fetch_name_0": drawn[None, None], "placement": AS_IS, "carried": 1}, {})


def test_the_stage_answers_boxes_and_scores_in_the_same_order() -> None:
    values = postprocessed()
    assert values.keys() == {"boxes", "box_scores", "carried"}
    assert values["boxes"].mean(axis=1).round(-1).tolist() == [[100, 100], [300, 100], [100, 200]]
    assert values["box_scores"].shape == (3,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"treshold": 0.3}, r"\.treshold: unknown option; did you mean 'threshold'\?"),
        ({"threshold": 3}, r"\.threshold: expected from 0 to 1, got 3"),
        ({"max_boxes": True}, r"\.max_boxes: expected a whole number, got True"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        postprocessed(**options)
