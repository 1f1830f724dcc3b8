"""The memory a step works in, made once: no step allocates."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hekla.kernels.llm.step_shape import StepShape

F32 = NDArray[np.float32]


def zeros(count: int, dtype: type, alignment: int = 64) -> NDArray:  # type: ignore[type-arg]  # of the dtype given
    """Return zeroed memory that begins at a cache line."""
    size = np.dtype(dtype).itemsize
    whole = np.zeros(count * size + alignment, np.uint8)
    start = -whole.ctypes.data % alignment
    return whole[start : start + count * size].view(dtype)


@dataclass(frozen=True, slots=True)
class Scratch:
    """What lies between the layers' parts, for `tokens` tokens and `rows` rows of logits."""

    x: F32
    normed: F32
    codes: NDArray[np.int8]
    scales: F32
    sums: F32
    half_sums: F32
    wide: F32
    delta: F32
    turns: F32
    tiles: NDArray[np.int32]
    owners: NDArray[np.int32]
    logits: F32

    @staticmethod
    def of(shape: StepShape, tokens: int, rows: int, turns: int) -> "Scratch":
        """Return scratch memory; `turns`: floats of one token's turns."""
        inputs = max(tokens, rows)
        blocks = inputs * shape.stride // 32
        return Scratch(
            x=zeros(tokens * shape.width, np.float32),
            normed=zeros(inputs * shape.stride, np.float32),
            codes=zeros(inputs * shape.stride, np.int8),
            scales=zeros(blocks, np.float32),
            sums=zeros(blocks, np.float32),
            half_sums=zeros(2 * blocks, np.float32),
            wide=zeros(tokens * shape.wide_stride, np.float32),
            delta=zeros(tokens * shape.delta_stride, np.float32),
            turns=zeros(tokens * turns, np.float32),
            tiles=zeros(3 * tokens, np.int32).reshape(-1, 3),
            owners=zeros(tokens, np.int32),
            logits=zeros(rows * shape.logits_stride, np.float32),
        )

    @property
    def bytes(self) -> int:
        """Bytes of all of it."""
        return sum(getattr(self, name).nbytes for name in self.__slots__)
