"""Numbers to blocks, in NumPy: round to nearest, each block alone. The inverse of `dequantise.py`.

Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0 choose scale and minimum as ggml's reference code does. The K kinds fit each part's
scale (and minimum) by least squares over a few candidates, then store them in 6 or 8 bits; ggml's own search differs in
detail, not in layout. Every function takes rows (n, values of a block) f32 and returns (n, bytes of a block) u8.
"""

from collections.abc import Callable, Mapping

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from hekla.base.errors import ShapeError, UnsupportedError
from hekla.llm.tensors import Quantisation

Bytes = NDArray[np.uint8]
F32 = NDArray[np.float32]
_FOUR, _LOW = np.uint8(4), np.uint8(15)  # bytes stay bytes
_SHRINKS = (1.0, 0.97, 0.94, 0.9, 0.86)  # of the widest range, tried when a scale is fitted


def quantised(values: F32, kind: Quantisation) -> Bytes:
    """Return the bytes of an array as `StoredTensor.data` has them. Shapes: (..., inputs) -> (bytes,).

    Errors: ShapeError for rows that are no whole blocks; UnsupportedError for a kind that is not written.
    """
    if kind not in QUANTISE:
        raise UnsupportedError(f"{kind.name} is not written", cure=f"known: {', '.join(k.name for k in QUANTISE)}")
    if values.shape[-1] % kind.block_values:
        raise ShapeError(f"quantised({kind.name})", expected=f"rows of n x {kind.block_values}", got=values.shape)
    blocks = np.ascontiguousarray(values, np.float32).reshape(-1, kind.block_values)
    return QUANTISE[kind](blocks).reshape(-1)


def _inverse(scale: F32) -> F32:
    return np.divide(1.0, scale, out=np.zeros_like(scale), where=scale != 0)


def _half(values: F32) -> Bytes:
    """Return (n, 1) numbers as (n, 2) bytes of f16, within its range."""
    return np.clip(values, -65504, 65504).astype("<f2").view(np.uint8).reshape(-1, 2)


def _packed(codes: NDArray[np.uint8]) -> Bytes:
    """Return nibbles of which the first half of a row goes into the low ones. Shapes: (n, 2 m) -> (n, m)."""
    half = codes.shape[1] // 2
    found: Bytes = codes[:, :half] | codes[:, half:] << _FOUR
    return found


def _rounded(values: F32, most: int) -> NDArray[np.uint8]:
    found: Bytes = np.clip(np.floor(values + np.float32(0.5)), 0, most).astype(np.uint8)
    return found


