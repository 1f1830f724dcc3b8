"""Picture to a network's input in one pass: bilinear resize, scale and shift of each channel, interleaved to planes.

Shapes:  pixels (height, 3 * width) u8, the three channels of a pixel side by side; scale (3,) f32, shift (3,) f32
         -> out (3, out_height, out_width) f32, dense rows; no side is 0.
         out[c] = resized[c] * scale[c] + shift[c]. For BGR from RGB pass out[::-1].
Samples: two taps per axis at half-pixel centres, edges repeated, as OpenCV's INTER_LINEAR but not rounded to whole
         levels. No smoothing when shrinking.
Errors:  f32, 1e-6 of a level's 255.
Cost:    each output row mixes two whole rows of the picture, then takes its pixels from the mix; buffers of
         12 bytes per column of the picture and 24 per column of out.
Source:  definition; OpenCV's documentation of cv::resize.
"""

import numpy as np

from hekla.lang import (
    Array,
    MutView,
    Vec,
    View,
    buffer,
    f32,
    f64,
    fma,
    index,
    kernel,
    load,
    prefetch,
    shuffle,
    store,
    u8,
    unroll,
)
from hekla.lang.sweep import Sweep

LANES, WIDE = 16, 64  # pixels of an output row at once, bytes of a picture's row at once
QUAD = 4  # a pixel in registers: three channels and one lane to spare
PLANES = tuple(tuple(QUAD * i + c for i in range(8)) for c in range(3))  # of eight pixels in two registers


def reference_taps(length, out_length):
    """Return, per output sample, its two neighbours and the weight of the second."""
    place = ((np.arange(out_length) + 0.5) * (length / out_length) - 0.5).clip(0, length - 1)
    first = place.astype(np.intp)
    return first, np.minimum(first + 1, length - 1), place - first


def reference_resize_normalise(pixels, scale, shift, out):
    """Say it in NumPy."""
    picture = pixels.reshape(len(pixels), -1, 3).transpose(2, 0, 1).astype(np.float64)
    above, below, down = reference_taps(picture.shape[1], out.shape[1])
    left, right, across = reference_taps(picture.shape[2], out.shape[2])
    rows = picture[:, above] * (1 - down)[:, None] + picture[:, below] * down[:, None]
    mixed = rows[:, :, left] * (1 - across) + rows[:, :, right] * across
    out[:] = mixed * scale[:, None, None] + shift[:, None, None]


@kernel(inline=True)
def place_of(i: index, length: index, out_length: index) -> f64:
    place = (f64(i) + 0.5) * (f64(length) / f64(out_length)) - 0.5
    return min(f64(length - 1), max(0.0, place))


@kernel(inline=True)
def mix_rows(above: View[u8, 1], below: View[u8, 1], weight: f32, mixed: MutView[f32, 1]):
    n = len(above)
    whole = n - n % WIDE
    for i in range(0, whole, WIDE):
        a = f32(load(above, i, width=WIDE))
        store(mixed, i, fma(f32(load(below, i, width=WIDE)) - a, weight, a))
    for i in range(whole, n, LANES):
        b = f32(load(above, i, width=LANES, count=n - i))
        store(mixed, i, fma(f32(load(below, i, width=LANES, count=n - i)) - b, weight, b), count=n - i)


@kernel(inline=True)
def four_pixels(mixed: View[f32, 1], starts: View[index, 1], x: index, beside: index) -> Vec[f32, 16]:
    a = load(mixed, starts[x] + beside, width=QUAD)
    b = load(mixed, starts[x + 1] + beside, width=QUAD)
    c = load(mixed, starts[x + 2] + beside, width=QUAD)
    d = load(mixed, starts[x + 3] + beside, width=QUAD)
    return shuffle(shuffle(a, b, indices=range(8)), shuffle(c, d, indices=range(8)), indices=range(16))


@kernel
def resize_normalise(pixels: View[u8, 2], scale: View[f32, 1], shift: View[f32, 1], out: MutView[f32, 3]):
    height = pixels.shape[0]
    width = pixels.shape[1] // 3
    columns = out.shape[2]
    padded = columns + LANES
    mixed = buffer(f32, 3 * width + LANES)  # what lies past the last pixel stays 0 and has weight 0
    starts = buffer(index, padded)
    weights = buffer(f32, QUAD * padded)
    for x in range(columns):
        across = place_of(x, width, columns)
        left = index(across)
        starts[x] = 3 * left
        for c in unroll(range(QUAD)):
            weights[QUAD * x + c] = f32(across - f64(left))
    for y in range(out.shape[1]):
        down = place_of(y, height, out.shape[1])
        top = index(down)
        following = min(index(place_of(y + 1, height, out.shape[1])), height - 1)
        for i in range(0, 3 * width, WIDE):
            prefetch(pixels, following, i)
            prefetch(pixels, min(following + 1, height - 1), i)
        mix_rows(pixels[top], pixels[min(top + 1, height - 1)], f32(down - f64(top)), mixed.mut())
        row = mixed.view()
        at = starts.view()
        weight = weights.view()
        for x in range(0, columns, LANES):
            quads = Array[Vec[f32, 16], 4](0.0)
            for q in unroll(range(4)):
                first = four_pixels(row, at, x + 4 * q, 0)
                second = four_pixels(row, at, x + 4 * q, 3)
                quads[q] = fma(second - first, load(weight, QUAD * (x + 4 * q), width=16), first)
            for c in unroll(range(3)):
                low = shuffle(quads[0], quads[1], indices=PLANES[c])
                high = shuffle(quads[2], quads[3], indices=PLANES[c])
                plane = shuffle(low, high, indices=range(16))
                store(out, c, y, x, fma(plane, scale[c], shift[c]), count=columns - x)


def cases(rng):
    """One pixel, growing, shrinking, the same size; rows around the lanes."""
    shapes = [(1, 1, 1, 1), (1, 1, 3, 17), (2, 3, 5, 16), (7, 40, 3, 15), (4, 22, 4, 22), (3, 50, 2, 33)]
    return [
        (
            rng.integers(0, 256, (height, 3 * width), dtype=np.uint8),
            np.array([2 / 255, 1 / 60, 1], np.float32),
            np.array([-1, 0.5, 0], np.float32),
            np.zeros((3, rows, columns), np.float32),
        )
        for height, width, rows, columns in shapes
    ]


SWEEPS = (Sweep(resize_normalise, reference_resize_normalise, cases, 1e-5, 1e-4),)
