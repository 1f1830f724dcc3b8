"""Segments are those that the silero-vad package's `get_speech_timestamps_from_probs` gave on random streams."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hekla.base.errors import InputError
from hekla.tasks.vad.segments import Segment, SpeechRules, speech_segments

GOLDEN: list[dict[str, Any]] = json.loads(  # Any: numbers, lists and tables of them
    (Path(__file__).parent / "segments-silero-6.2.3.json").read_text()
)


def found(case: dict[str, Any], **changes: float) -> list[list[int]]:
    segments = speech_segments(
        [percent / 100 for percent in case["percent"]],
        sample_rate=case["sample_rate"],
        length_samples=case["length_samples"],
        rules=SpeechRules(**(case["rules"] | changes)),
    )
    return [[segment.start_samples, segment.end_samples] for segment in segments]


@pytest.mark.parametrize("at", range(len(GOLDEN)))
def test_segments_are_those_of_the_original(at: int) -> None:
    assert found(GOLDEN[at]) == GOLDEN[at]["segments"]


def test_the_recorded_segments_notice_each_rule() -> None:
    for change in ({"threshold": 0.6}, {"min_speech_ms": 400}, {"pad_ms": 31}, {"min_silence_ms": 250}):
        assert any(found(case, **change) != case["segments"] for case in GOLDEN), change


@given(st.lists(st.floats(0, 1), max_size=80), st.floats(0.2, 3), st.integers(0, 200))
def test_segments_lie_in_the_audio_in_order_and_apart(
    probabilities: list[float], max_speech_s: float, pad_ms: int
) -> None:
    rules = SpeechRules(max_speech_s=max_speech_s, pad_ms=pad_ms)
    ends = [0]
    for segment in speech_segments(probabilities, rules=rules):
        assert ends[-1] <= segment.start_samples <= segment.end_samples <= len(probabilities) * 512
        ends.append(segment.end_samples)


def test_no_windows_hold_no_speech() -> None:
    assert speech_segments([]) == []


def test_a_segment_says_its_seconds() -> None:
    segment = Segment(8000, 24000, 16000)
    assert (segment.start_s, segment.end_s) == (0.5, 1.5)


def test_another_sample_rate_is_refused() -> None:
    with pytest.raises(InputError, match="sample_rate: expected 16000 or 8000 Hz, got 44100"):
        speech_segments([0.5], sample_rate=44100)
