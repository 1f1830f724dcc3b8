"""Resizing and normalising, against the formula applied to one sample at a time and against Pillow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from hekla.tasks.ocr.resize import resize_normalised

LEVEL = 2 / 255
SIZES = st.integers(1, 12)


def resized(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float32]:
    out = np.full((3, height, width), np.nan, dtype=np.float32)
    resize_normalised(pixels, out)
    return out


def reference(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float64]:
    """Return the same by definition, a sample at a time."""
    out = np.empty((3, height, width))
    for y in range(height):
        v = min(max((y + 0.5) * pixels.shape[0] / height - 0.5, 0), pixels.shape[0] - 1)
        for x in range(width):
            u = min(max((x + 0.5) * pixels.shape[1] / width - 0.5, 0), pixels.shape[1] - 1)
            for channel in range(3):
                total = 0.0
                for row in {int(v), min(int(v) + 1, pixels.shape[0] - 1)}:
                    for column in {int(u), min(int(u) + 1, pixels.shape[1] - 1)}:
                        total += (1 - abs(v - row)) * (1 - abs(u - column)) * float(pixels[row, column, 2 - channel])
                out[channel, y, x] = total / 255 * 2 - 1
    return out


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(height=SIZES, width=SIZES, out_height=SIZES, out_width=SIZES, seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_each_sample_is_what_the_formula_says(
    height: int, width: int, out_height: int, out_width: int, seed: int
) -> None:
    pixels = noise(height, width, seed)
    found = resized(pixels, out_height, out_width)
    assert np.abs(found - reference(pixels, out_height, out_width)).max() < 1e-5


def test_the_formula_notices_a_shift_of_half_a_pixel() -> None:
    pixels = noise(6, 6)
    shifted = np.concatenate([pixels[:, 1:], pixels[:, -1:]], axis=1)
    assert np.abs(resized(shifted, 12, 12) - reference(pixels, 12, 12)).max() > 10 * LEVEL


@pytest.mark.parametrize(("height", "width"), [(40, 64), (31, 47), (20, 30)])
def test_enlarging_agrees_with_pillow_within_its_rounding(height: int, width: int) -> None:
    pixels = noise(20, 30)
    oracle = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))
    bgr = oracle[..., ::-1].transpose(2, 0, 1) / 127.5 - 1
    assert np.abs(resized(pixels, height, width) - bgr).max() <= 1.01 * LEVEL


def test_the_same_size_is_only_normalised_and_in_bgr_order() -> None:
    pixels = noise(5, 4)
    assert np.allclose(resized(pixels, 5, 4), pixels[..., ::-1].transpose(2, 0, 1) / 127.5 - 1, atol=1e-6)


def test_black_is_minus_one_and_white_is_one() -> None:
    found = resized(np.array([[[0, 0, 0], [255, 255, 255]]], dtype=np.uint8), 1, 2)
    assert np.allclose(found, [[[-1, 1]]] * 3)


def test_a_part_of_a_larger_input_is_filled_and_nothing_else() -> None:
    canvas = np.full((3, 8, 9), 7, dtype=np.float32)
    resize_normalised(noise(3, 3), canvas[:, 2:5, :6])
    assert (canvas[:, :2] == 7).all()
    assert (canvas[:, 5:] == 7).all()
    assert (canvas[:, :, 6:] == 7).all()
    assert (canvas[:, 2:5, :6] <= 1).all()
