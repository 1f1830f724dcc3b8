"""Tensors from bytes of a message: numbers of the other endianness, and the frames of a BYTES tensor.

Shapes:  swap_16, swap_32, swap_64: source (n,) u8 -> out (n,) u8, numbers of 2, 4 or 8 bytes, each reversed. Bytes
         after the last whole number are copied as they stand. source may begin anywhere.
         scan_frames: source (n,) u8 -> starts (m,) index, lengths (m,) index, rest (1,) index; returns how many
         frames it found.
Format:  BYTES of the Open Inference Protocol: each element is its length, u32 little-endian, and then its bytes.
         offset  size    meaning
         0       4       length
         4       length  the element: starts[i] is where it begins in source
Checks:  scanning stops before a frame that does not fit source, or after m frames; rest[0] is where it stopped. The
         message is right exactly where the result is m and rest[0] is n. Nothing outside of source is read.
Cost:    swap: memory bandwidth; scan: one load and one addition a frame, each waiting for the one before.
Source:  github.com/kserve/open-inference-protocol, "Binary tensor data extension".
"""

import struct

import numpy as np

from hekla.kernels.sizes import around, normal
from hekla.lang import (
    Const,
    MutView,
    View,
    bitcast,
    comptime,
    index,
    kernel,
    load,
    shuffle,
    store,
    stream_store,
    u8,
    u32,
    unroll,
)
from hekla.lang.sweep import Sweep

LANES, PARTS = 64, 4
STEP = LANES * PARTS
LARGE = 4 << 20  # bytes that no cache keeps: written past them, which saves reading them first
HEADER = 4  # bytes of a frame's length


def reference_swap(size):
    """Return the NumPy form for numbers of `size` bytes."""

    def reference(source, out):
        whole = len(source) // size * size
        out[:whole] = source[:whole].reshape(-1, size)[:, ::-1].ravel()
        out[whole:] = source[whole:]

    return reference


def reference_scan_frames(source, starts, lengths, rest):
    """Say it in Python."""
    at, found = 0, 0
    while found < len(starts) and at + HEADER <= len(source):
        (length,) = struct.unpack_from("<I", source, at)
        if at + HEADER + length > len(source):
            break
        starts[found], lengths[found] = at + HEADER, length
        at, found = at + HEADER + length, found + 1
    rest[0] = at
    return found


@comptime
def reversed_groups(size):
    """Return the lanes of a vector with each group of `size` reversed."""
    return tuple(i - i % size + size - 1 - i % size for i in range(LANES))


@kernel(inline=True)
def swap(source: View[u8, 1], out: MutView[u8, 1], *, size: Const):
    n = len(out)
    numbers = n - n % size
    whole = n - n % STEP
    if n < LARGE:
        for i in range(0, whole, STEP):
            for p in unroll(range(PARTS)):
                v = load(source, i + p * LANES, width=LANES)
                store(out, i + p * LANES, shuffle(v, indices=reversed_groups(size)))
    else:
        for j in range(0, whole, LANES):
            stream_store(out, j, shuffle(load(source, j, width=LANES), indices=reversed_groups(size)))
    for i in range(whole, numbers, LANES):
        v = load(source, i, width=LANES, count=numbers - i)
        store(out, i, shuffle(v, indices=reversed_groups(size)), count=numbers - i)
    for i in range(numbers, n):
        out[i] = source[i]


@kernel
def swap_16(source: View[u8, 1], out: MutView[u8, 1]):
    swap(source, out, size=2)


@kernel
def swap_32(source: View[u8, 1], out: MutView[u8, 1]):
    swap(source, out, size=4)


@kernel
def swap_64(source: View[u8, 1], out: MutView[u8, 1]):
    swap(source, out, size=8)


@kernel
def scan_frames(
    source: View[u8, 1], starts: MutView[index, 1], lengths: MutView[index, 1], rest: MutView[index, 1]
) -> index:
    n = len(source)
    at = 0
    found = 0
    while found < len(starts) and at + HEADER <= n:
        length = index(bitcast(u32, load(source, at, width=HEADER)))
        begin = at + HEADER
        if length > n - begin:
            break
        starts[found] = begin
        lengths[found] = length
        at = begin + length
        found += 1
    rest[0] = at
    return found


def swap_cases(rng):
    """Sizes around the lanes, with and without a rest of a number."""
    return [(normal(rng, (n,), np.uint8), np.zeros(n, np.uint8)) for n in around(LANES, STEP)]


def framed(*elements):
    """Return the message that holds these elements."""
    return b"".join(struct.pack("<I", len(e)) + e for e in elements)


def frame_cases(_rng):
    """Right messages; cut in a header and in an element; lengths that lie; too many and too few elements."""
    three = framed(b"a", b"", b"frame" * 50)
    messages = [
        (b"", 0), (b"", 2), (framed(b""), 1), (three, 3), (three, 2), (three, 4), (three[:-1], 3), (three[:3], 3),
        (three[:4], 3), (three + b"\x01", 3), (b"\xff\xff\xff\xff" + three, 2), (b"\x00\x00\x00\x80", 1),
    ]  # fmt: skip
    return [
        (np.frombuffer(m, np.uint8), np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(1, np.int64))
        for m, n in messages
    ]


SWEEPS = (
    Sweep(swap_16, reference_swap(2), swap_cases),
    Sweep(swap_32, reference_swap(4), swap_cases),
    Sweep(swap_64, reference_swap(8), swap_cases),
    Sweep(scan_frames, reference_scan_frames, frame_cases),
)
