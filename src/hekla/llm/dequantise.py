"""What stored numbers mean, in NumPy: the definition that kernels are compared with.

Every function takes blocks (n, bytes of a block) u8 and returns their values (n, values of a block) f32, in the order
of operations that ggml's own C has, so that equal bits come out. d, m: f16 scale and minimum of a block; q: the code.

kind    a block's bytes                                                     value
Q4_0    d, 16 bytes: values 0 to 15 low nibbles, 16 to 31 high              d (q - 8)
Q4_1    d, m, 16 bytes the same way                                         d q + m
Q5_0    d, u32 of fifth bits (bit i: value i), 16 bytes                     d (q - 16)
Q5_1    d, m, u32, 16 bytes                                                 d q + m
Q8_0    d, 32 signed bytes                                                  d q
Q4_K    d, m, 12 bytes: 8 scales s and 8 minima t of 6 bits, 128 bytes:     (d s) q - (m t)
        each 32 hold 64 values, low nibbles first
Q5_K    d, m, 12 bytes, 32 bytes of fifth bits (bit j of byte i: value      (d s) q - (m t)
        32 j + i), 128 bytes
Q6_K    128 bytes low 4 bits, 64 bytes high 2 bits, 16 signed scales s      (d s) (q - 32)
        (one a 16 values), d
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from hekla.llm.awq import dequantised_awq
from hekla.llm.tensors import Quantisation, StoredTensor

Bytes = NDArray[np.uint8]
F32 = NDArray[np.float32]


def dequantised(tensor: StoredTensor) -> F32:
    """Return the values of a tensor, in its shape. Cost: one f32 copy, and temporaries of a few times that."""
    if tensor.quantisation is Quantisation.AWQ4:
        return dequantised_awq(tensor)
    blocks = tensor.data.reshape(-1, tensor.quantisation.block_bytes)
    return DEQUANTISE[tensor.quantisation](blocks).reshape(tensor.shape)


def dequantised_rows(tensor: StoredTensor, start: int, end: int) -> F32:
    """Return rows [start, end) of a matrix whose blocks lie along its rows. Shapes: -> (end - start, inputs)."""
    row_bytes = tensor.shape[-1] // tensor.quantisation.block_values * tensor.quantisation.block_bytes
    blocks = tensor.data[start * row_bytes : end * row_bytes].reshape(-1, tensor.quantisation.block_bytes)
    return DEQUANTISE[tensor.quantisation](blocks).reshape(end - start, tensor.shape[-1])


def _f16(blocks: Bytes, at: int) -> F32:
    """Return the f16 at a byte of each block, (n, 1) f32."""
    return blocks[:, at : at + 2].copy().view("<f2").astype(np.float32)


def _nibbles(packed: Bytes) -> NDArray[np.int32]:
    """Return all low nibbles, then all high ones."""
    return np.concatenate([packed & 15, packed >> 4], axis=1).astype(np.int32)


def _fifth_bits(packed: Bytes) -> NDArray[np.int32]:
    """Return 32 bits of each block's 4 bytes, worth 16 each."""
    return np.unpackbits(packed, axis=1, bitorder="little").astype(np.int32) << 4


def _f32(blocks: Bytes) -> F32:
    return blocks.view("<f4").astype(np.float32)


def _half(blocks: Bytes) -> F32:
    return blocks.view("<f2").astype(np.float32)


def _bf16(blocks: Bytes) -> F32:
    return (blocks.view("<u2").astype(np.uint32) << 16).view(np.float32)


def _q4_0(blocks: Bytes) -> F32:
    return (_nibbles(blocks[:, 2:18]) - 8).astype(np.float32) * _f16(blocks, 0)


def _q4_1(blocks: Bytes) -> F32:
    return _nibbles(blocks[:, 4:20]).astype(np.float32) * _f16(blocks, 0) + _f16(blocks, 2)


