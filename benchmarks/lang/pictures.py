"""Resize, normalise and turn to planes, beside OpenCV and Pillow with NumPy."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from benchmarks.lang.limits import Limits
from benchmarks.lang.peers import peer
from benchmarks.lang.table import Row, measure
from benchmarks.lang.timing import Call
from hekla.kernels.resize import resize_normalise

SHAPES = (((480, 640), (640, 640)), ((1080, 1920), (736, 1280)), ((64, 300), (48, 320)), ((2000, 3000), (640, 960)))
SCALE, SHIFT = np.float32(2 / 255), np.float32(-1)
Bytes = np.ndarray[Any, np.dtype[np.uint8]]  # Any: of any shape


def rows(_limits: Limits, seconds: float) -> Iterator[Row]:
    """Measure growing, shrinking, a line of text, and a photograph."""
    cv2, image = peer("cv2"), peer("PIL.Image")
    rng = np.random.default_rng(0)
    for (height, width), (out_height, out_width) in SHAPES:
        pixels: Bytes = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        out = np.zeros((3, out_height, out_width), np.float32)
        other = np.zeros_like(out)
        size = (out_width, out_height)

        given = (pixels.reshape(height, -1), np.full(3, SCALE), np.full(3, SHIFT), out[::-1])
        ours = partial(resize_normalise, *given)
        peers: dict[str, Call | None] = dict.fromkeys(("OpenCV + NumPy", "OpenCV blobFromImage", "Pillow + NumPy"))
        if cv2 is not None:
            peers["OpenCV + NumPy"] = partial(_opencv, cv2, pixels, other)
            peers["OpenCV blobFromImage"] = partial(
                cv2.dnn.blobFromImage, pixels, 2 / 255, size, (127.5,) * 3, True, ddepth=cv2.CV_32F
            )
        if image is not None:
            peers["Pillow + NumPy"] = partial(_pillow, image, image.fromarray(pixels), other)
        yield measure("resize_normalise", f"{height} x {width} -> {out_height} x {out_width}", ours, peers, seconds)


def _opencv(cv2: Any, pixels: Bytes, out: Any) -> None:  # Any: it has no types here; f32 of three dimensions
    _normalise(cv2.resize(pixels, out.shape[:0:-1], interpolation=cv2.INTER_LINEAR), out)


def _pillow(image: Any, picture: Any, out: Any) -> None:  # Any: as above
    _normalise(np.asarray(picture.resize(out.shape[:0:-1], image.BILINEAR)), out)


def _normalise(resized: Bytes, out: Any) -> None:  # Any: as above
    np.multiply(resized.transpose(2, 0, 1)[::-1], SCALE, out=out)
    np.add(out, SHIFT, out=out)
