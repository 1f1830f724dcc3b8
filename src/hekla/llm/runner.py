"""The seam inside the package: the scheduler decides what runs, a runner computes it in one native call.

A runner holds the weights, the pages of the KV cache and the scratch memory. It knows nothing of requests: a step is
arrays of numbers. Two implementations: the compiled one, and the NumPy one that defines it (`reference.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

I32 = NDArray[np.int32]
F32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SamplingRows:
    """How the token after each row of logits is chosen. r: rows of logits; all arrays C-contiguous."""

    temperature: F32  # (r,); 0: the likeliest
    top_k: I32  # (r,); 0: all
    top_p: F32  # (r,)
    min_p: F32  # (r,)
    repetition: F32  # (r,)
    presence: F32  # (r,)
    frequency: F32  # (r,)
    random: F32  # (r,) in [0, 1): drawn from the request's seed and the token's position, so that crowds change nothing
    seen_start: I32  # (r + 1,) where the row's tokens begin in the three arrays below
    seen_token: I32  # tokens the penalties and biases touch, each once a row
    seen_prompt_or_answer: I32  # 1: was in prompt or answer (repetition penalty)
    seen_count: I32  # how often it is in the answer (presence, frequency)
    seen_bias: F32  # what is added to its logit
    mask: NDArray[np.uint32]  # (r, ceil(vocabulary / 32)) tokens a grammar allows; (0, 0): no row has a grammar
    has_mask: I32  # (r,) 1: this row's mask counts
    logprobs: I32  # (r,) how many of the likeliest are wanted; -1: not even the chosen one's


@dataclass(frozen=True, slots=True)
class StepBatch:
    """One step's work. t: tokens, s: sequences, r: rows of logits.

    The tokens of one sequence stand side by side, their positions rising by one; one token a sequence is decoding,
    several are a chunk of prefill (or a speculative draft being verified).
    """

    tokens: I32  # (t,)
    positions: I32  # (t,) from 0
    sequence_start: I32  # (s + 1,) where each sequence's tokens begin
    page_table: I32  # (s, p) page numbers in order of position; -1 past the last
    logits_rows: I32  # (r,) which of the t tokens get logits
    adapter: I32  # (s,) slot of the LoRA adapter; -1: none
    sampling: SamplingRows


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step chose. The arrays are the runner's own and hold until its next step."""

    tokens: I32  # (r,)
    logprobs: F32  # (r,) of the token chosen, before penalties and temperature; NaN where not asked for
    top_tokens: I32  # (r, 20) the likeliest, -1 past what was asked for
    top_logprobs: F32  # (r, 20)
    forward_s: float  # time in the transformer, of the one call
    sample_s: float  # time in sampling, of the same call


@dataclass(frozen=True, slots=True)
class LoraDelta:
    """What an adapter adds to one matrix: y += scale * b (a x). The matrix is named as in `tensors.py`."""

    matrix: str  # "blk.3.attn_q"
    a: F32  # (rank, inputs)
    b: F32  # (outputs, rank)
    scale: float


class ModelRunner(Protocol):
    """Computes steps of one model. One thread at a time."""

    @property
    def page_tokens(self) -> int:
        """Positions that one page holds, for all layers."""

    @property
    def pages(self) -> int:
        """How many pages the budget gave."""

    @property
    def max_step_tokens(self) -> int:
        """The most tokens of one step, which scratch memory was made for."""

    @property
    def vocabulary_tokens(self) -> int:
        """Length of a row of logits."""

    @property
    def weight_bytes(self) -> int:
        """Bytes of weights that are mapped or held."""

    @property
    def kv_bytes(self) -> int:
        """Bytes of all pages."""

    def step(self, batch: StepBatch) -> StepResult:
        """Write the keys and values of the tokens to their pages, and choose a token for each row of logits.

        The same sequence gives the same bits alone or among others, in one chunk or in many.
        Errors: EngineError for logits that are not finite, naming the row.
        """

    def logits(self) -> F32:
        """Return the logits of the last step (r, vocabulary_tokens) f32, before penalties; valid until the next."""

    def copy_page(self, source: int, target: int) -> None:
        """Copy one page, all layers: copy-on-write."""

    def load_adapter(self, slot: int, deltas: Sequence[LoraDelta]) -> None:
        """Hold a LoRA adapter in a slot, whose content it replaces. Errors: TooLargeError past the memory allowed."""

    def unload_adapter(self, slot: int) -> None:
        """Empty a slot."""

    def close(self) -> None:
        """Free everything."""
