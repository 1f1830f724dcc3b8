"""WAV files of every plain kind are read; what is none is refused with the cure."""

import io
import struct
import wave

import numpy as np
import pytest

from hekla.base.errors import InputError
from hekla.tasks.vad.wav import read_wav, windows

WAVE = np.array([0, 0.5, -0.5, 0.25, -1, 0.75])


def file(data: bytes, *, kind: int, bits: int, channels: int = 1, extra: bytes = b"", before: bytes = b"") -> bytes:
    frame = channels * bits // 8
    header = struct.pack("<HHIIHH", kind, channels, 16000, 16000 * frame, frame, bits) + extra
    body = b"WAVE" + before + b"fmt " + struct.pack("<I", len(header)) + header
    body += b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def pcm24(values: list[int]) -> bytes:
    return b"".join(struct.pack("<i", value)[:3] for value in values)


EXTENSIBLE = struct.pack("<HHIH", 22, 16, 4, 1) + bytes(14)
KINDS = [
    file((WAVE * 128 + 128).clip(0, 255).astype(np.uint8).tobytes(), kind=1, bits=8),
    file((WAVE * 32768).astype("<i2").tobytes(), kind=1, bits=16),
    file((WAVE * 32768).astype("<i2").tobytes(), kind=0xFFFE, bits=16, extra=EXTENSIBLE),
    file((WAVE * 32768).astype("<i2").tobytes(), kind=1, bits=16, before=b"LIST\x03\x00\x00\x00abc\x00"),
    file(pcm24([int(v * 2**23) for v in WAVE]), kind=1, bits=24),
    file((WAVE * 2**31).astype("<i4").tobytes(), kind=1, bits=32),
    file(WAVE.astype("<f4").tobytes(), kind=3, bits=32),
    file(WAVE.astype("<f8").tobytes(), kind=3, bits=64),
    file(np.repeat(WAVE * 32768, 2).astype("<i2").tobytes(), kind=1, bits=16, channels=2),
]


@pytest.mark.parametrize("content", KINDS)
def test_every_plain_kind_gives_the_same_samples(content: bytes) -> None:
    samples, rate = read_wav(content)
    assert rate == 16000
    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples, WAVE, atol=1e-7)


def test_what_the_standard_library_writes_is_read() -> None:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(struct.pack("<3h", 0, 16384, -32768))
    samples, rate = read_wav(buffer.getvalue())
    assert (samples.tolist(), rate) == ([0, 0.5, -1], 8000)


def test_channels_are_averaged() -> None:
    content = file(np.array([0.5, -0.5, 1, 0], "<f4").tobytes(), kind=3, bits=32, channels=2)
    assert read_wav(content)[0].tolist() == [0, 0.5]


def test_a_file_cut_short_gives_its_whole_frames() -> None:
    whole = file(np.array([1, 2, 3], "<i2").tobytes(), kind=1, bits=16)
    assert len(read_wav(whole[:-1])[0]) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a WAV file"),
        (b"RIFF\x00\x00\x00\x00AVI ", "not a WAV file"),
        (b"RIFF\x04\x00\x00\x00WAVE", "a WAV file without a format or data"),
        (file(b"", kind=1, bits=16)[:-8], "a WAV file without a format or data"),
        (file(bytes(4), kind=1, bits=16, channels=0), "0 channels of 16 bits at 16000 Hz"),
        (file(bytes(4), kind=85, bits=16), "audio format 85 with 16 bits"),
        (file(bytes(4), kind=1, bits=12), "1 channels of 12 bits"),
    ],
)
def test_what_is_no_plain_wav_file_is_refused_with_the_cure(content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=rf"talk\.wav: {message}.*; convert it: ffmpeg"):
        read_wav(content, "talk.wav")


def test_the_last_window_is_filled_up_with_silence() -> None:
    parts = list(windows(np.ones(700, np.float32), 16000))
    assert [part.shape for part in parts] == [(1, 512), (1, 512)]
    assert parts[1].sum() == 188


def test_another_sample_rate_is_refused_with_the_cure() -> None:
    with pytest.raises(InputError, match="44100 Hz; only 16000 and 8000 Hz are taken; convert it"):
        list(windows(np.ones(9, np.float32), 44100))
