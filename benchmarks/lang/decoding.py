"""Tensors from bytes beside NumPy: byte orders, BYTES frames, 4-bit integers; and selection of the best."""

import struct
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from benchmarks.lang.limits import Limits
from benchmarks.lang.peers import peer
from benchmarks.lang.table import Row, measure
from benchmarks.lang.timing import Call
from hekla.kernels import int4, tensor_decode, top_k

Bytes = np.ndarray[Any, np.dtype[np.uint8]]  # Any: of any shape
SWAPS = ((tensor_decode.swap_16, "u2"), (tensor_decode.swap_32, "u4"), (tensor_decode.swap_64, "u8"))
FRAMES = 10_000
SELECTIONS = ((10_000, 10), (200_000, 10), (200_000, 100), (32_000, 40), (10_000, 1000))


def rows(limits: Limits, seconds: float) -> Iterator[Row]:
    """Measure each where the data fit a cache and where they do not."""
    rng = np.random.default_rng(0)
    for size, name in ((1 << 18, "256 KiB"), (1 << 26, "64 MiB")):
        source: Bytes = rng.integers(0, 256, size, dtype=np.uint8)
        out, other = np.zeros_like(source), np.zeros_like(source)
        for kernel, code in SWAPS:
            swapped, target = source.view(f">{code}"), other.view(f"<{code}")
            peers = {"NumPy": partial(np.copyto, target, swapped)}
            limit = limits.copy_bytes if size > 1 << 22 else 0.0
            ours = partial(kernel, source, out)
            yield measure(kernel.__name__, name, ours, peers, seconds, work=2 * size, unit="Gop/s", limit=limit)
    yield _frames(rng, seconds)
    yield from _int4(rng, seconds)
    for n, k in SELECTIONS:
        yield _selection(rng, n, k, seconds)


def _frames(rng: np.random.Generator, seconds: float) -> Row:
    elements = (b"x" * int(n) for n in rng.integers(0, 40, FRAMES))
    message = b"".join(struct.pack("<I", len(e)) + e for e in elements)
    source = np.frombuffer(message, np.uint8)
    starts, lengths, rest = (np.zeros(n, np.int64) for n in (FRAMES, FRAMES, 1))

    def python() -> None:
        at = 0
        while at < len(message):
            (length,) = struct.unpack_from("<I", message, at)
            at += 4 + length

    ours = partial(tensor_decode.scan_frames, source, starts, lengths, rest)
    return measure("scan_frames", f"{FRAMES} frames", ours, {"Python": python}, seconds, work=FRAMES, unit="ns")


def _int4(rng: np.random.Generator, seconds: float) -> Iterator[Row]:
    n = 1 << 18
    packed: Bytes = rng.integers(0, 256, n // 2, dtype=np.uint8)
    values, out = np.zeros(n, np.int8), np.zeros((512, 512), np.float32)
    scale = np.ones((512, 16), np.float32)

    def unpack() -> Any:  # Any: i8 of two dimensions
        halves = np.empty((n // 2, 2), np.int8)
        halves[:, 0], halves[:, 1] = (packed << 4).view(np.int8) >> 4, packed.view(np.int8) >> 4
        return halves

    def dequantise() -> Any:  # Any: f32 of three dimensions
        return unpack().reshape(512, 16, 32) * scale[:, :, None]

    yield measure("unpack_i4", f"{n}", lambda: int4.unpack_i4(packed, values), {"NumPy": unpack}, seconds)
    rows_ = packed.reshape(512, 256)
    yield measure(
        "dequantise_i4", "512 x 512", lambda: int4.dequantise_i4(rows_, scale, out), {"NumPy": dequantise}, seconds
    )


def _selection(rng: np.random.Generator, n: int, k: int, seconds: float) -> Row:
    x: Any = rng.normal(size=n).astype(np.float32)  # Any: f32 of one dimension
    values, places = np.zeros(k, np.float32), np.zeros(k, np.int64)
    torch = peer("torch")

    def numpy() -> Any:  # Any: as x
        found = np.argpartition(x, k)[:k]
        return found[np.argsort(x[found])]

    peers: dict[str, Call | None] = {"NumPy": numpy, "PyTorch": None}
    if torch is not None:
        peers["PyTorch"] = partial(torch.topk, torch.from_numpy(x), k, largest=False)
    return measure("smallest", f"{k} of {n}", lambda: top_k.smallest(x, values, places), peers, seconds)
