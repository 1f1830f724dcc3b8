"""The stages around a text detector: `ocr.detect.preprocess` and `ocr.detect.postprocess`."""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hekla.base.dtypes import DType
from hekla.base.errors import ShapeError
from hekla.protocols.stage import Stage, StageSource, Values
from hekla.protocols.tensor import ANY, TensorSpec
from hekla.tasks.image import without
from hekla.tasks.ocr.boxes import BoxOptions, find_boxes, in_reading_order
from hekla.tasks.ocr.placement import Placement, PlacementOptions, place
from hekla.tasks.ocr.resize import make_ready, resize_normalised
from hekla.tasks.options import read_options

BLACK = -1.0  # level 0, normalised


class DetectPreprocess:
    """Replaces `pixels` by the detector's `x`, (1, 3, H, W) f32, and `placement`, where in it the picture lies."""

    inputs = (TensorSpec("pixels", DType.UINT8, (ANY, ANY, 3)),)
    outputs = ()

    def __init__(self, options: PlacementOptions) -> None:
        self._options = options

    def run(self, values: Values, state: MutableMapping[str, Any]) -> Values:  # Any: the seam's
        """Errors: ShapeError for pixels that are no RGB picture."""
        pixels = values["pixels"]
        if pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
            raise ShapeError("pixels", expected="[height, width, 3]", got=pixels.shape)
        placement = place(pixels.shape[0], pixels.shape[1], self._options)
        x = np.empty((1, 3, placement.net_height, placement.net_width), dtype=np.float32)
        x[0, :, : placement.top] = BLACK
        x[0, :, placement.top + placement.content_height :] = BLACK
        resize_normalised(pixels, x[0, :, placement.top : placement.top + placement.content_height])
        return without(values, "pixels") | {"x": x, "placement": placement}


@dataclass(frozen=True, slots=True)
class DetectOutputOptions(BoxOptions):
    """The table of `ocr.detect.postprocess`: the box options and the name of the map."""

    output: str = "fetch_name_0"  # the detector's output, (1, 1, H, W) f32: how likely each place is text


class DetectPostprocess:
    """Answers `boxes`, (n, 4, 2) f32 in image pixels, and `box_scores`, (n,) f32, in reading order; n may be 0."""

    inputs = ()
    outputs = (TensorSpec("boxes", DType.FP32, (ANY, 4, 2)), TensorSpec("box_scores", DType.FP32, (ANY,)))

    def __init__(self, options: DetectOutputOptions) -> None:
        self._options = options

    def run(self, values: Values, state: MutableMapping[str, Any]) -> Values:  # Any: the seam's
        """Errors: none that the request is to blame for."""
        text_map: NDArray[np.float32] = values[self._options.output][0, 0]
        placement: Placement = values["placement"]
        boxes, scores = find_boxes(text_map, placement, self._options)
        order = in_reading_order(boxes, self._options.line_gap)
        rest = without(values, self._options.output, "placement")
        return rest | {"boxes": boxes[order], "box_scores": scores[order]}


def load_detect_preprocess(source: StageSource) -> Stage:
    """Make the stage `ocr.detect.preprocess`. Errors: ConfigError for a wrong option."""
    options = read_options(PlacementOptions, source)
    make_ready()
    return DetectPreprocess(options)


def load_detect_postprocess(source: StageSource) -> Stage:
    """Make the stage `ocr.detect.postprocess`. Errors: ConfigError for a wrong option."""
    return DetectPostprocess(read_options(DetectOutputOptions, source))
