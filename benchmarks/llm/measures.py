"""What is measured, each by the difference of two answers, so that every peer is measured alike."""

from dataclasses import dataclass

import numpy as np

from benchmarks.llm.process import Peer, prompts_of

PREFILLS, BATCHES = (128, 512, 1024), (4, 8, 16)
_PROMPT, _DECODED, _BATCH_DECODED = 16, 64, 32


@dataclass(frozen=True, slots=True)
class Measure:
    """One column: tokens per second."""

    name: str
    sequences: int
    prompt: int
    tokens: int  # beyond the first; 0: the prompt's own tokens count

    def run(self, peer: Peer, random: np.random.Generator) -> float:
        """Return tokens per second, once."""
        first = peer.generate(prompts_of(random, self.sequences, self.prompt), 1).seconds
        if not self.tokens:
            return self.prompt / first
        whole = peer.generate(prompts_of(random, self.sequences, self.prompt), self.tokens + 1).seconds
        return self.sequences * self.tokens / (whole - first)


MEASURES = (
    *(Measure(f"prefill {n}", 1, n, 0) for n in PREFILLS),
    Measure("decode", 1, _PROMPT, _DECODED),
    *(Measure(f"batch {n}", n, _PROMPT, _BATCH_DECODED) for n in BATCHES),
)
