"""AWQ's 4-bit matrices: how eight columns lie in a 32-bit word, packed and unpacked.

A matrix of (outputs, inputs) is stored transposed: qweight (inputs, outputs / 8) i32, qzeros (inputs / group,
outputs / 8) i32, scales (inputs / group, outputs) f16. Nibble i of word w holds column 8 w + ORDER[i], and the value is
scale (q - zero). Source: Lin et al., AWQ, arXiv:2306.00978; the order is AutoAWQ's "gemm" version.
"""

import numpy as np
from numpy.typing import NDArray

from hekla.base.errors import ModelFileError
from hekla.llm.tensors import StoredTensor

ORDER = (0, 2, 4, 6, 1, 3, 5, 7)  # which of eight columns nibble i holds
_SHIFTS = np.arange(0, 32, 4, dtype=np.uint32)
_PLACE = np.argsort(ORDER)  # which nibble holds column j


def unpacked(words: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Return the codes of packed words, in order. Shapes: (rows, words) u32 -> (rows, 8 words) u8."""
    nibbles = words[:, :, None] >> _SHIFTS & np.uint32(15)  # (rows, words, 8)
    return nibbles[:, :, _PLACE].reshape(len(words), -1).astype(np.uint8)


def packed(codes: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return codes as packed words, the inverse of `unpacked`. Shapes: (rows, 8 words) u8 -> (rows, words) u32."""
    by_word = codes.reshape(len(codes), -1, 8)[:, :, list(ORDER)].astype(np.uint32)
    words: NDArray[np.uint32] = np.bitwise_or.reduce(by_word << _SHIFTS, axis=2)
    return words


def group_size(tensor: StoredTensor) -> int:
    """Return how many inputs share a scale.

    Errors: ModelFileError where scales and zeros do not fit the matrix, naming what was expected.
    """
    outputs, inputs = tensor.shape
    if tensor.scales is None or tensor.zeros is None:
        raise ModelFileError("an AWQ matrix without scales or zeros", where=tensor.name)
    groups = len(tensor.scales)
    if groups < 1 or inputs % groups or tensor.scales.shape != (groups, outputs):
        raise ModelFileError(
            f"expected scales (inputs / group, {outputs}) for {inputs} inputs, found {tensor.scales.shape}",
            where=tensor.name,
        )
    if tensor.zeros.nbytes != groups * outputs // 2:
        raise ModelFileError(
            f"expected {groups * outputs // 2} bytes of zeros for {groups} groups, found {tensor.zeros.nbytes}",
            where=tensor.name,
        )
    return inputs // groups


def dequantised_awq(tensor: StoredTensor) -> NDArray[np.float32]:
    """Return the values of an AWQ matrix as (outputs, inputs) f32. Errors: ModelFileError of `group_size`."""
    outputs, inputs = tensor.shape
    group = group_size(tensor)
    assert tensor.scales is not None  # group_size saw them
    assert tensor.zeros is not None
    codes = unpacked(tensor.data.view("<u4").reshape(inputs, outputs // 8)).astype(np.int32)
    zeros = unpacked(tensor.zeros.reshape(-1).view("<u4").reshape(-1, outputs // 8)).astype(np.int32)
    scales = np.repeat(tensor.scales.astype(np.float32), group, axis=0)
    return np.ascontiguousarray(((codes - np.repeat(zeros, group, axis=0)).astype(np.float32) * scales).T)
