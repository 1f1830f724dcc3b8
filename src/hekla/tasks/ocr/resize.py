"""Pixels to a network's input: bilinear resizing and normalisation in one pass over the picture."""

import numpy as np
from numpy.typing import NDArray


def resize_normalised(pixels: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    """Fill `out` with the picture resized to it, in BGR order, scaled from 0..255 to -1..1.

    Shapes:  pixels (height, width, 3) uint8 RGB; out (3, out_height, out_width) f32, any strides; no side is 0.
    Samples: two taps per axis at half-pixel centres, edges repeated, as OpenCV's INTER_LINEAR but not rounded to
             whole levels: within one level of it. No smoothing when shrinking, as the networks were trained.
    Cost:    O(pixels of out); temporaries of about three times out.
    """
    height, width = pixels.shape[:2]
    above, below, down = _taps(height, out.shape[1])
    left, right, across = _taps(width, out.shape[2])
    # Planes of the rows needed: later steps then run along contiguous memory. f32 holds uint8 products exactly.
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1)[::-1])  # (3, height, width) uint8, BGR
    for plane, target in zip(planes, out, strict=True):
        rows = _mixed(plane, above, below, down[:, None], axis=0)  # (out_height, width)
        mixed = _mixed(rows, left, right, across, axis=1)  # (out_height, out_width)
        np.multiply(mixed, np.float32(2 / 255), out=target)
        target -= np.float32(1)


def _taps(length: int, out_length: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Return, per output sample, its two neighbours and the weight of the second."""
    place = (np.arange(out_length) + 0.5) * (length / out_length) - 0.5
    place = place.clip(0, length - 1)
    first = place.astype(np.intp)
    return first, np.minimum(first + 1, length - 1), (place - first).astype(np.float32)


def _mixed(
    samples: NDArray[np.uint8] | NDArray[np.float32],
    first: NDArray[np.intp],
    second: NDArray[np.intp],
    weight: NDArray[np.float32],
    axis: int,
) -> NDArray[np.float32]:
    start = samples.take(first, axis=axis).astype(np.float32, copy=False)
    if not weight.any():
        return start
    end = samples.take(second, axis=axis).astype(np.float32, copy=False)
    end -= start
    end *= weight
    end += start
    return end
