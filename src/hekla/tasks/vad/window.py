"""The stages around Silero VAD: each window is seen with the end of the one before it.

Source: the wrapper class that the silero-vad package ships for its ONNX file.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hekla.base.dtypes import DType
from hekla.base.errors import ConfigError, ShapeError
from hekla.protocols.stage import StageSource, Values
from hekla.protocols.tensor import ANY, TensorSpec
from hekla.tasks.options import read_options, reject_options

WINDOW_SAMPLES = {16000: 512, 8000: 256}  # by sample rate in Hz: 32 ms
CONTEXT_SAMPLES = {16000: 64, 8000: 32}  # 4 ms
_CONTEXT = "vad.context"


@dataclass(frozen=True, slots=True)
class WindowOptions:
    """The options of `vad.window`."""

    sample_rate: int = 16000  # Hz; the model's graph must be the one for it

    def __post_init__(self) -> None:
        if self.sample_rate not in WINDOW_SAMPLES:
            raise ConfigError(f"got {self.sample_rate}", where="sample_rate", cure="write 16000 or 8000")


class Window:
    """Stage `vad.window`: put the last samples of the sequence's previous window before this one.

    audio FP32 (1, 512), from -1 to 1 -> input FP32 (1, 64 + 512); at 8 kHz 256 and 32. The first window of a
    sequence, and any outside a sequence, follows silence.
    """

    outputs: tuple[TensorSpec, ...] = ()

    def __init__(self, sample_rate: int = 16000) -> None:
        self._window, self._context = WINDOW_SAMPLES[sample_rate], CONTEXT_SAMPLES[sample_rate]
        self.inputs = (TensorSpec("audio", DType.FP32, (1, self._window)),)

    def run(self, values: Values, state: MutableMapping[str, Any]) -> Values:
        audio: NDArray[np.float32] = values["audio"]
        if audio.shape != (1, self._window):
            raise ShapeError("audio", expected=f"(1, {self._window}): one window of 32 ms", got=audio.shape)
        context = state.get(_CONTEXT)
        if context is None:
            context = np.zeros((1, self._context), np.float32)
        # The copy keeps the caller's buffer from living as long as the sequence.
        state[_CONTEXT] = audio[:, -self._context :].copy()
        rest = {name: value for name, value in values.items() if name != "audio"}
        return rest | {"input": np.concatenate([context, audio], axis=1)}


class Speech:
    """Stage `vad.speech`: the probability that somebody speaks in the window, FP32 (1, 1)."""

    inputs: tuple[TensorSpec, ...] = ()
    outputs = (TensorSpec("speech", DType.FP32, (ANY, 1), batch_axis=0),)

    def run(self, values: Values, state: MutableMapping[str, Any]) -> Values:
        return {"speech": values["output"]}


def window(source: StageSource) -> Window:
    """Make stage `vad.window`. Errors: ConfigError for a wrong option."""
    return Window(read_options(WindowOptions, source).sample_rate)


def speech(source: StageSource) -> Speech:
    """Make stage `vad.speech`. Errors: ConfigError for any option."""
    reject_options(source)
    return Speech()
