"""WAV files to samples. (The standard library's `wave` knows neither floats nor 24 bits in an extensible header.)

offset  size  meaning
0       12    "RIFF", length, "WAVE"
12      ..    chunks: 4-byte name, u32 length, content, a zero byte after an odd length; all numbers little-endian
                "fmt ": u16 format, u16 channels, u32 sample rate, u32 bytes/s, u16 bytes per frame, u16 bits,
                        and with format 0xFFFE: u16, u16, u32, u16 format, 14 bytes
                "data": the frames
"""

import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hekla.base.errors import InputError
from hekla.tasks.vad.window import WINDOW_SAMPLES

_EXTENSIBLE = 0xFFFE
_CURE = "convert it: ffmpeg -i INPUT -ar 16000 -ac 1 -c:a pcm_s16le OUTPUT.wav"


def read_wav(content: bytes, where: str = "audio") -> tuple[NDArray[np.float32], int]:
    """Return the samples of a WAV file and its sample rate in Hz.

    Shapes:  (samples,) f32 from -1 to 1; several channels are averaged.
    Errors:  InputError for what is no WAV file, or is compressed; `where` names the file in it. A file cut short gives
             the whole frames it has.
    """
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise InputError("not a WAV file", where=where, cure=_CURE)
    chunks = dict(reversed(list(_chunks(content))))  # the first of a name counts
    header, data = chunks.get(b"fmt ", b""), chunks.get(b"data")
    if len(header) < 16 or data is None:
        raise InputError("a WAV file without a format or data", where=where, cure=_CURE)
    kind, channels, rate, _, frame_bytes, bits = struct.unpack_from("<HHIIHH", header)
    if kind == _EXTENSIBLE and len(header) >= 26:
        (kind,) = struct.unpack_from("<H", header, 24)
    if not channels or not rate or frame_bytes * 8 != channels * bits:
        raise InputError(f"{channels} channels of {bits} bits at {rate} Hz", where=where, cure=_CURE)
    flat = _samples(bytes(data[: len(data) // frame_bytes * frame_bytes]), kind, bits, where)
    return flat.reshape(-1, channels).mean(axis=1, dtype=np.float32), rate


def windows(samples: NDArray[np.float32], sample_rate: int, where: str = "audio") -> Iterator[NDArray[np.float32]]:
    """Yield audio as `vad.window` takes it, the last window filled up with silence.

    Shapes:  (samples,) -> each (1, 512), at 8 kHz (1, 256).
    Errors:  InputError for another sample rate: nothing is resampled here.
    """
    if sample_rate not in WINDOW_SAMPLES:
        raise InputError(f"{sample_rate} Hz; only 16000 and 8000 Hz are taken", where=where, cure=_CURE)
    size = WINDOW_SAMPLES[sample_rate]
    for start in range(0, len(samples), size):
        window = np.zeros((1, size), np.float32)
        part = samples[start : start + size]
        window[0, : len(part)] = part
        yield window


def _chunks(content: bytes) -> Iterator[tuple[bytes, memoryview]]:
    at, view = 12, memoryview(content)
    while at + 8 <= len(content):
        name, length = struct.unpack_from("<4sI", content, at)
        yield name, view[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _samples(data: bytes, kind: int, bits: int, where: str) -> NDArray[np.float32]:
    match kind, bits:
        case (1, 8):
            return (np.frombuffer(data, np.uint8).astype(np.float32) - np.float32(128)) / np.float32(128)
        case (1, 16):
            return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768)
        case (1, 24):
            low = np.frombuffer(data, np.uint8).reshape(-1, 3)
            wide = np.zeros((len(low), 4), np.uint8)
            wide[:, 1:] = low  # into the upper bytes, so that the sign is where it belongs
            return wide.view("<i4")[:, 0].astype(np.float32) / np.float32(2**31)
        case (1, 32):
            return np.frombuffer(data, "<i4").astype(np.float32) / np.float32(2**31)
        case (3, 32 | 64):
            return np.frombuffer(data, f"<f{bits // 8}").astype(np.float32)
    raise InputError(f"audio format {kind} with {bits} bits", where=where, cure=_CURE)
