"""Pixels to a network's input: bilinear resizing and normalisation in one pass over the picture."""

import numpy as np
from numpy.typing import NDArray

from hekla.kernels.resize import resize_normalise

SCALE = np.full(3, 2 / 255, dtype=np.float32)
SHIFT = np.full(3, -1.0, dtype=np.float32)


def make_ready() -> None:
    """Compile what `resize_normalised` runs, or load it from the cache, so that no request waits for that.

    Errors: UnsupportedError where the kernel cannot be compiled for this machine.
    """
    resize_normalise.make_ready()


def resize_normalised(pixels: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    """Fill `out` with the picture resized to it, in BGR order, scaled from 0..255 to -1..1.

    Shapes:  pixels (height, width, 3) uint8 RGB, copied unless its rows are dense; out (3, out_height, out_width)
             f32, dense rows; no side is 0.
    Samples: two taps per axis at half-pixel centres, edges repeated, as OpenCV's INTER_LINEAR but not rounded to
             whole levels: within one level of it. No smoothing when shrinking, as the networks were trained.
    """
    height, width = pixels.shape[:2]
    resize_normalise(pixels.reshape(height, 3 * width), SCALE, SHIFT, out[::-1])
