"""Tensors as a model's file stores them, and the one set of names the engine knows them by.

Names are GGUF's, whatever the file: `token_embd.weight`, `output.weight`, `output_norm.weight`, and for layer i
`blk.{i}.` + `attn_norm`, `attn_q`, `attn_k`, `attn_v`, `attn_output`, `attn_q_norm`, `attn_k_norm`,
`post_attention_norm`, `ffn_norm`, `ffn_gate`, `ffn_up`, `ffn_down`, `post_ffw_norm` + `.weight` or `.bias`.
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray


class Quantisation(Enum):
    """How numbers are stored: (values of a block, bytes of a block). Blocks lie along the last dimension."""

    F32 = (1, 4)
    F16 = (1, 2)
    BF16 = (1, 2, "bf16")
    Q4_0 = (32, 18)
    Q4_1 = (32, 20)
    Q5_0 = (32, 22)
    Q5_1 = (32, 24)
    Q8_0 = (32, 34)
    Q4_K = (256, 144)
    Q5_K = (256, 176)
    Q6_K = (256, 210)
    AWQ4 = (8, 4)  # eight columns of a row of u32, in AWQ's order; scales and zeros stand beside (`awq.py`)

    @property
    def block_values(self) -> int:
        """Values that one block holds."""
        return int(self.value[0])

    @property
    def block_bytes(self) -> int:
        """Bytes of one block."""
        return int(self.value[1])


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor, mapped: nothing is read until somebody looks at `data`."""

    name: str
    quantisation: Quantisation
    shape: tuple[int, ...]  # as NumPy has it: (outputs, inputs) for a matrix, rows contiguous
    data: NDArray[np.uint8]  # (bytes,) read-only view of the mapped file
    scales: NDArray[np.float16] | None = None  # AWQ: (inputs / group, outputs)
    zeros: NDArray[np.uint8] | None = None  # AWQ: as packed in the file
