"""From a speech probability per window to the stretches in which somebody speaks.

Source: `get_speech_timestamps_from_probs` of the silero-vad package 6.2, with its defaults; the cut that its
`use_max_poss_sil_at_max_speech=False` selects is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hekla.base.errors import InputError
from hekla.tasks.vad.window import WINDOW_SAMPLES


@dataclass(frozen=True, slots=True)
class SpeechRules:
    """When speech begins and ends."""

    threshold: float = 0.5  # speech begins at a window this likely
    neg_threshold: float | None = None  # and may end at one less likely than this; None: 0.15 below `threshold`
    min_speech_ms: float = 250  # shorter speech is dropped
    max_speech_s: float = float("inf")  # longer speech is cut, at its longest silence if there was one
    min_silence_ms: float = 100  # shorter silence does not end speech
    pad_ms: float = 30  # added on both sides
    min_silence_at_cut_ms: float = 98  # a silence this long may be where long speech is cut


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech, first sample included, last one not."""

    start_samples: int
    end_samples: int
    sample_rate: int

    @property
    def start_s(self) -> float:
        return self.start_samples / self.sample_rate

    @property
    def end_s(self) -> float:
        return self.end_samples / self.sample_rate


def speech_segments(
    probabilities: Sequence[float],
    *,
    sample_rate: int = 16000,
    length_samples: int | None = None,
    rules: SpeechRules = SpeechRules(),
) -> list[Segment]:
    """Return the stretches of speech, in order and without overlap.

    Shapes:  one probability per window of 512 samples (256 at 8 kHz).
    Units:   `length_samples` is the audio's true length, where the last window was filled up; None: whole windows.
    Errors:  InputError for another sample rate.
    """
    if sample_rate not in WINDOW_SAMPLES:
        raise InputError(f"expected 16000 or 8000 Hz, got {sample_rate}", where="sample_rate", cure="resample it")
    window = WINDOW_SAMPLES[sample_rate]
    length = len(probabilities) * window if length_samples is None else length_samples
    finder = _Finder(rules, sample_rate)
    for at, probability in enumerate(probabilities):
        finder.see(probability, at * window)
    found = _padded(finder.finished(length), length, sample_rate * rules.pad_ms / 1000)
    return [Segment(start, end, sample_rate) for start, end in found]


class _Finder:
    """Walks over the windows. Positions and lengths are in samples."""

    def __init__(self, rules: SpeechRules, sample_rate: int) -> None:
        pad = sample_rate * rules.pad_ms / 1000
        self._threshold = rules.threshold
        self._neg_threshold = max(rules.threshold - 0.15, 0.01) if rules.neg_threshold is None else rules.neg_threshold
        self._min_speech = rules.min_speech_ms * sample_rate / 1000
        self._min_silence = rules.min_silence_ms * sample_rate / 1000
        self._min_silence_at_cut = rules.min_silence_at_cut_ms * sample_rate / 1000
        self._max_speech = sample_rate * rules.max_speech_s - WINDOW_SAMPLES[sample_rate] - 2 * pad
        self._start: int | None = None  # of the speech under way
        self._quiet_since: int | None = None
        self._silences: list[tuple[int, int]] = []  # (start, length) of those where this speech could be cut
        self._found: list[tuple[int, int]] = []

    def see(self, probability: float, here: int) -> None:
        """Take the next window, which begins at sample `here`."""
        if probability >= self._threshold:
            self._end_silence(here)
            if self._start is None:
                self._start = here
                return
        if self._start is not None and here - self._start > self._max_speech and self._cut(here):
            return
        if probability < self._neg_threshold and self._start is not None:
            self._keep_silence(here)

    def finished(self, length: int) -> list[tuple[int, int]]:
        """Return what was found in audio of `length` samples, speech under way at its end included."""
        if self._start is not None and length - self._start > self._min_speech:
            return [*self._found, (self._start, length)]
        return self._found

    def _end_silence(self, here: int) -> None:
        if self._quiet_since is not None:
            if here - self._quiet_since > self._min_silence_at_cut:
                self._silences.append((self._quiet_since, here - self._quiet_since))
            self._quiet_since = None

    def _cut(self, here: int) -> bool:
        """End speech that became too long. True if it ends here, False if it goes on after its longest silence."""
        assert self._start is not None  # see() asked
        silences, self._silences, self._quiet_since = self._silences, [], None
        if not silences:
            self._found.append((self._start, here))
            self._start = None
            return True
        end, length = max(silences, key=lambda silence: silence[1])
        self._found.append((self._start, end))
        self._start = end + length
        return False

    def _keep_silence(self, here: int) -> None:
        assert self._start is not None  # see() asked
        if self._quiet_since is None:
            self._quiet_since = here
        if here - self._quiet_since < self._min_silence:
            return
        if self._quiet_since - self._start > self._min_speech:
            self._found.append((self._start, self._quiet_since))
        self._start, self._quiet_since, self._silences = None, None, []


def _padded(found: list[tuple[int, int]], length: int, pad: float) -> list[tuple[int, int]]:
    """Widen each stretch by `pad` samples; two neighbours share a gap that is too short for both."""
    starts, ends = [start for start, _ in found], [end for _, end in found]
    for at in range(len(found)):
        if at == 0:
            starts[0] = int(max(0, starts[0] - pad))
        if at + 1 == len(found):
            ends[at] = int(min(length, ends[at] + pad))
        elif (gap := starts[at + 1] - ends[at]) < 2 * pad:
            ends[at] += gap // 2
            starts[at + 1] = max(0, starts[at + 1] - gap // 2)
        else:
            ends[at] = int(min(length, ends[at] + pad))
            starts[at + 1] = int(max(0, starts[at + 1] - pad))
    return list(zip(starts, ends, strict=True))
