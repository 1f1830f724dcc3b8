"""The stages around a text recogniser: `ocr.recognise.preprocess` and `ocr.recognise.postprocess`."""

from collections.abc import MutableMapping
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hekla.base.dtypes import DType
from hekla.base.errors import ConfigError, EngineError, ShapeError
from hekla.protocols.stage import Stage, StageSource, Values
from hekla.protocols.tensor import ANY, TensorSpec
from hekla.tasks.image import without
from hekla.tasks.ocr.ctc import decode_greedy
from hekla.tasks.ocr.resize import make_ready, resize_normalised
from hekla.tasks.ocr.vocabulary import read_characters
from hekla.tasks.options import read_options, require

_MAX_CROP_SIDE = 16_384  # pixels


@dataclass(frozen=True, slots=True)
class LineOptions:
    """The table of `ocr.recognise.preprocess`: the network's input in pixels."""

    height: int = 48
    min_width: int = 320  # a shorter line is filled up with grey, as the network was trained
    width_step: int = 160  # a longer one up to the next multiple of this
    max_width: int = 3200  # a longer line is squeezed: the network's output takes 9 kB per pixel of width

    def __post_init__(self) -> None:
        require("height", self.height, at_least=8, at_most=512)
        require("min_width", self.min_width, at_least=8, at_most=16_384)
        require("width_step", self.width_step, at_least=1, at_most=16_384)
        require("max_width", self.max_width, at_least=self.min_width, at_most=16_384)


class RecognisePreprocess:
    """Replaces `crop`, (h, w, 3) uint8 RGB, by the recogniser's `x`, (1, 3, height, W) f32."""

    inputs = (TensorSpec("crop", DType.UINT8, (ANY, ANY, 3)),)
    outputs = ()

    def __init__(self, options: LineOptions) -> None:
        self._options = options

    def run(self, values: Values, state: MutableMapping[str, Any]) -> Values:  # Any: the seam's
        """Errors: ShapeError for a crop that is no RGB picture of up to 16384 pixels a side."""
        crop = values["crop"]
        if crop.ndim != 3 or crop.shape[2] != 3 or not crop.size or max(crop.shape) > _MAX_CROP_SIDE:
            raise ShapeError("crop", expected=f"[height, width, 3], sides 1 to {_MAX_CROP_SIDE}", got=crop.shape)
        return without(values, "crop") | {"x": line_input(crop, self._options)}


def line_input(crop: NDArray[np.uint8], options: LineOptions) -> NDArray[np.float32]:
    """Return the recogniser's input for one line, (1, 3, height, W) f32, filled up with grey on the right.

    How much grey follows a line can decide a doubtful space in it. So W is a matter of the line alone, one of few
    widths: lines of one width share a batch as they are, and a text never depends on what it was batched with.
    (RapidOCR fills six lines up to the longest of them.)
    """
    height, width = crop.shape[:2]
    line_width = min(ceil(options.height * width / height), options.max_width)
    filled = max(options.min_width, ceil(line_width / options.width_step) * options.width_step)
    x = np.zeros((1, 3, options.height, filled), dtype=np.float32)
    resize_normalised(crop, x[0, :, :, :line_width])
    return x


@dataclass(frozen=True, slots=True)
class TextOptions:
    """The table of `ocr.recognise.postprocess`."""

    file: str = "model.onnx"  # in the version's folder; its metadata lists the characters
    output: str = "fetch_name_0"  # the recogniser's output, (1, steps, classes) f32: probabilities

    def __post_init__(self) -> None:
        if "/" in self.file or "\\" in self.file or self.file in ("", ".", ".."):
            raise ConfigError(f"expected the name of a file in the version's folder, got {self.file!r}", where="file")


class RecognisePostprocess:
    """Answers `text`, [1] UTF-8 bytes, and `score`, (1,) f32: the mean probability of its characters."""

    inputs = ()
    outputs = (TensorSpec("text", DType.BYTES, (1,)), TensorSpec("score", DType.FP32, (1,)))

    def __init__(self, characters: tuple[str, ...], output: str) -> None:
        self._characters, self._output = characters, output

    def run(self, values: Values, state: MutableMapping[str, Any]) -> Values:  # Any: the seam's
        """Errors: EngineError if the model does not have one class per character."""
        probabilities: NDArray[np.float32] = values[self._output]
        if probabilities.ndim != 3 or probabilities.shape[2] != len(self._characters):
            raise EngineError(
                f"expected shape [1, steps, {len(self._characters)}], got {list(probabilities.shape)}",
                where=self._output,
                cure="the model's file and the characters in its metadata do not belong together",
            )
        text, score = decode_greedy(probabilities[0], self._characters)
        answer = np.empty(1, dtype=np.object_)
        answer[0] = text.encode()
        return without(values, self._output) | {"text": answer, "score": np.array([score], dtype=np.float32)}


def load_recognise_preprocess(source: StageSource) -> Stage:
    """Make the stage `ocr.recognise.preprocess`. Errors: ConfigError for a wrong option."""
    options = read_options(LineOptions, source)
    make_ready()
    return RecognisePreprocess(options)


def load_recognise_postprocess(source: StageSource) -> Stage:
    """Make the stage `ocr.recognise.postprocess`. Errors: ConfigError; ModelFileError if no characters are listed."""
    options = read_options(TextOptions, source)
    return RecognisePostprocess(read_characters(source.folder / options.file), options.output)
