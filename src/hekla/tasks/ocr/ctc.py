"""Greedy CTC decoding: from a distribution per time step to a text and how sure it is."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def decode_greedy(probabilities: NDArray[np.float32], characters: Sequence[str]) -> tuple[str, float]:
    """Return the text of the likeliest class per step, repeats merged and blanks dropped, and its score.

    Shapes:  probabilities (steps, classes) f32; class 0 is the blank; characters[c] is what class c means.
    Score:   the mean probability of the steps that gave a character, 0.0 for an empty text. Steps that only pad a
             batch decode to blanks, so they add nothing.
    Source:  best-path decoding (Graves and others 2006, section 3.2).
    """
    classes = probabilities.argmax(axis=1)  # (steps,) intp
    fresh = np.ones(len(classes), dtype=np.bool_)
    fresh[1:] = classes[1:] != classes[:-1]
    kept = np.flatnonzero(fresh & (classes != 0))
    if not len(kept):
        return "", 0.0
    text = "".join([characters[index] for index in classes[kept]])
    return text, float(probabilities[kept, classes[kept]].mean(dtype=np.float64))