def _symmetric(blocks: F32, most: int) -> tuple[F32, NDArray[np.uint8]]:
    """Return scale and codes of ggml's Q4_0 and Q5_0: the value furthest from 0 gets the code 0."""
    furthest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=1)[:, None], axis=1)
    scale = furthest / np.float32(-(most + 1) // 2)
    return scale, _rounded(blocks * _inverse(scale) + np.float32((most + 1) // 2), most)


def _affine(blocks: F32, most: int) -> tuple[F32, F32, NDArray[np.uint8]]:
    """Return scale, minimum and codes of ggml's Q4_1 and Q5_1."""
    least = blocks.min(axis=1, keepdims=True)
    scale = (blocks.max(axis=1, keepdims=True) - least) / np.float32(most)
    return scale, least, _rounded((blocks - least) * _inverse(scale), most)


def _fifth_bits(codes: NDArray[np.uint8]) -> Bytes:
    return np.packbits(codes >> _FOUR, axis=1, bitorder="little")


def _q4_0(blocks: F32) -> Bytes:
    scale, codes = _symmetric(blocks, 15)
    return np.concatenate([_half(scale), _packed(codes)], axis=1)


def _q4_1(blocks: F32) -> Bytes:
    scale, least, codes = _affine(blocks, 15)
    return np.concatenate([_half(scale), _half(least), _packed(codes)], axis=1)


def _q5_0(blocks: F32) -> Bytes:
    scale, codes = _symmetric(blocks, 31)
    return np.concatenate([_half(scale), _fifth_bits(codes), _packed(codes & _LOW)], axis=1)


def _q5_1(blocks: F32) -> Bytes:
    scale, least, codes = _affine(blocks, 31)
    return np.concatenate([_half(scale), _half(least), _fifth_bits(codes), _packed(codes & _LOW)], axis=1)


def _q8_0(blocks: F32) -> Bytes:
    scale = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)
    codes = np.rint(np.clip(blocks * _inverse(scale), -127, 127)).astype(np.int8)
    return np.concatenate([_half(scale), codes.view(np.uint8)], axis=1)


def _fitted(parts: F32, most: int) -> tuple[F32, F32]:
    """Return each part's scale and minimum (at most 0) of the least error. Shapes: (n, p, 32) -> two (n, p)."""
    least = np.minimum(parts.min(axis=2), 0)
    widest = (parts.max(axis=2) - least) / np.float32(most)
    best_scale, best_least = widest, least
    best = np.full(widest.shape, np.inf, np.float32)
    for shrink in _SHRINKS:
        scale, low = widest * np.float32(shrink), least * np.float32(shrink)
        codes = np.clip(np.rint((parts - low[..., None]) * _inverse(scale)[..., None]), 0, most)
        error = np.square(codes * scale[..., None] + low[..., None] - parts).sum(axis=2)
        is_better = error < best
        best = np.where(is_better, error, best)
        best_scale, best_least = np.where(is_better, scale, best_scale), np.where(is_better, low, best_least)
    return best_scale.astype(np.float32), best_least.astype(np.float32)


def _six_bits(scales: NDArray[np.uint8], minima: NDArray[np.uint8]) -> Bytes:
    """Return 8 scales and 8 minima of 6 bits in 12 bytes: the inverse of `dequantise.scales_and_minima`."""
    first = scales[:, :4] | scales[:, 4:] >> _FOUR << np.uint8(6)
    second = minima[:, :4] | minima[:, 4:] >> _FOUR << np.uint8(6)
    return np.concatenate([first, second, scales[:, 4:] & _LOW | (minima[:, 4:] & _LOW) << _FOUR], axis=1)


def _by_parts(blocks: F32, most: int) -> tuple[Bytes, NDArray[np.uint8]]:
    """Return the 16 first bytes of Q4_K or Q5_K, and the codes (n, 8, 32)."""
    parts = blocks.reshape(-1, 8, 32)
    scale, least = _fitted(parts, most)
    d = scale.max(axis=1, keepdims=True) / np.float32(63)
    m = (-least).max(axis=1, keepdims=True) / np.float32(63)
    d, m = (value.astype(np.float16).astype(np.float32) for value in (d, m))
    scales, minima = _rounded(scale * _inverse(d), 63), _rounded(-least * _inverse(m), 63)
    step, low = d * scales, m * minima
    codes = np.clip(np.rint((parts + low[..., None]) * _inverse(step)[..., None]), 0, most).astype(np.uint8)
    return np.concatenate([_half(d), _half(m), _six_bits(scales, minima)], axis=1), codes


def _packed_by_64(codes: NDArray[np.uint8]) -> Bytes:
    pairs = codes.reshape(-1, 4, 2, 32)
    return (pairs[:, :, 0] | pairs[:, :, 1] << _FOUR).reshape(-1, 128)


def _q4_k(blocks: F32) -> Bytes:
    head, codes = _by_parts(blocks, 15)
    return np.concatenate([head, _packed_by_64(codes)], axis=1)


def _q5_k(blocks: F32) -> Bytes:
    head, codes = _by_parts(blocks, 31)
    fifth = np.packbits(codes >> _FOUR, axis=1, bitorder="little").reshape(-1, 32)
    return np.concatenate([head, fifth, _packed_by_64(codes & _LOW)], axis=1)


def _q6_k(blocks: F32) -> Bytes:
    parts = blocks.reshape(-1, 16, 16)
    furthest = np.take_along_axis(parts, np.abs(parts).argmax(axis=2)[..., None], axis=2)[..., 0]
    scale = furthest / np.float32(-32)
    at = np.abs(scale).argmax(axis=1)[:, None]
    d = np.take_along_axis(scale, at, axis=1) / np.float32(-128)
    d = d.astype(np.float16).astype(np.float32)
    scales = np.clip(np.rint(scale * _inverse(d)), -128, 127).astype(np.int8)
    step = (d * scales.astype(np.float32))[..., None]
    codes = (np.clip(np.rint(parts * _inverse(step)), -32, 31) + 32).astype(np.uint8).reshape(-1, 2, 4, 32)
    low, high = codes & _LOW, codes >> _FOUR
    packed_low = (low[:, :, :2] | low[:, :, 2:] << _FOUR).reshape(-1, 128)
    packed_high = (
        high[:, :, 0] | high[:, :, 1] << np.uint8(2) | high[:, :, 2] << np.uint8(4) | high[:, :, 3] << np.uint8(6)
    )
    return np.concatenate([packed_low, packed_high.reshape(-1, 64), scales.view(np.uint8), _half(d)], axis=1)


QUANTISE: Mapping[Quantisation, Callable[[F32], Bytes]] = {
    Quantisation.F32: lambda blocks: blocks.astype("<f4").view(np.uint8).reshape(-1, 4),
    Quantisation.F16: _half,
    Quantisation.BF16: lambda blocks: blocks.astype(ml_dtypes.bfloat16).view(np.uint8).reshape(-1, 2),
    Quantisation.Q4_0: _q4_0,
    Quantisation.Q4_1: _q4_1,
    Quantisation.Q5_0: _q5_0,
    Quantisation.Q5_1: _q5_1,
    Quantisation.Q8_0: _q8_0,
    Quantisation.Q4_K: _q4_k,
    Quantisation.Q5_K: _q5_k,
    Quantisation.Q6_K: _q6_k,
}