def _q5_0(blocks: Bytes) -> F32:
    codes = _nibbles(blocks[:, 6:22]) | _fifth_bits(blocks[:, 2:6])
    return (codes - 16).astype(np.float32) * _f16(blocks, 0)


def _q5_1(blocks: Bytes) -> F32:
    codes = _nibbles(blocks[:, 8:24]) | _fifth_bits(blocks[:, 4:8])
    return codes.astype(np.float32) * _f16(blocks, 0) + _f16(blocks, 2)


def _q8_0(blocks: Bytes) -> F32:
    return blocks[:, 2:].view(np.int8).astype(np.float32) * _f16(blocks, 0)


def scales_and_minima(packed: Bytes) -> tuple[Bytes, Bytes]:
    """Return the 8 scales and 8 minima of 6 bits in the 12 bytes of Q4_K and Q5_K. Shapes: (n, 12) -> two (n, 8)."""
    first, second, third = packed[:, 0:4], packed[:, 4:8], packed[:, 8:12]
    scales = np.concatenate([first & 63, (third & 15) | (first >> 6 << 4)], axis=1)
    minima = np.concatenate([second & 63, (third >> 4) | (second >> 6 << 4)], axis=1)
    return scales, minima


def _scaled(blocks: Bytes, codes: NDArray[np.int32]) -> F32:
    """Return the values of a Q4_K or Q5_K block from its codes. Shapes: codes (n, 8, 32) -> (n, 256)."""
    scales, minima = scales_and_minima(blocks[:, 4:16])
    scale = (_f16(blocks, 0) * scales.astype(np.float32))[:, :, None]
    least = (_f16(blocks, 2) * minima.astype(np.float32))[:, :, None]
    return (scale * codes.astype(np.float32) - least).reshape(len(blocks), 256)


def _nibbles_by_64(packed: Bytes) -> NDArray[np.int32]:
    """Return nibbles of which each 32 bytes hold 64, low ones first. Shapes: (n, 128) -> (n, 8, 32)."""
    quarters = packed.reshape(-1, 4, 1, 32)
    return np.concatenate([quarters & 15, quarters >> 4], axis=2).reshape(-1, 8, 32).astype(np.int32)


def _q4_k(blocks: Bytes) -> F32:
    return _scaled(blocks, _nibbles_by_64(blocks[:, 16:144]))


def _q5_k(blocks: Bytes) -> F32:
    fifth = np.unpackbits(blocks[:, 16:48, None], axis=2, bitorder="little").transpose(0, 2, 1)  # (n, 8, 32)
    return _scaled(blocks, _nibbles_by_64(blocks[:, 48:176]) | (fifth.astype(np.int32) << 4))


def _q6_k(blocks: Bytes) -> F32:
    low = blocks[:, 0:128].reshape(-1, 2, 1, 64)
    low = np.concatenate([low & 15, low >> 4], axis=2).reshape(-1, 2, 4, 32)
    high = blocks[:, 128:192].reshape(-1, 2, 1, 32)
    high = np.concatenate([high >> shift & 3 for shift in (0, 2, 4, 6)], axis=2)  # (n, 2, 4, 32)
    codes = (low | high << 4).astype(np.int32).reshape(-1, 16, 16) - 32
    scales = blocks[:, 192:208].view(np.int8).astype(np.float32)
    return ((_f16(blocks, 208) * scales)[:, :, None] * codes.astype(np.float32)).reshape(-1, 256)


DEQUANTISE: Mapping[Quantisation, Callable[[Bytes], F32]] = {
    Quantisation.F32: _f32,
    Quantisation.F16: _half,
    Quantisation.BF16: _bf16,
    Quantisation.Q4_0: _q4_0,
    Quantisation.Q4_1: _q4_1,
    Quantisation.Q5_0: _q5_0,
    Quantisation.Q5_1: _q5_1,
    Quantisation.Q8_0: _q8_0,
    Quantisation.Q4_K: _q4_k,
    Quantisation.Q5_K: _q5_k,
    Quantisation.Q6_K: _q6_k,
}
