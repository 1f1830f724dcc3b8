"""Cutting boxes out of a picture: slices where they are, and a sample at a time where they are not."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from hekla.base.errors import ConfigError, InputError, ShapeError
from hekla.protocols.stage import Stage, StageSource
from hekla.tasks.image import Pixels
from hekla.tasks.ocr.crop import crop_box, load_crop
from hekla.tasks.ocr.rectangle import Rectangle

RECEIPT = (Path(__file__).parents[3] / "examples/receipt.png").read_bytes()


def noise(height: int, width: int) -> Pixels:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def slope(height: int, width: int) -> Pixels:
    """Return a picture whose levels rise evenly, so that any right interpolation of it is the same."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([columns, rows, (rows + columns) // 2], axis=2).astype(np.uint8)


def upright(left: int, top: int, right: int, bottom: int) -> NDArray[np.float32]:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], dtype=np.float32)


def image_of(*files: bytes) -> NDArray[np.object_]:
    array = np.empty(len(files), dtype=np.object_)
    array[:] = files
    return array


def stage(**options: object) -> Stage:
    return load_crop(StageSource("ocr", Path(), options, "model.toml: step crop"))


@given(left=st.integers(0, 40), top=st.integers(0, 30), width=st.integers(1, 30), height=st.integers(1, 30))
def test_an_upright_box_is_a_slice(left: int, top: int, width: int, height: int) -> None:
    pixels = noise(64, 80)
    expected = pixels[top : top + height, left : left + width]
    found = crop_box(pixels, upright(left, top, left + width, top + height))
    tall = height >= 1.5 * width
    assert np.array_equal(found, np.rot90(expected) if tall else expected)


def test_a_slice_one_pixel_aside_is_another() -> None:
    pixels = noise(64, 80)
    assert not np.array_equal(crop_box(pixels, upright(11, 10, 41, 20)), pixels[10:20, 10:40])


@given(
    x=st.floats(50, 90),
    y=st.floats(45, 75),
    degrees=st.floats(1, 44),
    length=st.floats(30, 60),
    breadth=st.floats(6, 20),
)
@settings(max_examples=20, deadline=None)
def test_a_tilted_box_shows_the_picture_along_its_sides(
    x: float, y: float, degrees: float, length: float, breadth: float
) -> None:
    angle = np.radians(degrees)
    corners = Rectangle(x, y, (float(np.cos(angle)), float(np.sin(angle))), length, breadth).corners()
    assume(corners.min() > 3)
    assume((corners < (137, 117)).all())
    found = crop_box(slope(120, 140), corners)
    height, width = found.shape[:2]
    assert (height, width) == (int(breadth + 1e-6), int(length + 1e-6))
    for j in range(0, height, 3):
        for i in range(0, width, 5):
            place = corners[0] + (corners[1] - corners[0]) * i / width + (corners[3] - corners[0]) * j / height
            assert np.abs(found[j, i, :2] - place).max() <= 1.5


def test_the_comparison_sees_a_box_with_its_corners_in_another_order() -> None:
    corners = Rectangle(70.0, 60.0, (0.8, 0.6), 40.0, 30.0).corners()
    turned = crop_box(slope(120, 140), np.roll(corners, 2, axis=0))
    assert np.abs(turned[0, 0, :2] - corners[0]).max() > 10


def test_a_perspective_box_is_pulled_straight() -> None:
    corners = np.array([(20, 30), (90, 10), (100, 90), (10, 70)], dtype=np.float32)
    found = crop_box(slope(120, 140), corners)
    assert found.shape == (80, 92, 3)  # the longer of opposite sides, 80.6 and 92.2
    near = [found[0, 0], found[0, -1], found[-1, -1], found[-1, 0]]
    for sample, corner in zip(near, corners, strict=True):
        assert np.abs(sample[:2] - corner).max() <= 3


