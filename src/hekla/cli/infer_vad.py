"""A WAV file as one sequence of windows to a voice-activity model, and the stretches of speech that come back."""

import os
from collections.abc import Sequence

from hekla.base.errors import EngineError, InputError
from hekla.cli.client import ServerClient
from hekla.cli.infer_input import Given
from hekla.protocols.tensor import TensorSpec
from hekla.tasks.vad.segments import Segment, speech_segments
from hekla.tasks.vad.wav import read_wav, windows


class Heard:
    """What the model made of one file."""

    def __init__(self, probabilities: Sequence[float], segments: Sequence[Segment], seconds: float, took_s: float):
        self.probabilities, self.segments, self.seconds, self.took_s = probabilities, segments, seconds, took_s


def listen(client: ServerClient, model: str, version: str, given: Given, specs: Sequence[TensorSpec]) -> Heard:
    """Send the file window by window under one correlation id.

    Errors: InputError for what is no WAV file or has another sample rate than the model.
    """
    where = given.name or "standard input"
    samples, rate = read_wav(given.content, where)
    if not len(samples):
        raise InputError("has no samples", where=where, cure="give a file with sound")
    size = specs[0].shape[-1]
    sequence = int.from_bytes(os.urandom(6), "big") | 1
    probabilities: list[float] = []
    took_s = 0.0
    parts = list(windows(samples, rate, where))
    if parts[0].shape[1] != size:
        cure = f"resample it to {16000 if size == 512 else 8000} Hz"
        raise InputError(f"{rate} Hz, but the model takes windows of {size} samples", where=where, cure=cure)
    for at, window in enumerate(parts):
        ends = {"sequence_id": sequence, "sequence_start": at == 0, "sequence_end": at == len(parts) - 1}
        answer = client.infer(model, {specs[0].name: window}, version=version, parameters=ends)
        took_s += answer.took_s
        if len(answer.outputs) != 1:
            raise EngineError(f"expected one probability, got the outputs {', '.join(answer.outputs)}")
        (probability,) = answer.outputs.values()
        probabilities.append(float(probability.reshape(-1)[0]))
    segments = speech_segments(probabilities, sample_rate=rate, length_samples=len(samples))
    return Heard(probabilities, segments, len(samples) / rate, took_s)
