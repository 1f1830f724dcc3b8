"""The stage `ocr.crop`: the upright picture of each box, cut from an image."""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hekla.base.dtypes import DType
from hekla.base.errors import InputError, ShapeError
from hekla.protocols.stage import Stage, StageSource, Values
from hekla.protocols.tensor import ANY, TensorSpec
from hekla.tasks.image import MAX_MEGAPIXELS, DecodeOptions, Pixels, decode_image, one_bytes, without
from hekla.tasks.options import read_options

_ROUNDING = 1e-6  # pixels
_TALL = 1.5  # a crop this many times as high as wide is a line that runs down the page


@dataclass(frozen=True, slots=True)
class CropOptions:
    """The table of `ocr.crop`: how its `image` is decoded, as in `image.decode`."""

    max_megapixels: float = MAX_MEGAPIXELS
    background: str = "white"

    def __post_init__(self) -> None:
        DecodeOptions(self.max_megapixels, self.background)  # its ranges are ours


class CropBoxes:
    """Replaces `boxes` and `image` (encoded) or `pixels` (decoded) by `crops`, a list of (h, w, 3) uint8 arrays."""

    inputs = (
        TensorSpec("image", DType.BYTES, (1,), optional=True),
        TensorSpec("pixels", DType.UINT8, (ANY, ANY, 3), optional=True),
        TensorSpec("boxes", DType.FP32, (ANY, 4, 2)),
    )
    outputs = ()

    def __init__(self, options: DecodeOptions) -> None:
        self._options = options

    def run(self, values: Values, state: MutableMapping[str, Any]) -> Values:  # Any: the seam's
        """Errors: InputError for an image that cannot be decoded, ShapeError for boxes that are none."""
        boxes = values["boxes"]
        if boxes.ndim != 3 or boxes.shape[1:] != (4, 2):
            raise ShapeError("boxes", expected="[-1, 4, 2]", got=boxes.shape)
        if not np.isfinite(boxes).all():
            raise InputError("a corner is not a finite number", where="boxes")
        crops = [] if not len(boxes) else [crop_box(self._pixels(values), box) for box in boxes]
        return without(values, "image", "pixels", "boxes") | {"crops": crops}

    def _pixels(self, values: Values) -> Pixels:
        if "pixels" in values:
            pixels: Pixels = values["pixels"]
            return pixels
        if "image" not in values:
            raise InputError("neither `image` nor `pixels` was given", where="image")
        return decode_image(one_bytes(values["image"], "image"), self._options, where="image")


def load_crop(source: StageSource) -> Stage:
    """Make the stage `ocr.crop`. Errors: ConfigError for a wrong option."""
    options = read_options(CropOptions, source)
    return CropBoxes(DecodeOptions(options.max_megapixels, options.background))


def crop_box(pixels: Pixels, box: NDArray[np.floating[Any]]) -> Pixels:  # Any: of either float width
    """Return what a box shows, turned upright; a crop at least 1.5 times as high as wide is turned left.

    Shapes:  pixels (height, width, 3) uint8; box (4, 2), x and y of the corners from the top left one clockwise,
             finite -> (crop_height, crop_width, 3) uint8, both sides at least 1, at most as the longer opposite
             sides of the box. Corners outside the image are moved to its edge.
    Samples: corner (x, y) is the middle of pixel [y, x]; an upright box with whole corners is a slice. Others are
             resampled through the perspective map by Pillow's bicubic filter.
    """
    height, width = pixels.shape[:2]
    corners = np.clip(box.astype(np.float64), 0, (width - 1, height - 1))
    crop_width, crop_height = _sides(corners)
    left, top = np.floor(corners.min(axis=0)).astype(int)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int) + 1
    # Only the part under the box is handed over, for Pillow copies it; two pixels more feed the filter at its edges.
    x0, y0 = max(left - 2, 0), max(top - 2, 0)
    window = pixels[y0 : bottom + 2, x0 : right + 2]
    upright = np.array([(left, top), (right - 1, top), (right - 1, bottom - 1), (left, bottom - 1)], dtype=np.float64)
    if np.array_equal(corners, upright):
        crop = pixels[top : top + crop_height, left : left + crop_width]
    else:
        crop = _resampled(window, corners - (x0, y0), crop_width, crop_height)
    return np.ascontiguousarray(np.rot90(crop)) if crop.shape[0] >= _TALL * crop.shape[1] else crop


def _sides(corners: NDArray[np.float64]) -> tuple[int, int]:
    """Return the width and height of the crop, in pixels."""
    side = np.hypot(*(corners - np.roll(corners, -1, axis=0)).T)  # top, right, bottom, left
    # Cut to whole pixels, but 5.9999999, which is 6 rounded on the way, stays 6.
    return max(int(max(side[0], side[2]) + _ROUNDING), 1), max(int(max(side[1], side[3]) + _ROUNDING), 1)


def _resampled(window: Pixels, corners: NDArray[np.float64], width: int, height: int) -> Pixels:
    target = np.array([(0, 0), (width, 0), (width, height), (0, height)], dtype=np.float64)
    try:
        to_source = _perspective(target, corners)
    except np.linalg.LinAlgError:  # the corners lie on one line: there is nothing to see
        return np.zeros((height, width, 3), dtype=np.uint8)
    # Pillow speaks of pixel (i, j) as its middle (i + 0.5, j + 0.5), we as (i, j).
    half = np.array([(1, 0, 0.5), (0, 1, 0.5), (0, 0, 1)])
    matrix = half @ to_source @ np.linalg.inv(half)
    matrix /= matrix[2, 2] or np.nan
    if not np.isfinite(matrix).all():
        return np.zeros((height, width, 3), dtype=np.uint8)
    turned = Image.fromarray(np.ascontiguousarray(window)).transform(
        (width, height), Image.Transform.PERSPECTIVE, matrix.reshape(-1)[:8].tolist(), Image.Resampling.BICUBIC
    )
    return np.asarray(turned, dtype=np.uint8)


def _perspective(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (3, 3) projective map that takes each of four points to its partner.

    Errors: numpy.linalg.LinAlgError if three of the source points, or all target points, lie on one line.
    """
    rows = []
    for (x, y), (u, v) in zip(source.tolist(), target.tolist(), strict=True):
        rows.append((x, y, 1, 0, 0, 0, -u * x, -u * y))
        rows.append((0, 0, 0, x, y, 1, -v * x, -v * y))
    solution = np.linalg.solve(np.array(rows), target.reshape(-1))
    return np.append(solution, 1.0).reshape(3, 3)