def test_a_tall_box_is_turned_to_the_left() -> None:
    letters = np.zeros((60, 20, 3), dtype=np.uint8)
    letters[:10] = 255  # the top of the column
    found = crop_box(letters, upright(0, 0, 19, 59))
    assert found.shape == (19, 59, 3)
    assert found[:, :9].min() == 255
    assert found[:, 10:].max() == 0


@pytest.mark.parametrize(
    "box",
    [
        upright(5, 5, 5, 5),
        upright(5, 5, 25, 5),
        upright(-50, -50, -10, -10),
        upright(1000, 1000, 2000, 2000),
        np.array([(3, 3), (9, 9), (12, 12), (6, 6)], dtype=np.float32),  # on one line
        np.array([(3.5, 3.5), (9.2, 3.5), (3.5, 3.5), (3.5, 3.5)], dtype=np.float32),
        np.array([(0, 0), (30, 20), (30, 0), (0, 20)], dtype=np.float32),  # crossed
        np.array([(1e30, -1e30), (1e30, 1e30), (-1e30, 1e30), (-1e30, -1e30)], dtype=np.float32),
    ],
)
def test_boxes_that_are_none_give_a_small_crop_and_no_error(box: NDArray[np.float32]) -> None:
    crop = crop_box(noise(30, 40), box)
    assert min(crop.shape[:2]) >= 1
    assert max(crop.shape[:2]) <= 50
    assert crop.dtype == np.uint8


def test_the_stage_cuts_from_an_encoded_image() -> None:
    boxes = np.stack([upright(10, 20, 60, 40), upright(0, 0, 30, 10)])
    values = stage().run({"image": image_of(RECEIPT), "boxes": boxes}, {})
    assert values.keys() == {"crops"}
    assert [crop.shape for crop in values["crops"]] == [(20, 50, 3), (10, 30, 3)]


def test_the_stage_cuts_from_decoded_pixels() -> None:
    pixels = noise(30, 40)
    crops = stage().run({"pixels": pixels, "boxes": upright(1, 2, 21, 12)[None]}, {})["crops"]
    assert np.array_equal(crops[0], pixels[2:12, 1:21])


def test_no_boxes_are_no_crops() -> None:
    none = np.empty((0, 4, 2), dtype=np.float32)
    assert stage().run({"image": image_of(RECEIPT), "boxes": none}, {}) == {"crops": []}


def test_a_transparent_image_is_decoded_as_the_options_say(tmp_path: Path) -> None:
    Image.new("RGBA", (9, 9), (250, 250, 250, 0)).save(tmp_path / "clear.png")
    image = image_of((tmp_path / "clear.png").read_bytes())
    crops = stage(background="black").run({"image": image, "boxes": upright(0, 0, 8, 8)[None]}, {})["crops"]
    assert crops[0].max() == 0


@pytest.mark.parametrize("shape", [(4, 2), (1, 3, 2), (1, 8)])
def test_boxes_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"^boxes: expected shape \[-1, 4, 2\]"):
        stage().run({"image": image_of(RECEIPT), "boxes": np.zeros(shape, dtype=np.float32)}, {})


def test_a_corner_that_is_no_number_is_refused() -> None:
    boxes = np.full((1, 4, 2), np.nan, dtype=np.float32)
    with pytest.raises(InputError, match=r"^boxes: a corner is not a finite number"):
        stage().run({"image": image_of(RECEIPT), "boxes": boxes}, {})


def test_a_request_without_an_image_is_refused() -> None:
    with pytest.raises(InputError, match=r"^image: neither `image` nor `pixels` was given"):
        stage().run({"boxes": upright(0, 0, 5, 5)[None]}, {})


def test_a_damaged_image_is_refused_and_named() -> None:
    with pytest.raises(InputError, match=r"^image: the PNG image is damaged or cut short"):
        stage().run({"image": image_of(RECEIPT[:5000]), "boxes": upright(0, 0, 5, 5)[None]}, {})


def test_a_wrong_option_is_named() -> None:
    with pytest.raises(ConfigError, match=r"step crop\.background: expected one of white, black, contrast"):
        stage(background="red")
