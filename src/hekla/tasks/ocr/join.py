"""The stage `ocr.join`: what was read in each box, as one answer."""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hekla.base.dtypes import DType
from hekla.base.errors import EngineError
from hekla.protocols.stage import Stage, StageSource, Values
from hekla.protocols.tensor import ANY, TensorSpec
from hekla.tasks.options import read_options, require


@dataclass(frozen=True, slots=True)
class JoinOptions:
    """The table of `ocr.join`."""

    min_score: float = 0.5  # lines the recogniser is less sure of are dropped

    def __post_init__(self) -> None:
        require("min_score", self.min_score, at_least=0, at_most=1)


class JoinLines:
    """Takes `text` and `score`, lists of [1] arrays, and `boxes` (n, 4, 2); answers the lines worth reading.

    Dropped: a line that is empty or only spaces, and one whose score is below `min_score`. `text` is then BYTES [m],
    `scores` FP32 [m] and `boxes` FP32 [m, 4, 2], m <= n, in the order that came.
    """

    inputs = (
        TensorSpec("text", DType.BYTES, (ANY, 1)),
        TensorSpec("score", DType.FP32, (ANY, 1)),
        TensorSpec("boxes", DType.FP32, (ANY, 4, 2)),
    )
    outputs = (
        TensorSpec("text", DType.BYTES, (ANY,)),
        TensorSpec("scores", DType.FP32, (ANY,)),
        TensorSpec("boxes", DType.FP32, (ANY, 4, 2)),
    )

    def __init__(self, options: JoinOptions) -> None:
        self._options = options

    def run(self, values: Values, state: MutableMapping[str, Any]) -> Values:  # Any: the seam's
        """Errors: EngineError if there are not as many texts and scores as boxes."""
        boxes = np.asarray(values["boxes"], dtype=np.float32)
        texts = [bytes(np.asarray(text, dtype=np.object_).reshape(-1)[0]) for text in values["text"]]
        scores = np.array([np.asarray(score).reshape(-1)[0] for score in values["score"]], dtype=np.float32)
        if not len(texts) == len(scores) == len(boxes):
            raise EngineError(f"{len(texts)} texts and {len(scores)} scores came for {len(boxes)} boxes")
        kept = np.array(
            [
                index
                for index, (text, score) in enumerate(zip(texts, scores, strict=True))
                if text.decode().strip() and score >= self._options.min_score
            ],
            dtype=np.intp,
        )
        text = np.empty(len(kept), dtype=np.object_)
        text[:] = [texts[index] for index in kept]
        return {"text": text, "scores": scores[kept], "boxes": boxes[kept]}


def load_join(source: StageSource) -> Stage:
    """Make the stage `ocr.join`. Errors: ConfigError for a wrong option."""
    return JoinLines(read_options(JoinOptions, source))
