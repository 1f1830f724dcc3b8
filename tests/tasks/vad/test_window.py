"""The window stage with its model does what the package's own wrapper does."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from tests.samples.sample_repository import version_folder

from hekla.base.errors import ConfigError, ShapeError
from hekla.protocols.stage import StageSource
from hekla.tasks.vad.segments import speech_segments
from hekla.tasks.vad.wav import read_wav, windows
from hekla.tasks.vad.window import Window, speech, window

SPEECH = Path(__file__).parents[3] / "examples" / "speech.wav"
RECORDED = json.loads((Path(__file__).parent / "speech-silero-6.2.3.json").read_text())
F32 = NDArray[np.float32]


def source(**options: object) -> StageSource:
    return StageSource("vad", Path(), options, "models/vad/model.toml: [pipeline.preprocess]")


def heard(sample_rate: int) -> F32:
    samples, rate = read_wav(SPEECH.read_bytes())
    return samples[:: rate // sample_rate]


def session(name: str) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(version_folder("vad") / name, options, providers=["CPUExecutionProvider"])


def probabilities(graph: str, sample_rate: int) -> list[float]:
    """What a stream of windows gives, the stage's state and the graph's kept between them."""
    model, stage = session(graph), window(source(sample_rate=sample_rate))
    sequence: dict[str, Any] = {}  # Any: as the stage protocol has it
    state = np.zeros((2, 1, 128), np.float32)
    found = []
    for part in windows(heard(sample_rate), sample_rate):
        values = stage.run({"audio": part}, sequence)
        output, state = model.run(["output", "stateN"], {"input": values["input"], "state": state})
        found.append(float(speech(source()).run({"output": output}, sequence)["speech"][0, 0]))
    return found


def wrapper(samples: F32, sample_rate: int) -> list[float]:
    """The package's wrapper on its default graph, in the most obvious way: the oracle."""
    model = session("silero_vad.onnx")
    size, context = (512, 64) if sample_rate == 16000 else (256, 32)
    padded = np.concatenate([np.zeros(context, np.float32), samples, np.zeros(-len(samples) % size, np.float32)])
    state, found = np.zeros((2, 1, 128), np.float32), []
    for start in range(0, len(padded) - context, size):
        part = padded[None, start : start + context + size]
        output, state = model.run(["output", "stateN"], {"input": part, "state": state, "sr": np.array(sample_rate)})
        found.append(float(output[0, 0]))
    return found


@pytest.mark.parametrize(("graph", "sample_rate"), [("model.onnx", 16000), ("model-8k.onnx", 8000)])
def test_a_stream_is_heard_as_the_original_hears_it(graph: str, sample_rate: int) -> None:
    found = probabilities(graph, sample_rate)
    assert found == pytest.approx(wrapper(heard(sample_rate), sample_rate), abs=1e-6)
    assert found == pytest.approx(RECORDED[str(sample_rate)], abs=1e-4)


def test_without_the_context_the_oracle_differs() -> None:
    model, state, found = session("model.onnx"), np.zeros((2, 1, 128), np.float32), []
    for part in windows(heard(16000), 16000):
        fresh = Window().run({"audio": part}, {})["input"]
        output, state = model.run(["output", "stateN"], {"input": fresh, "state": state})
        found.append(float(output[0, 0]))
    assert found != pytest.approx(wrapper(heard(16000), 16000), abs=1e-2)


def test_the_sample_has_two_sentences() -> None:
    segments = speech_segments(RECORDED["16000"])
    assert [(round(s.start_s, 1), round(s.end_s, 1)) for s in segments] == [(0.5, 2.8), (3.3, 5.0)]


def test_streams_that_share_a_batch_hear_what_they_hear_alone() -> None:
    model, rng = session("model.onnx"), np.random.default_rng(0)
    inputs, state = rng.standard_normal((5, 576), np.float32), rng.standard_normal((2, 5, 128), np.float32)
    together = model.run(["output", "stateN"], {"input": inputs, "state": state})
    for row in range(5):
        output, after = model.run(
            ["output", "stateN"], {"input": inputs[row : row + 1], "state": state[:, row : row + 1]}
        )
        np.testing.assert_allclose(together[0][row : row + 1], output, atol=1e-5)
        np.testing.assert_allclose(together[1][:, row : row + 1], after, atol=1e-5)


def test_the_first_window_follows_silence_and_the_next_one_follows_it() -> None:
    stage, sequence = Window(), dict[str, Any]()  # Any: as the stage protocol has it
    first = np.arange(512, dtype=np.float32)[None] / 512
    before = stage.run({"audio": first, "kept": 1}, sequence)
    assert not before["input"][0, :64].any()
    assert before["kept"] == 1
    after = stage.run({"audio": first * 0}, sequence)
    np.testing.assert_array_equal(after["input"][0, :64], first[0, -64:])


def test_the_context_outlives_the_buffer_of_the_request() -> None:
    stage, sequence = Window(), dict[str, Any]()  # Any: as the stage protocol has it
    audio = np.ones((1, 512), np.float32)
    stage.run({"audio": audio}, sequence)
    audio[:] = 9
    assert (stage.run({"audio": audio}, sequence)["input"][0, :64] == 1).all()


def test_another_window_length_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"audio: expected shape \(1, 512\): one window of 32 ms, got \[1, 500\]"):
        Window().run({"audio": np.zeros((1, 500), np.float32)}, {})


def test_another_sample_rate_is_refused_by_the_option_s_name() -> None:
    with pytest.raises(ConfigError, match=r"\[pipeline.preprocess\].sample_rate: got 44100; write 16000 or 8000"):
        window(source(sample_rate=44100))


def test_the_speech_stage_has_no_options() -> None:
    with pytest.raises(ConfigError, match=r"threshold: unknown option"):
        speech(source(threshold=0.5))
